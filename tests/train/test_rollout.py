"""The sampler loop on a model with random weights: noise, guidance, where the graph begins."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from train import models
from train.rollout import Guidance, clip_seed, generate, initial_noise, rollout

PROMPTS = ["a red circle moving left", "a blue square", "a red square moving right"]


def seeds(*indices: int) -> list[int]:
    return [clip_seed(0, PROMPTS[i % len(PROMPTS)], i) for i in indices]


def test_a_clips_seed_depends_on_all_three_and_fits_in_json():
    base = clip_seed(0, "a", 0)
    assert base == clip_seed(0, "a", 0)
    assert len({base, clip_seed(1, "a", 0), clip_seed(0, "b", 0), clip_seed(0, "a", 1)}) == 4
    assert all(0 <= clip_seed(0, "a", i) < 2**53 for i in range(100))


def test_noise_is_the_clips_own_whatever_stands_beside_it(tiny_model: models.VideoModel):
    settings = tiny_model.sample_defaults
    together = initial_noise(tiny_model, settings, [7, 8, 9])
    alone = initial_noise(tiny_model, settings, [8])
    assert torch.equal(together[1], alone[0])
    assert together.std().item() == pytest.approx(1, abs=0.1)


def test_batches_change_a_clip_by_float_noise_at_most(tiny_model: models.VideoModel):
    settings = tiny_model.sample_defaults
    prompts = [PROMPTS[i % 3] for i in range(5)]
    whole = list(generate(tiny_model, prompts, seeds(*range(5)), settings, batch=5))
    parts = list(generate(tiny_model, prompts, seeds(*range(5)), settings, batch=2))
    again = list(generate(tiny_model, prompts, seeds(*range(5)), settings, batch=2))
    for one, other, same in zip(whole, parts, again, strict=True):
        assert one.dtype == np.uint8
        assert one.shape == (settings.frames, settings.height, settings.width, 3)
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1
        assert np.array_equal(other, same)
    assert not np.array_equal(whole[0], whole[3])  # same prompt, other seed


def test_guidance_by_hand(tiny_model: models.VideoModel):
    """u + 3 (c - u), from two passes of their own; scale 1 is the conditional prediction alone."""
    latents = initial_noise(tiny_model, tiny_model.sample_defaults, [1, 2])
    level = torch.tensor(0.5)
    conditions = tiny_model.embed(PROMPTS[:2])
    t = level.expand(2)
    with torch.no_grad():
        given = tiny_model.predict(latents, t, conditions)
        empty = tiny_model.predict(latents, t, tiny_model.embed(["", ""]))
        guided = Guidance.of(tiny_model, PROMPTS[:2], 3.0).predict(tiny_model, latents, level)
        plain = Guidance.of(tiny_model, PROMPTS[:2], 1.0).predict(tiny_model, latents, level)
    torch.testing.assert_close(guided, empty + 3 * (given - empty))
    assert torch.equal(plain, given)
    assert not torch.allclose(given, empty)


@pytest.mark.parametrize("grad_steps", [0, 1, 2, 4])
def test_the_gradient_of_the_last_steps_in_closed_form(
    tiny_model: models.VideoModel, grad_steps: int, monkeypatch: pytest.MonkeyPatch
):
    """A network that predicts `a` times its input: each Euler step multiplies by 1 + (s' - s) a.

    With the first 4 - K factors held fixed, d/da of the product is the product times the sum of
    (s' - s) / factor over the last K.
    """
    a = torch.tensor(0.8, requires_grad=True)
    monkeypatch.setattr(tiny_model, "predict", lambda noisy, t, conditions: a * noisy)
    steps = tiny_model.schedule(4).diff().tolist()
    factors = [1 + step * 0.8 for step in steps]
    noise = initial_noise(tiny_model, tiny_model.sample_defaults, [1])
    guidance = Guidance.of(tiny_model, PROMPTS[:1], 1.0)
    latents = rollout(tiny_model, noise, guidance, steps=4, grad_steps=grad_steps)
    torch.testing.assert_close(latents.detach(), noise * math.prod(factors))
    if grad_steps == 0:
        assert not latents.requires_grad
        return
    latents.sum().backward()
    late = list(zip(steps, factors, strict=True))[4 - grad_steps :]
    slope = noise.sum().item() * math.prod(factors) * sum(step / factor for step, factor in late)
    assert a.grad is not None
    assert a.grad.item() == pytest.approx(slope, rel=1e-3)


def test_gradient_steps_outside_the_sampler_are_refused(tiny_model: models.VideoModel):
    guidance = Guidance.of(tiny_model, PROMPTS[:1], 1.0)
    noise = initial_noise(tiny_model, tiny_model.sample_defaults, [1])
    with pytest.raises(ValueError, match="must lie in"):
        rollout(tiny_model, noise, guidance, steps=3, grad_steps=4)


def test_our_sampler_is_the_pipelines_own(tiny_model: models.VideoModel):
    """From the same noise, diffusers' `WanPipeline` makes the same latents."""
    settings = replace(tiny_model.sample_defaults, steps=4, guidance=3.0)
    noise = initial_noise(tiny_model, settings, [5, 6])
    guidance = Guidance.of(tiny_model, PROMPTS[:2], settings.guidance)
    ours = rollout(tiny_model, noise, guidance, steps=settings.steps)
    with torch.no_grad():
        theirs = tiny_model.pipeline(
            prompt=PROMPTS[:2],
            negative_prompt=["", ""],
            height=settings.height,
            width=settings.width,
            num_frames=noise.shape[2],
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance,
            max_sequence_length=8,
            latents=noise,
            output_type="latent",
        ).frames
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)

"""The sampler loop on a model with random weights: noise, guidance, where the graph begins."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from train import models
from train.parametrisation import Discrete
from train.sampling.rollout import (
    Guidance,
    Sampler,
    ancestral,
    clip_seed,
    denoise,
    generate,
    initial_noise,
)

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


def test_the_ancestral_step_by_hand(tiny_model: models.VideoModel):
    """x_t = (1 - t) x0 + t e with t = 1/2 to t' = 1/4: SNR 1 and 9, r^2 = eta^2 (1 - 1/9).

    The mean is 3/4 x0 + 1/4 sqrt(1 - r^2) e, the deviation 1/4 r.
    """
    x0, e = torch.full((1, 4, 9, 8, 8), 0.4), torch.full((1, 4, 9, 8, 8), -1.2)
    schedule = torch.tensor([0.5, 0.25, 0.0])
    noisy = 0.5 * x0 + 0.5 * e
    mean, deviation = ancestral(tiny_model, e - x0, 0, noisy, schedule, 0.6)
    share = 0.6 * math.sqrt(8 / 9)
    assert deviation.item() == pytest.approx(0.25 * share)
    expected = 0.75 * 0.4 + 0.25 * math.sqrt(1 - share**2) * -1.2
    torch.testing.assert_close(mean, torch.full_like(mean, expected))
    assert ancestral(tiny_model, e - x0, 1, noisy, schedule, 0.6)[1] == 0  # the last step is sure
    torch.testing.assert_close(
        ancestral(tiny_model, e - x0, 0, noisy, schedule, 0.0)[0], 0.75 * x0 + 0.25 * e
    )


def test_the_ancestral_step_is_ddims(monkeypatch: pytest.MonkeyPatch, tiny_model):
    """Song et al. 2020, eq. 16, for alphas_cumprod .3 and .6 and a predicted noise."""
    law = Discrete(
        alphas_cumprod=torch.tensor([0.9, 0.6, 0.3]),
        prediction="epsilon",
        levels=lambda steps, shape: torch.tensor([2.0, 1.0, -1.0]),
    )
    monkeypatch.setattr(tiny_model, "parametrisation", law)
    x, e = torch.full((1, 1, 1, 1, 1), 0.7), torch.full((1, 1, 1, 1, 1), 0.5)
    mean, deviation = ancestral(tiny_model, e, 0, x, law.schedule(2, ()), 0.8)
    sigma = 0.8 * math.sqrt((1 - 0.6) / (1 - 0.3)) * math.sqrt(1 - 0.3 / 0.6)
    x0 = (0.7 - math.sqrt(0.7) * 0.5) / math.sqrt(0.3)
    assert deviation.item() == pytest.approx(sigma)
    expected = math.sqrt(0.6) * x0 + math.sqrt(0.4 - sigma**2) * 0.5
    assert mean.item() == pytest.approx(expected)


def test_our_sampler_is_the_pipelines_own(tiny_model: models.VideoModel):
    """From the same noise, diffusers' `WanPipeline` makes the same latents."""
    settings = replace(tiny_model.sample_defaults, steps=4, guidance=3.0)
    noise = initial_noise(tiny_model, settings, [5, 6])
    guidance = Guidance.of(tiny_model, PROMPTS[:2], settings.guidance)
    with torch.no_grad():
        ours = denoise(Sampler(tiny_model, 4), noise, guidance)
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

"""The contract of `VideoModel`, for every model at hand, and Wan against diffusers itself."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from data.errors import UserError
from tests.train import families, tiny, tiny_image
from train import bank, models
from train.losses import diffusion_dpo
from train.models import Conditions, SampleSettings, VideoModel
from train.models.protocol import FirstFrames
from train.policy import attach, compare_with_fresh
from train.sampling.rollout import Guidance, Sampler, denoise

BUILTIN = [
    path.name for path in sorted(models.BUILTIN.glob("*")) if (path / "model_index.json").is_file()
]


PROMPTS = ["a red circle moving left", "a blue square moving right"]


class Case(NamedTuple):
    """One model of the contract; nobody may change it."""

    model: VideoModel
    builder: ModuleType | None
    """Of its tiny pipeline; None for a built-in model."""


@pytest.fixture(scope="module", params=[*families.NAMES, *BUILTIN])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    if request.param in BUILTIN:
        return Case(models.load(request.param), None)
    builder = families.module(request.param)
    folder = builder.save(tmp_path_factory.mktemp("families") / request.param)
    return Case(models.load(str(folder)), builder)


@pytest.fixture(scope="module")
def model(case: Case) -> VideoModel:
    return case.model


def latents(model: VideoModel, batch: int = 2) -> Tensor:
    return bank.noise("test", "latents", 0, (batch, *model.latent_shape(model.sample_defaults)))


def fresh_noise(model: VideoModel, batch: int = 2) -> Tensor:
    return bank.noise("test", "noise", 0, (batch, *model.latent_shape(model.sample_defaults)))


def told_of(model: VideoModel) -> Conditions:
    """Two prompts, and two first images where the model wants them."""
    if not model.image_conditioned:
        return model.embed(PROMPTS)
    settings = model.sample_defaults
    return model.embed(PROMPTS, FirstFrames(frames(settings)[:, 0], settings.frames))


def pair_errors(model: VideoModel) -> Callable[[], tuple[Tensor, Tensor]]:
    """Errors of a chosen and a rejected clip of one prompt, at the same noise and level."""
    x, noise = latents(model), fresh_noise(model, 1).expand(2, *[-1] * (latents(model).ndim - 1))
    t, told = model.timesteps(torch.tensor([0.6, 0.6])), told_of(model)[:1].repeat(2)
    noisy, target = model.noised(x, noise, t), model.target(x, noise, t)

    def errors() -> tuple[Tensor, Tensor]:
        both = (model.predict(noisy, t, told) - target).square().flatten(1).mean(1)
        return both[:1], both[1:]

    return errors


def frames(settings: SampleSettings, batch: int = 2) -> Tensor:
    drawn = torch.Generator().manual_seed(0)
    size = (batch, settings.frames, 3, settings.height, settings.width)
    return torch.rand(size, generator=drawn)


class TestContract:
    def test_its_own_settings_fit(self, model: VideoModel) -> None:
        model.check(model.sample_defaults)
        assert models.begins_with_image(model.source) == model.image_conditioned

    def test_nothing_is_trainable_and_nothing_is_random(self, model: VideoModel) -> None:
        for part in (*model.components.values(), *model.pipeline.components.values()):
            if isinstance(part, torch.nn.Module):
                assert not part.training
                assert not any(weight.requires_grad for weight in part.parameters())

    def test_encode_and_decode(self, model: VideoModel) -> None:
        settings = model.sample_defaults
        clips = frames(settings)
        encoded = model.encode(clips)
        assert encoded.shape == (2, *model.latent_shape(settings))
        assert not encoded.requires_grad
        assert torch.equal(encoded, model.encode(clips))  # the mean, not a draw
        decoded = model.decode(encoded)
        assert decoded.shape == clips.shape
        assert decoded.min() >= 0
        assert decoded.max() <= 1

    def test_decoding_has_a_gradient(self, case: Case) -> None:
        model, lead = case.model, getattr(case.builder, "LEAD", 0)
        z = latents(model, 1).requires_grad_()
        (gradient,) = torch.autograd.grad(model.decode(z).sum(), z)
        assert torch.isfinite(gradient).all()
        assert (gradient.abs().amax((0, 1, 3, 4))[lead:] > 0).all()  # into every latent frame

    def test_training_levels_cover_the_range_in_order(self, model: VideoModel) -> None:
        t = model.timesteps(torch.linspace(0, 0.999, 50))
        assert (t.diff() >= 0).all()
        assert t[-1] > t[0]

    def test_noised_is_clean_at_one_end_and_noise_at_the_other(self, model: VideoModel) -> None:
        x, noise, schedule = latents(model), fresh_noise(model), model.schedule(20)
        last, first = (model.noised(x, noise, schedule[i].expand(2)) for i in (-1, 0))
        # not quite 1 where a scheduler ends at the first of its discrete timesteps
        assert torch.nn.functional.cosine_similarity(last.flatten(), x.flatten(), 0) > 0.999
        assert torch.nn.functional.cosine_similarity(first.flatten(), noise.flatten(), 0) > 0.99

    def test_a_perfect_prediction_samples_the_clip_itself(self, model: VideoModel) -> None:
        """`noised`, `target`, `schedule` and `step` agree with one another."""
        x, noise, schedule = latents(model), fresh_noise(model), model.schedule(5)
        now = model.noised(x, noise, schedule[0].expand(2))
        for i in range(5):
            t = schedule[i].expand(2)
            assert torch.allclose(now, model.noised(x, noise, t), atol=1e-4)
            now = model.step(model.target(x, noise, t), i, now, schedule)
        assert torch.allclose(now, model.noised(x, noise, schedule[-1].expand(2)), atol=1e-4)

    def test_clean_inverts_the_target(self, model: VideoModel) -> None:
        x, noise = latents(model, 3), fresh_noise(model, 3)
        t = model.timesteps(torch.tensor([0.05, 0.5, 0.9]))
        found = model.clean(model.target(x, noise, t), model.noised(x, noise, t), t)
        assert torch.allclose(found, x, atol=1e-3)

    def test_predict_depends_on_everything_that_it_is_told(self, model: VideoModel) -> None:
        x, t = latents(model), model.timesteps(torch.tensor([0.3, 0.3]))
        told = told_of(model)
        base = model.predict(x, t, told)
        assert base.shape == x.shape
        assert base.dtype == torch.float32
        later = model.predict(x, model.timesteps(torch.tensor([0.9, 0.9])), told)
        swapped = model.predict(x, t, told[torch.tensor([1, 0])])
        for other in (later, swapped, model.predict(-x, t, told)):
            assert not torch.allclose(base, other, atol=1e-5)

    def test_rows_of_a_batch_do_not_mix(self, model: VideoModel) -> None:
        x, t = latents(model), model.timesteps(torch.tensor([0.2, 0.8]))
        told = told_of(model)
        both = model.predict(x, t, told)
        alone = torch.cat(
            [model.predict(x[i : i + 1], t[i : i + 1], told[i : i + 1]) for i in (0, 1)]
        )
        assert torch.allclose(both, alone, atol=1e-4)

    def test_half_precision_weights_keep_float32_at_the_boundary(self, model: VideoModel) -> None:
        half = models.load(model.source, dtype=torch.bfloat16)
        x, t = latents(half), half.timesteps(torch.tensor([0.3, 0.8]))
        with torch.no_grad():
            found = half.predict(x, t, told_of(half)), half.decode(x)
        for tensor in (*found, half.encode(frames(half.sample_defaults))):
            assert tensor.dtype == torch.float32
            assert torch.isfinite(tensor).all()

    def test_a_policy_trains_and_reloads(self, case: Case, tmp_path: Path) -> None:
        """DPO starts at ln 2, moves, and the adapter predicts the same in a fresh pipeline."""
        copy, idle = models.load(case.model.source), getattr(case.builder, "IDLE", ())
        policy = attach(copy, rank=2, alpha=6, seed=0)  # alpha is not the rank: it must survive
        errors = pair_errors(copy)
        with policy.reference():
            reference = errors()
        optimizer = torch.optim.AdamW(policy.parameters, lr=1e-2)
        one, losses = torch.ones(1), []
        for _ in range(2):
            loss, _ = diffusion_dpo(*errors(), *reference, beta=1000, weight=one, probability=one)
            optimizer.zero_grad()
            loss.backward()
            for part, network in copy.components.items():
                weights = (weight for weight in network.parameters() if weight.requires_grad)
                assert all((weight.grad is None) == (part in idle) for weight in weights)
            optimizer.step()
            losses.append(loss.item())
        assert losses[0] == pytest.approx(math.log(2), abs=1e-12)
        assert losses[1] < losses[0]
        with policy.reference():
            assert torch.equal(torch.stack(errors()), torch.stack(reference))
        policy.save(tmp_path)
        found = compare_with_fresh(policy, tmp_path, PROMPTS[0])
        assert found.difference <= 1e-5
        assert found.drift > 1e-3

    def test_sampling_is_that_of_the_pipeline(self, case: Case) -> None:
        """Schedule, prediction, guidance and decoding: the same clip from the same noise."""
        model, builder = case.model, case.builder or families.module("wan")
        if not hasattr(builder, "theirs"):
            pytest.skip("diffusers has no sampler to compare with")
        noise, scale = latents(model, 1), model.sample_defaults.guidance
        with torch.no_grad():
            first = tiny_image.first(model.sample_defaults) if model.image_conditioned else None
            guidance = Guidance.of(model, PROMPTS[:1], scale, first=first)
            ours = model.decode(denoise(Sampler(model, 4, noise.shape[1:]), noise, guidance))
        theirs = builder.theirs(model, noise, PROMPTS[0], 4, scale)
        assert ours.shape == theirs.shape
        assert ours.std() > 0.01  # a clip, not a flat clamp
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_conditions_slice_repeat_and_join() -> None:
    told = Conditions({"text": torch.arange(6.0).view(3, 2), "mask": torch.arange(3)})
    assert len(told) == 3
    assert told[1:].tensors["mask"].tolist() == [1, 2]
    assert told[torch.tensor([2, 0])].tensors["text"].tolist() == [[4, 5], [0, 1]]
    assert told.repeat(2).tensors["mask"].tolist() == [0, 1, 2, 0, 1, 2]
    assert Conditions.join([told[:1], told[2:]]).tensors["mask"].tolist() == [0, 2]


class TestWan:
    def test_saturated_pixels_keep_their_gradient(self, tiny_model: VideoModel) -> None:
        """The clamp in diffusers' own `decode` ends them."""
        with torch.no_grad():
            tiny_model.pipeline.vae.decoder.conv_out.bias.add_(10)
        z = latents(tiny_model, 1).requires_grad_()
        decoded = tiny_model.decode(z)
        assert (decoded == 1).all()
        assert torch.autograd.grad(decoded.sum(), z)[0].abs().max() > 0
        theirs = tiny_model.pipeline.vae.decode(z).sample
        assert torch.autograd.grad(theirs.sum(), z)[0].abs().max() == 0

    def test_latents_are_normalised_per_channel(self, tiny_model: VideoModel) -> None:
        vae, clips = tiny_model.pipeline.vae, frames(tiny_model.sample_defaults, 1)
        with torch.no_grad():
            raw = vae.encode(clips.transpose(1, 2) * 2 - 1).latent_dist.mean
        # the last channel's mean is 0.3 and its deviation 0.25 (tests/train/tiny.py)
        assert torch.allclose(tiny_model.encode(clips)[:, 3], (raw[:, 3] - 0.3) / 0.25, atol=1e-5)

    def test_prompts_are_padded_with_zeros_to_the_trained_length(
        self, tiny_model: VideoModel
    ) -> None:
        text = tiny_model.embed(["a red circle"]).tensors["text"]  # 3 words and </s> of 8 tokens
        assert text.shape == (1, 8, 16)
        assert (text[0, :4].abs().sum(-1) > 0).all()
        assert (text[0, 4:] == 0).all()


class TestRefusals:
    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            ({"width": 18}, "multiples of 4"),
            ({"frames": 8}, "4n \\+ 1"),
            ({"frames": 13}, "patches of 3"),
        ],
    )
    def test_sizes(self, tiny_model: VideoModel, wrong: dict[str, Any], says: str) -> None:
        with pytest.raises(UserError, match=says):
            tiny_model.check(replace(tiny_model.sample_defaults, **wrong))

    def test_frames_that_the_vae_would_drop(self, tiny_model: VideoModel) -> None:
        with pytest.raises(ValueError, match="not 8"):
            tiny_model.encode(torch.rand(1, 8, 3, 16, 16))

    def test_unknown_names(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="neither built in"):
            models.load("sahpes")
        with pytest.raises(UserError, match="neither built in"):
            models.load(str(tmp_path))

    def test_unknown_pipelines(self, tmp_path: Path) -> None:
        (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
        with pytest.raises(UserError, match=r"FluxPipeline.*WanPipeline"):
            models.load(str(tmp_path))

    def test_no_such_hub_model(self) -> None:
        with pytest.raises(UserError, match="hub"):
            models.load("nobody/no-such-model")

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
    def test_no_gpu(self, tiny_folder: Path) -> None:
        with pytest.raises(UserError, match="--device cpu"):
            models.load(str(tiny_folder), device="cuda")


def test_published_settings_where_the_folder_has_none(tmp_path: Path) -> None:
    tiny.pipeline().save_pretrained(tmp_path)
    found = models.load(str(tmp_path))
    assert (found.sample_defaults.frames, found.sample_defaults.width) == (81, 832)
    assert found.embed(["a"]).tensors["text"].shape[1] == 512

"""The contract of `VideoModel`, for every model at hand, and Wan against diffusers itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from data.errors import UserError
from tests.train import tiny
from train import bank, models
from train.models import Conditions, SampleSettings, VideoModel
from train.models.wan import Wan

BUILTIN = [
    path.name for path in sorted(models.BUILTIN.glob("*")) if (path / "model_index.json").is_file()
]


@pytest.fixture(params=["tiny", *BUILTIN])
def model(request: pytest.FixtureRequest, tiny_folder: Path) -> VideoModel:
    return models.load(str(tiny_folder) if request.param == "tiny" else request.param)


def latents(model: VideoModel, batch: int = 2) -> Tensor:
    return bank.noise("test", "latents", 0, (batch, *model.latent_shape(model.sample_defaults)))


def frames(settings: SampleSettings, batch: int = 2) -> Tensor:
    drawn = torch.Generator().manual_seed(0)
    size = (batch, settings.frames, 3, settings.height, settings.width)
    return torch.rand(size, generator=drawn)


class TestContract:
    def test_its_own_settings_fit(self, model: VideoModel) -> None:
        model.check(model.sample_defaults)

    def test_nothing_is_trainable_and_nothing_is_random(self, model: VideoModel) -> None:
        for part in (model.network, model.pipeline.vae, model.pipeline.text_encoder):
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

    def test_decoding_has_a_gradient(self, model: VideoModel) -> None:
        z = latents(model, 1).requires_grad_()
        (gradient,) = torch.autograd.grad(model.decode(z).sum(), z)
        assert torch.isfinite(gradient).all()
        assert (gradient.abs().amax((0, 1, 3, 4)) > 0).all()  # into every latent frame

    def test_training_levels_cover_the_range_in_order(self, model: VideoModel) -> None:
        t = model.timesteps(torch.linspace(0, 0.999, 50))
        assert (t.diff() >= 0).all()
        assert t[-1] > t[0]

    def test_noised_is_clean_at_one_end_and_noise_at_the_other(self, model: VideoModel) -> None:
        x, noise, schedule = latents(model), torch.randn_like(latents(model)), model.schedule(4)
        assert torch.allclose(model.noised(x, noise, schedule[-1].expand(2)), x, atol=1e-5)
        first = model.noised(x, noise, schedule[0].expand(2))
        assert torch.nn.functional.cosine_similarity(first.flatten(), noise.flatten(), 0) > 0.99

    def test_a_perfect_prediction_samples_the_clip_itself(self, model: VideoModel) -> None:
        """`noised`, `target`, `schedule` and `step` agree with one another."""
        x, noise, schedule = latents(model), torch.randn_like(latents(model)), model.schedule(5)
        now = model.noised(x, noise, schedule[0].expand(2))
        for i in range(5):
            t = schedule[i].expand(2)
            assert torch.allclose(now, model.noised(x, noise, t), atol=1e-4)
            now = model.step(model.target(x, noise, t), i, now, schedule)
        assert torch.allclose(now, x, atol=1e-4)

    def test_predict_depends_on_everything_that_it_is_told(self, model: VideoModel) -> None:
        x, t = latents(model), model.timesteps(torch.tensor([0.3, 0.3]))
        told = model.embed(["a red circle moving left", "a blue square moving right"])
        base = model.predict(x, t, told)
        assert base.shape == x.shape
        assert base.dtype == torch.float32
        later = model.predict(x, model.timesteps(torch.tensor([0.9, 0.9])), told)
        swapped = model.predict(x, t, told[torch.tensor([1, 0])])
        for other in (later, swapped, model.predict(-x, t, told)):
            assert not torch.allclose(base, other, atol=1e-5)

    def test_rows_of_a_batch_do_not_mix(self, model: VideoModel) -> None:
        x, t = latents(model), model.timesteps(torch.tensor([0.2, 0.8]))
        told = model.embed(["a red circle moving left", "a blue square moving right"])
        both = model.predict(x, t, told)
        alone = torch.cat(
            [model.predict(x[i : i + 1], t[i : i + 1], told[i : i + 1]) for i in (0, 1)]
        )
        assert torch.allclose(both, alone, atol=1e-4)


def test_conditions_slice_repeat_and_join() -> None:
    told = Conditions({"text": torch.arange(6.0).view(3, 2), "mask": torch.arange(3)})
    assert len(told) == 3
    assert told[1:].tensors["mask"].tolist() == [1, 2]
    assert told[torch.tensor([2, 0])].tensors["text"].tolist() == [[4, 5], [0, 1]]
    assert told.repeat(2).tensors["mask"].tolist() == [0, 1, 2, 0, 1, 2]
    assert Conditions.join([told[:1], told[2:]]).tensors["mask"].tolist() == [0, 2]


class TestWanAgainstDiffusers:
    def test_sampling_is_that_of_the_pipeline(self, model: VideoModel) -> None:
        """Schedule, prediction, guidance and decoding: the same clip from the same noise."""
        settings, prompt = model.sample_defaults, "a red circle moving left"
        x = noise = latents(model, 1)
        factor = model.pipeline.vae_scale_factor_temporal
        theirs = model.pipeline(
            prompt, height=settings.height, width=settings.width,
            num_frames=settings.frames - (factor == 1),  # it adds one where time is not compressed
            num_inference_steps=3, guidance_scale=settings.guidance, latents=noise,
            max_sequence_length=16 if model.name == "shapes" else 8, output_type="pt",
        ).frames  # fmt: skip
        schedule, told = model.schedule(3), model.embed([prompt, ""])
        with torch.no_grad():
            for i in range(3):
                both = model.predict(x.repeat(2, 1, 1, 1, 1), schedule[i].expand(2), told)
                guided = both[1:] + settings.guidance * (both[:1] - both[1:])
                x = model.step(guided, i, x, schedule)
            ours = model.decode(x)
        assert torch.allclose(ours, theirs, atol=1e-4)

    def test_hand_worked_flow(self, tiny_model: VideoModel) -> None:
        x, noise, t = (
            torch.full((1, 4, 9, 8, 8), 2.0),
            torch.full((1, 4, 9, 8, 8), -1.0),
            torch.tensor([0.25]),
        )
        # 0.75 * 2 + 0.25 * -1 = 1.25; velocity -1 - 2 = -3
        assert (tiny_model.noised(x, noise, t) == 1.25).all()
        assert (tiny_model.target(x, noise, t) == -3.0).all()
        # Euler from 0.5 to 0.25: 1 + (0.25 - 0.5) * 4 = 0
        stepped = tiny_model.step(
            torch.full_like(x, 4.0), 0, torch.ones_like(x), torch.tensor([0.5, 0.25])
        )
        assert (stepped == 0.0).all()

    def test_hand_worked_shift(self, tiny_model: VideoModel) -> None:
        # shift 2 at u = 0.5: 2 * 0.5 / (1 + 0.5) = 2/3; at 0 the first of 1000 ticks
        t = tiny_model.timesteps(torch.tensor([0.0, 0.5]))
        assert torch.allclose(t, torch.tensor([0.001, 2 / 3]))

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
    def test_sizes(self, tiny_model: VideoModel, wrong: dict[str, int], says: str) -> None:
        settings = SampleSettings(**(vars_of(tiny_model.sample_defaults) | wrong))
        with pytest.raises(UserError, match=says):
            tiny_model.check(settings)

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

    def test_wan_2_2(self, tmp_path: Path) -> None:
        made = tiny.pipeline()
        made.register_to_config(expand_timesteps=True)
        made.save_pretrained(tmp_path)
        with pytest.raises(UserError, match=r"Wan 2\.2"):
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
    assert isinstance(found, Wan)
    assert (found.sample_defaults.frames, found.sample_defaults.width, found.max_tokens) == (
        81,
        832,
        512,
    )


def test_half_precision_weights_keep_float32_at_the_boundary(tiny_folder: Path) -> None:
    model = models.load(str(tiny_folder), dtype=torch.bfloat16)
    x = latents(model)
    assert (
        model.predict(x, torch.tensor([0.5, 0.5]), model.embed(["a", "a"])).dtype == torch.float32
    )
    assert model.encode(frames(model.sample_defaults)).dtype == torch.float32
    assert model.decode(x).dtype == torch.float32


def vars_of(settings: SampleSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}

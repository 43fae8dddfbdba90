"""Wan 2.2, image-to-video and Stable Video Diffusion: what is theirs alone."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from data.errors import UserError
from tests.train import families, tiny, tiny_image
from train import bank, models, policy
from train.models import Conditions, SampleSettings, VideoModel, svd, ti2v, wan_image
from train.models.wan22 import EXPERTS, routed
from train.sampling.rollout import Guidance


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def build(folder: Path, family: str) -> VideoModel:
    made = folder / family
    return models.load(str(made if made.exists() else families.module(family).save(made)))


@pytest.fixture(scope="module")
def experts(folder: Path) -> VideoModel:
    return build(folder, "wan22")


class TestTwoExperts:
    def test_rows_go_to_the_expert_of_their_level_and_come_back_in_order(self) -> None:
        def call(network: float, noisy: torch.Tensor, t: torch.Tensor, told: Conditions):
            return network * noisy + told.tensors["text"]

        network = dict(zip(EXPERTS, (10.0, 1.0), strict=True))
        told = Conditions({"text": torch.tensor([[0.1], [0.2], [0.3], [0.4]])})
        noisy, t = torch.tensor([[1.0], [2.0], [3.0], [4.0]]), torch.tensor([0.2, 0.9, 0.6, 0.59])
        found = routed(call, 0.6)(network, noisy, t, told)
        # 0.9 and the boundary itself are high: 10 x + text; the others x + text
        assert torch.allclose(found, torch.tensor([[1.1], [20.2], [30.3], [4.4]]))

    def test_each_adapter_learns_from_its_own_range_alone(self, experts: VideoModel) -> None:
        trained = policy.attach(models.load(experts.source), rank=2, alpha=2, seed=0)
        model = trained.model
        x = bank.noise("x", "experts", 0, (1, *model.latent_shape(model.sample_defaults)))
        told = model.embed(["a red circle"])
        for level, learns in ((0.7, EXPERTS[0]), (0.3, EXPERTS[1])):
            for weight in trained.parameters:
                weight.grad = None
            model.predict(x, torch.tensor([level]), told).square().sum().backward()
            for part, network in model.components.items():
                weights = (weight for weight in network.parameters() if weight.requires_grad)
                assert all((weight.grad is not None) == (part == learns) for weight in weights)

    def test_the_two_files_load_as_diffusers_says(self, experts: VideoModel, tmp_path: Path):
        trained = policy.attach(models.load(experts.source), rank=2, alpha=4, seed=0)
        for i, weight in enumerate(trained.parameters):
            weight.data += 0.1 * (i + 1)
        first = trained.save(tmp_path)
        second = first.with_name(f"transformer_2.{first.name}")
        assert {file.name for file in tmp_path.iterdir()} == {first.name, second.name}
        pipe = models.load(experts.source).pipeline
        pipe.load_lora_weights(str(tmp_path), weight_name=first.name)
        pipe.load_lora_weights(str(tmp_path), weight_name=second.name, load_into_transformer_2=True)
        name, value = next(iter(load_file(second).items()))
        assert name.startswith("transformer.blocks.0.attn1.to_k.lora_A")
        loaded = dict(pipe.transformer_2.named_parameters())
        assert any(torch.equal(value, found) for key, found in loaded.items() if "lora_A" in key)
        high, low = (dict(load_file(file)) for file in (first, second))
        assert not any(torch.equal(high[key], low[key]) for key in high)

    def test_guidance_of_the_low_expert_is_the_published_one(self, experts: VideoModel) -> None:
        x = torch.zeros(1, *experts.latent_shape(experts.sample_defaults))
        # 1 + (4 - 1) * 2/3 = 3; at 1 there is nothing to guide
        scales = [experts.guidance(4.0, torch.tensor(t), x) for t in (0.6, 0.59)]
        assert [float(scale) for scale in scales] == [4.0, pytest.approx(3.0)]
        assert float(experts.guidance(1.0, torch.tensor(0.1), x)) == 1.0


class TestTokenClocks:
    def test_every_token_has_the_level_and_given_ones_have_none(self, folder: Path) -> None:
        network = build(folder, "ti2v").network
        noisy, t = torch.zeros(2, 4, 3, 4, 4), torch.tensor([0.5, 0.25])
        # patches of 1 x 2 x 2: 3 frames of 2 x 2 tokens
        plain, given = (ti2v.clocks(network, noisy, t, given=n) for n in (0, 1))
        assert plain.tolist() == [[500.0] * 12, [250.0] * 12]
        assert given.tolist() == [[0.0] * 4 + [500.0] * 8, [0.0] * 4 + [250.0] * 8]

    def test_the_first_latent_frame_leads_to_the_image(self, folder: Path) -> None:
        model = build(folder, "ti2v_image")
        told = model.embed(["a red circle"], tiny_image.first(model.sample_defaults))
        image = told.tensors["known"]
        noise = bank.noise("x", "token", 0, (1, *model.latent_shape(model.sample_defaults)))
        x = torch.cat([image, noise[:, :, 1:]], dim=2)
        t = torch.tensor([0.4])
        with torch.no_grad():
            found = model.predict(model.noised(x, noise, t), t, told)
        # the clip begins with the image, so the way to it is the very target
        assert torch.allclose(found[:, :, 0], model.target(x, noise, t)[:, :, 0], atol=1e-4)
        clean = model.clean(found, model.noised(x, noise, t), t)
        assert torch.allclose(clean[:, :, :1], image, atol=1e-4)


class TestWanImage:
    def test_what_is_known_is_a_mask_and_the_latents_of_image_and_grey(self, folder: Path) -> None:
        model = build(folder, "wan_image")
        images = tiny_image.first(model.sample_defaults)
        known = model.embed(["a"], images).tensors["known"]
        assert known.shape == (1, 1 + tiny.LATENTS, 9, 8, 8)
        assert (known[:, 0, 0] == 1).all()
        assert (known[:, 0, 1:] == 0).all()
        grey = torch.full((1, 9, 3, 16, 16), 0.5)  # 0 in [-1, 1]
        grey[:, 0] = images.pixels
        assert torch.allclose(known[:, 1:], model.encode(grey), atol=1e-5)

    def test_the_image_is_read_through_clip_only_where_the_model_does(self, folder: Path) -> None:
        names = {}
        for family in ("wan_image", "wan22_image"):
            model = build(folder, family)
            names[family] = model.embed(["a"], tiny_image.first(model.sample_defaults)).tensors
        assert names["wan_image"]["image"].shape == (1, 5, 16)  # 4 patches and the class token
        assert "image" not in names["wan22_image"]

    def test_the_unconditional_branch_sees_the_image_too(self, folder: Path) -> None:
        model = build(folder, "wan_image")
        first = tiny_image.first(model.sample_defaults)
        guidance = Guidance.of(model, ["a red circle"], 3.0, negative="blue", first=first)
        assert guidance.empty is not None
        told, away = guidance.conditions.tensors, guidance.empty.tensors
        assert torch.equal(told["known"], away["known"])
        assert torch.equal(away["text"], model.embed(["blue"], first).tensors["text"])
        assert not torch.equal(told["text"], away["text"])

    def test_pictures_keep_whole_bytes(self) -> None:
        pixels = torch.arange(256).view(1, 1, 16, 16).expand(1, 3, 16, 16) / 255
        (picture,) = wan_image.pictures(pixels)
        assert picture.getpixel((8, 12)) == (200, 200, 200)  # the 12 * 16 + 8th

    def test_an_image_is_needed_and_nowhere_else_taken(self, folder: Path) -> None:
        model, plain = build(folder, "wan_image"), build(folder, "wan22")
        with pytest.raises(ValueError, match="image_conditioned is True"):
            model.embed(["a"])
        with pytest.raises(ValueError, match="image_conditioned is False"):
            plain.embed(["a"], tiny_image.first(plain.sample_defaults))


@pytest.fixture(scope="module")
def model(folder: Path) -> VideoModel:
    return build(folder, "svd")


class TestStableVideoDiffusion:
    def test_the_target_is_the_f_of_edm(self, model: VideoModel) -> None:
        """D = c_skip x + c_out F gives the clip back, with x = x0 + sigma n, both unscaled."""
        x0, n, sigma = torch.tensor([[2.0]]), torch.tensor([[-1.0]]), torch.tensor([0.75])
        # sqrt(1 + 0.75^2) = 1.25: c_skip 1 / 1.5625 = 0.64, c_out -0.75 / 1.25 = -0.6
        f = model.target(x0, n, sigma)
        x = x0 + 0.75 * n  # 1.25
        assert model.noised(x0, n, sigma).item() == pytest.approx(x.item() / 1.25)
        # a n - s x0 = 0.8 * -1 - 0.6 * 2 = -2; D = 0.64 * 1.25 - 0.6 * -2 = 2
        assert f.item() == pytest.approx(-2.0)
        assert 0.64 * x.item() - 0.6 * f.item() == pytest.approx(2.0)

    def test_guidance_grows_over_the_frames(self, model: VideoModel) -> None:
        x = torch.zeros(1, *model.latent_shape(model.sample_defaults))
        found = model.guidance(2.5, torch.tensor(1.0), x)
        assert isinstance(found, torch.Tensor)
        assert found.flatten().tolist() == [1.0, 1.5, 2.0, 2.5]

    def test_the_empty_prompt_is_told_no_image(self, model: VideoModel) -> None:
        x = bank.noise("x", "svd", 0, (1, *model.latent_shape(model.sample_defaults)))
        t, (one, other) = (
            torch.tensor([0.5]),
            (tiny_image.first(model.sample_defaults, s) for s in (0, 1)),
        )
        with torch.no_grad():
            away = [model.predict(x, t, model.embed([""], image)) for image in (one, other)]
            told = [model.predict(x, t, model.embed(["a"], image)) for image in (one, other)]
        assert torch.equal(away[0], away[1])
        assert not torch.allclose(told[0], told[1], atol=1e-4)

    def test_levels_follow_the_published_law(self, model: VideoModel) -> None:
        # the median is exp(0.7); one deviation above it is exp(0.7 + 1.6)
        above = 0.5 * (1 + math.erf(1 / math.sqrt(2)))
        t = model.timesteps(torch.tensor([0.5, above]))
        assert t.tolist() == pytest.approx([math.exp(0.7), math.exp(2.3)], rel=1e-3)

    def test_both_clips_of_a_pair_see_one_noise_on_the_image(self, model: VideoModel) -> None:
        images = tiny_image.first(model.sample_defaults)
        one, other = (model.embed(["a"], images).tensors["latents"] for _ in range(2))
        assert torch.equal(one, other)

    def test_sizes(self, model: VideoModel) -> None:
        wrong = SampleSettings(frames=4, height=18, width=32, fps=7, steps=1, guidance=1)
        with pytest.raises(UserError, match="multiples of 4"):
            model.check(wrong)

    def test_numbers_beside_the_image(self, model: VideoModel) -> None:
        told = model.embed(["a"], tiny_image.first(model.sample_defaults))
        assert told.tensors["numbers"].tolist() == [[6.0, svd.MOTION, pytest.approx(0.02)]]

"""What each family of its own promises, beside the contract of `test_models.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from data.errors import UserError
from tests.train import families
from tests.train.families import hunyuan15
from train import bank, models
from train.models import VideoModel
from train.policy import attach

PROMPTS = ["a red circle", "a blue square"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], VideoModel]:
    """One copy per family, which nobody may change."""
    known: dict[str, VideoModel] = {}

    def of(name: str) -> VideoModel:
        if name not in known:
            folder = tmp_path_factory.mktemp("families") / name
            known[name] = models.load(str(families.module(name).save(folder)))
        return known[name]

    return of


def latents(model: VideoModel, batch: int = 1) -> Tensor:
    return bank.noise("test", "family", 0, (batch, *model.latent_shape(model.sample_defaults)))


class Spy:
    """Stands for a network: notes what it is told and answers with a tensor."""

    def __init__(self, answer: Tensor) -> None:
        self.answer, self.told = answer, {}

    def __call__(self, **told: Any) -> tuple[Tensor]:
        self.told = told
        return (self.answer,)


class TestMochi:
    def test_sign_and_clock_are_turned(self, loaded: Callable[[str], VideoModel]) -> None:
        """Its network says latents - noise, and its clock is 0 at pure noise."""
        model: Any = loaded("mochi")
        x, noise, t = latents(model), torch.ones_like(latents(model)), torch.tensor([0.75])
        network = Spy(x - noise)
        said = model.call(network, model.noised(x, noise, t), t, model.embed(PROMPTS[:1]))
        assert torch.equal(said, model.target(x, noise, t))
        assert network.told["timestep"].tolist() == [250.0]

    def test_an_empty_prompt_does_not_blank_its_batch(
        self, loaded: Callable[[str], VideoModel]
    ) -> None:
        model = loaded("mochi")
        alone, both = model.embed(PROMPTS[:1]), model.embed([PROMPTS[0], ""])
        assert torch.equal(both.tensors["text"][:1], alone.tensors["text"])
        assert both.tensors["mask"].any(1).tolist() == [True, False]
        theirs = model.pipeline.encode_prompt([PROMPTS[0], ""], max_sequence_length=8)[1]
        assert not theirs.any()  # why


class TestHunyuan:
    def test_the_network_is_told_a_guidance_of_six(
        self, loaded: Callable[[str], VideoModel]
    ) -> None:
        model: Any = loaded("hunyuan")
        x, told = latents(model, 2), model.embed(PROMPTS)
        network = Spy(x)
        model.call(network, x, torch.tensor([1.0, 0.5]), told)
        assert network.told["guidance"].tolist() == [6000.0, 6000.0]
        assert network.told["timestep"].tolist() == [1000.0, 500.0]
        assert told.tensors["mask"].sum(1).tolist() == [4, 4]  # three words and the end of turn


class TestHunyuan15:
    def test_the_adapter_loads_with_diffusers(
        self, loaded: Callable[[str], VideoModel], tmp_path: Path
    ) -> None:
        """As the family's documentation says, where the pipeline has no loader."""
        source = loaded("hunyuan15").source
        model = models.load(source)
        policy = attach(model, rank=2, alpha=6, seed=0)
        with torch.no_grad():
            for weight in policy.parameters:
                weight.add_(0.1)
        file = policy.save(tmp_path)
        assert not hasattr(model.pipeline, "load_lora_weights")
        fresh = models.load(source)
        network: Any = fresh.components["transformer"]
        network.load_lora_adapter(tmp_path, weight_name=file.name, prefix=None)
        x, t, told = latents(model), torch.tensor([0.5]), model.embed(PROMPTS[:1])
        with torch.no_grad():
            assert torch.allclose(fresh.predict(x, t, told), model.predict(x, t, told), atol=1e-5)

    def test_quoted_words_reach_the_glyph_encoder(
        self, loaded: Callable[[str], VideoModel]
    ) -> None:
        told = loaded("hunyuan15").embed(['a "red" circle', "a red circle"])
        assert told.tensors["glyph_mask"].any(1).tolist() == [True, False]

    def test_mean_flow_is_refused(self, tmp_path: Path) -> None:
        hunyuan15.save(tmp_path, use_meanflow=True)
        with pytest.raises(UserError, match="mean-flow"):
            models.load(str(tmp_path))


class TestCogVideoX:
    def test_the_last_timestep_is_pure_noise(self, loaded: Callable[[str], VideoModel]) -> None:
        model = loaded("cogvideox")
        x, noise = latents(model), torch.ones_like(latents(model))
        last = model.timesteps(torch.tensor([0.9999]))
        assert last.tolist() == [999.0] == model.schedule(4)[:1].tolist()
        assert torch.equal(model.noised(x, noise, last), noise)

    def test_time_comes_before_channels(self, loaded: Callable[[str], VideoModel]) -> None:
        model: Any = loaded("cogvideox")
        x = latents(model)
        network = Spy(x.transpose(1, 2))
        said = model.call(network, x, torch.tensor([7.0]), model.embed(PROMPTS[:1]))
        assert torch.equal(network.told["hidden_states"], x.transpose(1, 2))
        assert torch.equal(said, x)

    def test_1_5_begins_with_its_first_latent_frame_twice(
        self, loaded: Callable[[str], VideoModel]
    ) -> None:
        model = loaded("cogvideox15")
        settings = model.sample_defaults
        clip = torch.rand(1, settings.frames, 3, settings.height, settings.width)
        encoded = model.encode(clip)
        assert torch.equal(encoded[:, :, 0], encoded[:, :, 1])
        assert not torch.equal(encoded[:, :, 1], encoded[:, :, 2])
        other = encoded.clone()
        other[:, :, 0] = 0
        assert torch.equal(model.decode(other), model.decode(encoded))


class TestLtx:
    def test_larger_clips_get_more_noise(self, loaded: Callable[[str], VideoModel]) -> None:
        model, u = loaded("ltx"), torch.tensor([0.5])
        small, large = (model.timesteps(u, (8, frames, 4, 8)) for frames in (3, 6))
        assert large > small == model.timesteps(u)

    def test_tokens_are_packed_and_come_back(self, loaded: Callable[[str], VideoModel]) -> None:
        model: Any = loaded("ltx")
        x = latents(model)
        network = Spy(x.flatten(2).transpose(1, 2))  # a token per position: channels last
        said = model.call(network, x, torch.tensor([0.5]), model.embed(PROMPTS[:1]))
        assert torch.equal(network.told["hidden_states"], network.answer)
        assert torch.equal(said, x)
        # seconds per latent frame (4 frames at 25 a second), pixels per latent row and column
        assert network.told["rope_interpolation_scale"] == (4 / 25, 8, 8)


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        ("ltx", {"width": 60}, "multiples of 8 pixels"),
        ("ltx", {"frames": 8}, "4n \\+ 1"),
        ("mochi", {"height": 24}, "multiples of 16 pixels"),
        ("mochi", {"frames": 9}, "6n \\+ 1"),
        ("cogvideox", {"height": 28}, "multiples of 8 pixels"),
        ("cogvideox", {"frames": 13}, "8n \\+ 1"),
        ("cogvideox15", {"frames": 13}, "8n \\+ 1"),
        ("hunyuan", {"frames": 6}, "4n \\+ 1"),
        ("hunyuan15", {"width": 30}, "multiples of 4 pixels"),
    ],
)
def test_sizes_are_refused_by_their_rule(
    loaded: Callable[[str], VideoModel], name: str, wrong: dict[str, Any], says: str
) -> None:
    model = loaded(name)
    with pytest.raises(UserError, match=says):
        model.check(replace(model.sample_defaults, **wrong))
    with pytest.raises(ValueError, match="encodes"):
        model.encode(torch.rand(1, 4, 3, 32, 32))

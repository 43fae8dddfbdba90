"""Adapter files of networks that diffusers has no loader for: two plain networks as one model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from data.errors import UserError
from train import bank, policy
from train.models import Conditions, SampleSettings, VideoModel
from train.models.generator import Generator
from train.models.lora import NetworkLora
from train.models.wan import WanAutoencoder
from train.parametrisation import Flow
from train.policy import WEIGHTS, attach, continue_from


class Expert(nn.Module):
    """No diffusers model: it knows nothing of adapters."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.to_q, self.last = nn.Linear(6, 6), nn.Linear(6, 3)
        for i, weight in enumerate(self.parameters()):
            weight.data = bank.noise(seed, "expert", i, tuple(weight.shape))


def model(names: tuple[str, ...] = ("high", "low")) -> VideoModel:
    """Fresh and equal networks each time; the parts that no adapter needs are of nothing."""
    components = {name: Expert(seed) for seed, name in enumerate(names)}
    return Generator(
        source="nowhere",
        name="experts",
        pipeline=SimpleNamespace(components={}),
        components=components,
        lora=NetworkLora(components),
        lora_targets=("to_q",),
        sample_defaults=SampleSettings(frames=1, height=1, width=1, fps=1.0, steps=1, guidance=1.0),
        parametrisation=Flow(),
        autoencoder=WanAutoencoder(vae=None, patch=(1, 1, 1)),
        text=lambda prompts: Conditions({}),
        call=lambda *told: told[1],
    )


def outputs(of: VideoModel) -> Tensor:
    x = bank.noise("test", "input", 0, (2, 6))
    return torch.stack([cast(Any, part).last(cast(Any, part).to_q(x)) for part in parts(of)])


def parts(of: VideoModel) -> list[nn.Module]:
    return list(of.components.values())


@pytest.fixture
def trained() -> policy.Policy:
    """As if trained; alpha is not the rank."""
    made = attach(model(), rank=2, alpha=6, seed=0)
    with torch.no_grad():
        for weight in made.parameters:
            weight.add_(0.1)
    return made


def test_every_expert_has_an_adapter_of_its_own() -> None:
    bare = outputs(model())
    made = attach(model(), rank=2, alpha=6, seed=0)
    assert torch.equal(outputs(made.model), bare)
    assert len(made.parameters) == 4  # A and B on one layer of each
    assert not torch.equal(made.parameters[0], made.parameters[2])
    outputs(made.model).sum().backward()
    assert all(weight.grad is not None for weight in made.parameters)


def test_experts_are_switched_together(trained: policy.Policy) -> None:
    moved, bare = outputs(trained.model), outputs(model())
    assert ((moved - bare).abs().amax((1, 2)) > 0).all()
    with trained.reference():
        assert torch.equal(outputs(trained.model), bare)
    assert torch.equal(outputs(trained.model), moved)


def test_a_file_per_expert_comes_back(trained: policy.Policy, tmp_path: Path) -> None:
    trained.save(tmp_path / "one")
    assert [f.name for f in sorted((tmp_path / "one").iterdir())] == [f"low.{WEIGHTS}", WEIGHTS]
    fresh = model()
    policy.load(fresh, tmp_path / "one")
    assert torch.equal(outputs(fresh), outputs(trained.model))
    assert not any(weight.requires_grad for weight in fresh.network.parameters())
    trained.save(tmp_path / "two")
    for name in (WEIGHTS, f"low.{WEIGHTS}"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_state_comes_back(trained: policy.Policy) -> None:
    other = attach(model(), rank=2, alpha=6, seed=9)
    other.load_state(trained.state())
    assert torch.equal(outputs(other.model), outputs(trained.model))


def test_an_earlier_adapter_is_the_reference(trained: policy.Policy, tmp_path: Path) -> None:
    trained.save(tmp_path)
    start = outputs(trained.model)
    later = continue_from(model(), tmp_path)
    assert torch.equal(outputs(later.model), start)
    with torch.no_grad():
        later.parameters[0].add_(1.0)
    assert not torch.equal(outputs(later.model), start)
    with later.reference():
        assert torch.equal(outputs(later.model), start)


class TestRefusals:
    def test_a_missing_expert(self, trained: policy.Policy, tmp_path: Path) -> None:
        trained.save(tmp_path)
        (tmp_path / f"low.{WEIGHTS}").unlink()
        with pytest.raises(UserError, match=rf"low\.{WEIGHTS} is missing"):
            policy.load(model(), tmp_path)

    def test_a_file_without_its_alpha(self, trained: policy.Policy, tmp_path: Path) -> None:
        file = trained.save(tmp_path)
        save_file(load_file(file), file)
        with pytest.raises(UserError, match="lora_adapter_metadata"):
            policy.load(model(), tmp_path)

    def test_weights_of_another_network(self, trained: policy.Policy, tmp_path: Path) -> None:
        trained.save(tmp_path)
        other = model(("high",))
        cast(Any, other.components["high"]).to_q = nn.Linear(4, 4)
        with pytest.raises(UserError, match="size mismatch"):
            policy.load(other, tmp_path)

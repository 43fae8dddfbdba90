"""DDPO on a model with random weights: its arithmetic, its direction, its files."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from data.errors import UserError
from data.omniscore import PROFILES
from data.store import Store
from tests.train.bright import TEXTS, every_reward, settings, weights
from train import ddpo, models, policy
from train.reward import rewards, trajectory
from train.reward.backprop import Draws


@pytest.fixture(autouse=True)
def brightness(monkeypatch: pytest.MonkeyPatch) -> None:
    every_reward(monkeypatch)


@pytest.fixture
def config(tmp_path: Path, tiny_folder: Path) -> ddpo.Config:
    shared: dict[str, Any] = settings(tmp_path, tiny_folder) | {"batch": 4}
    return ddpo.Config(steps=2, save_every=1, **shared)


def test_log_chance_by_hand():
    """-((x - m) / s)^2 / 2, mean over elements: ((1 / .5)^2 + (2 / .5)^2) / 2 / 2 = 5."""
    drawn, mean = torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2)
    assert trajectory.log_chance(drawn, mean, torch.tensor(0.5)).tolist() == [-5.0]


def test_advantages_by_hand():
    """Mean 2, deviation sqrt(2/3)."""
    found = trajectory.advantages(torch.tensor([1.0, 2.0, 3.0])).tolist()
    assert found == pytest.approx([-math.sqrt(1.5), 0, math.sqrt(1.5)])
    assert trajectory.advantages(torch.tensor([7.0, 7.0])).tolist() == [0, 0]
    many = torch.cat([torch.zeros(99), torch.ones(1)])
    assert trajectory.advantages(many)[-1] == 5  # sqrt(99) before it is cut


def test_the_clipped_loss_by_hand():
    ratio = torch.tensor([1.5, 1.5, 0.5, 0.5])
    advantage = torch.tensor([1.0, -1.0, 1.0, -1.0])
    found = trajectory.clipped(ratio, advantage, 0.1).tolist()
    # no more is gained beyond 1.1 and below 0.9; what got worse counts in full
    assert found == pytest.approx([-1.1, 1.5, -0.5, 0.9])


def test_an_update_makes_what_was_rewarded_likelier(tiny_model: models.VideoModel):
    trained = policy.attach(tiny_model, rank=2, alpha=2, seed=0)
    few = replace(tiny_model.sample_defaults, steps=3)
    chances = trajectory.Chances(tiny_model, few, 1.0, 4)
    draws = Draws(seed=0, step=0, clips=[(text, k) for text in TEXTS[:2] for k in (0, 1)])
    before = chances.sampled(draws)
    assert len(before.latents) == 4  # the noise and three steps
    assert len(before.chances) == 2  # the last step is sure
    reward = rewards.Mixture({"bright": 1.0}, device="cpu")
    with torch.no_grad():
        values = reward(tiny_model.decode(before.latents[-1]), before.prompts, 8.0)
    optimizer = torch.optim.SGD(trained.parameters, lr=1.0)
    metrics = trajectory.update(trained, chances, reward, optimizer, draws, parts=1, clip=10.0)
    assert metrics["reward"] == pytest.approx(values.mean().item())
    assert metrics["clipped"] == 0
    found = trajectory._descend(chances, before, torch.arange(4), torch.zeros(4), 10.0, share=1.0)
    assert found["loss"] == 0  # nothing to gain without advantages
    gained = torch.zeros(4)
    guidance = trajectory.Guidance.of(tiny_model, before.prompts, few.guidance)
    with torch.no_grad():
        for i, old in enumerate(before.chances):
            mean, deviation = chances.drawn_from(before.latents[i], guidance, i)
            gained += trajectory.log_chance(before.latents[i + 1], mean, deviation) - old
    assert (gained * trajectory.advantages(values)).sum() > 0


def test_a_resumed_run_is_the_uninterrupted_one(config: ddpo.Config):
    whole = ddpo.run(config)
    half = ddpo.run(replace(config, steps=1))
    resumed = ddpo.resume(half.folder, steps=2)
    assert weights(resumed) == weights(whole)
    with Store.open(config.db) as store:
        assert {run.kind for run in store.all("runs")} == {"ddpo"}
    assert "(DDPO)" in (Path(whole.folder) / "adapter" / "README.md").read_text()


def test_what_cannot_be_trained_is_refused(config: ddpo.Config):
    with pytest.raises(UserError, match="multiple of --updates, 3"):
        ddpo.run(replace(config, updates=3))
    with pytest.raises(UserError, match="--eta is 0"):
        replace(config, eta=0.0)
    with pytest.raises(UserError, match="write none or blocks"):
        replace(config, checkpointing="decoder")


def test_a_reward_needs_no_gradient(monkeypatch: pytest.MonkeyPatch):
    """`flow` has none: DDPO takes it, alone and within OmniScore; VADER does not."""
    monkeypatch.undo()  # the real scorers
    frames = torch.rand(2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    alone = rewards.Mixture({"flow": 1.0}, device="cpu", gradients=False)
    whole = rewards.Mixture(
        {"omniscore": 1.0}, device="cpu", omniscore=PROFILES["lite"], gradients=False
    )
    assert whole.silent == ()
    for reward in (alone, whole):
        assert torch.isfinite(reward(frames, ["x", "y"], 8.0)).all()
    with pytest.raises(UserError, match=r"'flow' gives no gradients.*train\.ddpo needs none"):
        rewards.Mixture({"flow": 1.0}, device="cpu")

"""`python -m train.vader` on a model with random weights: gradients, repeatability, files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import scorers
from data import video
from data.errors import UserError
from data.records import Prompt
from data.store import Store
from train import models, policy, rewards, rollout, vader
from train.models import wan
from train.policy import WEIGHTS

TEXTS = ["a red circle moving left", "a blue square", "a red square moving right"]


class Brightness:
    """A reward that is easily followed: the mean value of the frames."""

    name, version, dimensions, differentiable = "brightness", "1", ("brightness",), True

    def __call__(self, frames: Tensor, prompts: list[str], fps: list[float]) -> Tensor:
        assert len(frames) == len(prompts) == len(fps)
        return frames.flatten(1).mean(1, keepdim=True)


@pytest.fixture(autouse=True)
def brightness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every reward name is the brightness of the clip."""
    monkeypatch.setattr(scorers, "load_reward", lambda name, *, device: Brightness())


@pytest.fixture
def config(tmp_path: Path, tiny_folder: Path) -> vader.Config:
    db = str(tmp_path / "prefs.duckdb")
    with Store.open(db) as store:
        store.add([*(Prompt(text=text) for text in TEXTS), Prompt(text="a test", split="test")])
    return vader.Config(
        db=db, model=str(tiny_folder), reward="bright", steps=4, batch=2, rank=2, lr=5e-3,
        save_every=2, grid=0, out=str(tmp_path / "runs"), device="cpu",
    )  # fmt: skip


def weights(run) -> bytes:
    return (Path(run.folder) / "adapter" / WEIGHTS).read_bytes()


def metrics(run) -> list[dict]:
    lines = (Path(run.folder) / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_the_reward_rises_and_everything_is_written(config: vader.Config):
    run = vader.run(replace(config, steps=8, lr=0.1, k=2, grid=1))
    logged = metrics(run)
    assert [line["step"] for line in logged] == list(range(8))
    first, last = logged[0], logged[-1]
    assert first["drift"] == 0  # before the first step the policy is the reference
    assert last["drift"] > 0
    assert first["loss"] == pytest.approx(-first["reward"])
    assert 0 <= last["saturated"] <= 1
    assert all(line["gradient"] > 0 for line in logged)
    folder = Path(run.folder)
    assert (folder / "samples" / "sheet.png").is_file()
    before, after = (
        video.read(folder / "samples" / f"{name}-1.mp4")[0] for name in ("before", "after")
    )
    assert after.mean() > before.mean() + 0.5  # brighter, of 255, from the same noise
    with Store.open(config.db) as store:
        (record,) = store.all("runs")
    assert (record.kind, record.id) == ("vader", run.id)
    assert record.finished_ms >= record.started_ms
    assert record.metrics["reward"] == pytest.approx(last["reward"])


def test_the_same_command_gives_the_same_bytes_and_another_seed_does_not(config: vader.Config):
    one, same = vader.run(config), vader.run(config)
    other = vader.run(replace(config, seed=1))
    assert one.id != same.id
    assert weights(one) == weights(same)
    assert weights(one) != weights(other)


def test_a_resumed_run_is_the_uninterrupted_one(config: vader.Config):
    whole = vader.run(config)
    half = vader.run(replace(config, steps=2))
    resumed = vader.resume(half.folder, steps=4)
    assert weights(resumed) == weights(whole)
    assert metrics(resumed) == metrics(whole)


def test_only_train_prompts_are_used_and_each_once_per_epoch(config: vader.Config):
    prompts = vader.train_prompts(config.db)
    assert prompts == sorted(TEXTS)
    seen = [place for step in range(6) for place in vader.pick(prompts, step, config)]
    assert sorted(seen) == sorted((text, epoch) for text in TEXTS for epoch in range(4))
    assert vader.pick(prompts, 3, config) == vader.pick(prompts, 3, config)


@pytest.mark.parametrize("grad_steps", [1, 2])
def test_the_gradient_is_that_of_finite_differences(
    tiny_model: models.VideoModel, grad_steps: int, monkeypatch: pytest.MonkeyPatch
):
    """Through sampler, both branches of the guidance, decoder and reward, over all weights.

    Without the clamp, whose gradient is another one on purpose (straight-through).
    """
    monkeypatch.setattr(wan._StraightThroughClamp, "apply", staticmethod(lambda frames: frames))
    trained = policy.attach(tiny_model, rank=2, alpha=2, seed=0)
    for weight in trained.parameters:  # away from zero, where half of the gradients vanish
        weight.data += 0.3
    settings = replace(tiny_model.sample_defaults, steps=2)
    rolled = rewards.RolloutAndReward(
        trained, rewards.Mixture({"bright": 1.0}, device="cpu"), settings, grad_steps=grad_steps
    )
    noise = rollout.initial_noise(tiny_model, settings, [3])
    rolled(noise, TEXTS[:1]).rewards.sum().backward()
    gradient = [w.grad.clone() for w in trained.parameters if w.grad is not None]
    slope = torch.stack([part.square().sum() for part in gradient]).sum().sqrt().item()
    schedule = tiny_model.schedule(2)
    guidance = rollout.Guidance.of(tiny_model, TEXTS[:1], settings.guidance)
    with torch.no_grad():  # along the gradient, in the last K steps alone: the prefix is held fixed
        late = rollout.denoise(tiny_model, noise, guidance, schedule, range(2 - grad_steps))

        def value(step: float) -> float:
            for weight, part in zip(trained.parameters, gradient, strict=True):
                weight.data += step / slope * part
            done = rollout.denoise(tiny_model, late, guidance, schedule, range(2 - grad_steps, 2))
            for weight, part in zip(trained.parameters, gradient, strict=True):
                weight.data -= step / slope * part
            return tiny_model.decode(done).double().mean().item()

        measured = (value(0.03) - value(-0.03)) / 0.06
    assert measured == pytest.approx(slope, rel=0.02)


def test_a_mixture_by_hand():
    frames = torch.full((2, 3, 3, 16, 16), 0.5)
    mixture = rewards.Mixture({"one": 2.0, "other": -0.5}, device="cpu")
    assert mixture(frames, ["a", "b"], 8.0).tolist() == [0.75, 0.75]  # 2 * 0.5 - 0.5 * 0.5
    with pytest.raises(UserError, match="cannot judge"):
        mixture(frames / 0 * 0, ["a", "b"], 8.0)


def test_losses_by_hand():
    values = torch.tensor([1.0, 3.0])
    assert rewards.LOSSES["negative-mean"](values, 0.0).item() == -2
    assert rewards.LOSSES["distance"](values, 10.0).item() == 8
    assert rewards.LOSSES["hinge"](values, 2.0).item() == 0.5  # (max(0, 1) + max(0, -1)) / 2


def test_rewards_are_named_with_weights():
    assert rewards.parse("hps, aesthetic:0.1") == {"hps": 1.0, "aesthetic": 0.1}


@pytest.mark.parametrize("text", ["", "a,,b", "a:x", "a:0", "a,a:2", "a:inf"])
def test_rewards_that_are_not_understood_are_refused(text: str):
    with pytest.raises(UserError, match="--reward"):
        rewards.parse(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"k": 9}, "--k is 9"), ({"loss": "x"}, "--loss"), ({"model": "x"}, "neither built in")],
)
def test_what_cannot_be_trained_is_refused(config: vader.Config, change: dict, message: str):
    with pytest.raises(UserError, match=message):
        vader.run(replace(config, **change))


def test_no_prompts_and_no_positive_numbers(tmp_path: Path):
    with pytest.raises(UserError, match="above 0"):
        vader.Config(lr=0)
    db = str(tmp_path / "empty.duckdb")
    with Store.open(db) as store:
        store.add([Prompt(text="a test", split="test")])
    with pytest.raises(UserError, match="no train prompts"):
        vader.train_prompts(db)

"""`python -m train.vader` on a model with random weights: gradients, repeatability, files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from data import video
from data.errors import UserError
from data.records import Prompt
from data.store import Store
from tests.train.bright import TEXTS, every_reward, metrics, settings, weights
from train import models, policy, vader
from train.models import SampleSettings, parts
from train.reward import ascent, reward_run, rewards
from train.reward.backprop import Backprop, Draws
from train.reward.frames import Scoring
from train.reward.rewarded import RolloutAndReward
from train.run.distributed import ALONE
from train.sampling import rollout


@pytest.fixture(autouse=True)
def brightness(monkeypatch: pytest.MonkeyPatch) -> None:
    every_reward(monkeypatch)


@pytest.fixture
def config(tmp_path: Path, tiny_folder: Path) -> vader.Config:
    given = settings(tmp_path, tiny_folder)
    return vader.Config(steps=4, save_every=2, watch_clips=0, plan="none", **given)


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
    card = (folder / "adapter" / "README.md").read_text()
    assert (
        f"{first['reward']:.4g} in the first of 8 steps, {last['reward']:.4g} in the last" in card
    )
    before, after = (
        video.read(folder / "samples" / f"{name}-1.mp4")[0] for name in ("before", "after")
    )
    assert after.mean() > before.mean() + 0.5  # brighter, of 255, from the same noise
    with Store.open(config.db) as store:
        (record,) = store.all("runs")
    assert (record.kind, record.id) == ("vader", run.id)
    assert record.finished_ms >= record.started_ms
    assert record.metrics["reward"] == pytest.approx(last["reward"])


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit_and_another_seed_is_not(
    config: vader.Config,
):
    whole, other = vader.run(config), vader.run(replace(config, seed=1))
    half = vader.run(replace(config, steps=2))
    resumed = vader.resume(half.folder, steps=4)
    assert whole.id != resumed.id
    assert weights(resumed) == weights(whole)
    assert metrics(resumed) == metrics(whole)
    assert weights(other) != weights(whole)


def test_only_train_prompts_are_used_and_each_once_per_epoch(config: vader.Config):
    prompts = reward_run.train_prompts(config.db)
    assert prompts == sorted(TEXTS)
    seen = [clip for step in range(6) for clip in ascent.drawn(prompts, step, config).clips]
    assert sorted(seen) == sorted((text, epoch) for text in TEXTS for epoch in range(4))
    assert ascent.drawn(prompts, 3, config) == ascent.drawn(prompts, 3, config)


def rolling(
    model: models.VideoModel, settings: SampleSettings, scoring: Scoring | None = None, **plan
) -> RolloutAndReward:
    """A rollout whose adapter is away from zero, where half of the gradients vanish."""
    trained = policy.attach(model, rank=2, alpha=2, seed=0)
    for weight in trained.parameters:
        weight.data += 0.3
    mixture = rewards.Mixture({"bright": 1.0}, device="cpu")
    backprop = Backprop(total=settings.steps, **plan)
    return RolloutAndReward(trained, mixture, settings, backprop, scoring)


@pytest.mark.parametrize("k", [1, 2])
def test_the_gradient_is_that_of_finite_differences(
    tiny_model: models.VideoModel, k: int, monkeypatch: pytest.MonkeyPatch
):
    """Through sampler, both branches of the guidance, decoder and reward, over all weights.

    Without the clamp, whose gradient is another one on purpose (straight-through).
    """
    monkeypatch.setattr(parts._StraightThroughClamp, "apply", staticmethod(lambda frames: frames))
    few = replace(tiny_model.sample_defaults, steps=2)
    rolled = rolling(tiny_model, few, k=k)
    draws = Draws(seed=0, step=0, clips=[(TEXTS[0], 0)])
    rolled(draws).rewards.sum().backward()
    weights = rolled._policy.parameters
    gradient = [weight.grad.clone() for weight in weights if weight.grad is not None]
    slope = torch.stack([part.square().sum() for part in gradient]).sum().sqrt().item()
    sampler = rollout.Sampler(tiny_model, 2)
    guidance = rollout.Guidance.of(tiny_model, TEXTS[:1], few.guidance)
    noise = draws.noise("vader", tiny_model, tiny_model.latent_shape(few))
    with torch.no_grad():  # along the gradient, in the last K steps alone: the prefix is held fixed
        late = rollout.denoise(sampler, noise, guidance, range(2 - k))

        def value(step: float) -> float:
            for weight, part in zip(weights, gradient, strict=True):
                weight.data += step / slope * part
            done = rollout.denoise(sampler, late, guidance, range(2 - k, 2))
            for weight, part in zip(weights, gradient, strict=True):
                weight.data -= step / slope * part
            return tiny_model.decode(done).double().mean().item()

        measured = (value(0.03) - value(-0.03)) / 0.06
    assert measured == pytest.approx(slope, rel=0.02)


def test_parts_of_a_batch_have_the_gradient_of_the_whole(config: vader.Config):
    """Also where every part draws noise of its own on the way (eta)."""
    found = []
    for micro in (None, 1):
        changed = replace(config, batch=3, eta=0.5, k=2, micro=micro)
        made = reward_run.rolling(changed, ALONE, TEXTS)
        optimizer = torch.optim.SGD(made.policy.parameters, lr=1.0)
        climb = ascent.prepare(made.rolled, made.policy, optimizer, ALONE)
        draws = ascent.drawn(TEXTS, 0, changed)
        found.append(ascent.update(climb, made.rolled, changed, draws))
    assert found[0] == pytest.approx(found[1], rel=1e-4)


WAYS = [
    ({"steps": "random", "k": 2}, Scoring()),
    ({"steps": "0,2", "stop": True}, Scoring(spec="first")),
    ({"inner": 2, "branches": "conditional"}, Scoring(spec="every:4", checkpointed=True)),
    ({"shortcut": 2, "checkpoint": True, "offload": True}, Scoring(spec="random")),
    ({"eta": 1.0, "k": 3}, Scoring(spec="latent:random", exact=False)),
]


@pytest.mark.parametrize(("plan", "scoring"), WAYS)
def test_every_way_to_the_gradient_is_repeatable(
    tiny_model: models.VideoModel, plan: dict, scoring: Scoring
):
    rolled = rolling(tiny_model, tiny_model.sample_defaults, scoring, **plan)
    draws = Draws(seed=0, step=0, clips=[(text, 0) for text in TEXTS[:2]])
    found = []
    for some in (draws, draws, replace(draws, seed=1)):
        made = rolled(some)
        assert len(made.rewards) == 2 * plan.get("inner", 1)
        grads = torch.autograd.grad(made.rewards.mean(), rolled._policy.parameters)
        found.append(torch.cat([grad.flatten() for grad in grads]))
    assert torch.isfinite(found[0]).all()
    assert found[0].abs().sum() > 0
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


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
    [
        ({"k": 9}, "--k is 9"),
        ({"loss": "x"}, "--loss"),
        ({"model": "x"}, "neither built in"),
        ({"width": 17}, "17x16"),
        ({"score_frames": "9"}, "--score-frames"),
        ({"stop": "fine", "watch_clips": 1}, "--stop"),
        ({"scales": "big"}, "--scales"),
        ({"from_adapter": "nowhere"}, "no adapter at 'nowhere'"),
        ({"reward": "versus"}, "compares two clips.*--judge versus.*--labels auto"),
        ({"watch": "versus", "watch_clips": 1}, "compares two clips"),
        ({"watch": "bright", "watch_clips": 1}, "--watch bright is trained on"),
        ({"reward": "omniscore", "profile": "versus"}, "compares two clips"),
    ],
)
def test_what_cannot_be_trained_is_refused(config: vader.Config, change: dict, message: str):
    with pytest.raises(UserError, match=message):
        vader.run(replace(config, **change))
    with Store.open(config.db) as store:  # nor is a run begun
        assert store.all("runs") == []
    assert not Path(config.out).exists()


def test_no_prompts_and_no_positive_numbers(tmp_path: Path):
    with pytest.raises(UserError, match="above 0"):
        vader.Config(lr=0)
    with pytest.raises(UserError, match="--eta"):
        vader.Config(eta=1.5)
    with pytest.raises(UserError, match="names 'all'"):
        vader.Config(checkpointing="blocks,all")
    db = str(tmp_path / "empty.duckdb")
    with Store.open(db) as store:
        store.add([Prompt(text="a test", split="test")])
    with pytest.raises(UserError, match="no train prompts"):
        reward_run.train_prompts(db)


def test_a_device_without_memory_is_said_with_what_takes_less(
    config: vader.Config, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(ascent, "update", full)
    with pytest.raises(
        UserError, match=r"--checkpointing network.* train\.vader --resume .*vader-"
    ):
        vader.run(config)

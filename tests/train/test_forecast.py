"""What a step on rewards will take: counted beside what it takes, on the tiny model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import scorers
from data.errors import UserError
from tests.train import families
from tests.train.bright import TEXTS, Brightness
from train.reward import budget, forecast, reward_run, vader_config
from train.reward.backprop import Draws
from train.reward.budget import ClipCost, Forecast
from train.reward.forecast import Step
from train.run.distributed import ALONE
from train.run.ledger import Ledger

DRAWS = Draws(seed=0, step=0, clips=[(TEXTS[0], 0)])


def cost(peak: int, flops: float) -> ClipCost:
    return ClipCost(network=1, decoder=1, reward=1, peak=peak, flops=flops)


COSTS = [((), cost(1000, 10.0)), (("decoder",), cost(500, 11.0)), (("network",), cost(700, 10.5))]


@pytest.mark.parametrize(
    ("room", "parts", "micro"),
    [
        (4500, (), 4),  # 100 + 1.1 * 4 * 1000
        (4499, (), 2),
        (1200, (), 1),
        (1199, ("network",), 1),  # less arithmetic than the decoder's: 870
        (869, ("decoder",), 1),  # 650
    ],
)
def test_the_least_arithmetic_that_fits(room: int, parts: tuple[str, ...], micro: int):
    made = budget.choose(COSTS, clips=4, fixed=100, room=room)
    assert (made.parts, made.micro) == (parts, micro)
    assert made.peak <= room


def test_where_nothing_fits_it_says_what_to_do():
    with pytest.raises(UserError, match=r"6.05e-07 GiB at the least.*--score-frames random"):
        budget.choose(COSTS, clips=4, fixed=100, room=600)


def test_it_is_said_per_clip_and_in_all():
    made = Forecast(parts=("network",), micro=2, cost=cost(2**30, 1e12), fixed=2**30, clips=4)
    assert made.flops == 4e12
    said = str(replace(made, cost=replace(made.cost, uncounted=("yolos",))))
    assert "--checkpointing network --micro 2: about 3.2 GiB" in said  # 1 + 1.1 * 2
    assert "1 at the worst moment; not counted: yolos" in said


@pytest.fixture
def rewarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorers, "load_reward", lambda name, **_: Brightness())


def config(folder: Path, **given: Any) -> vader_config.Config:
    small = {"device": "cpu", "batch": 4, "sampler_steps": 2, "rank": 2, "reward": "bright"}
    return vader_config.Config(model=str(folder), **{**small, "plan": "none", **given})


def stepping(folder: Path, **given: Any) -> tuple[reward_run.Rolling, Step]:
    parts = reward_run.rolling(config(folder, **given), ALONE, TEXTS)
    rolled = parts.rolled
    return parts, Step(
        policy=parts.policy, reward=parts.reward, settings=parts.settings,
        backprop=rolled._plan, scoring=rolled._scoring,
    )  # fmt: skip


def really(parts: reward_run.Rolling) -> Ledger:
    """What the step's own code takes."""
    with Ledger() as ledger:
        made = parts.rolled(DRAWS).rewards.mean()
        torch.autograd.grad(made, parts.policy.parameters, allow_unused=True)
    return ledger


@pytest.mark.usefixtures("rewarded")
@pytest.mark.parametrize("again", ["none", "network,decoder,reward"])
def test_one_clip_is_counted_as_it_is(tiny_folder: Path, again: str):
    parts, step = stepping(tiny_folder, checkpointing=again, score_frames="0,4")
    found, real = forecast.counted(step, TEXTS[0], parts.config.again), really(parts)
    assert found.peak == pytest.approx(real.peak, rel=0.1)
    assert found.flops == pytest.approx(real.flops, rel=0.01)  # the reference has no adapter
    assert all(weight.grad is None for weight in parts.policy.parameters)
    network: Any = parts.policy.model.network
    assert not network.gradient_checkpointing


@pytest.mark.usefixtures("rewarded")
def test_the_ledger_has_what_the_allocator_has(tiny_folder: Path):
    """Of real tensors: every byte that torch's CPU allocator handed out, at the worst moment."""
    parts, _ = stepping(tiny_folder, score_frames="0,4")
    ledger = really(parts)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        really(parts)
    found = list(_allocated(recorded))
    assert ledger.peak == pytest.approx(max(found) - found[0], rel=0.1)


def _allocated(recorded: Any) -> Iterator[int]:
    """Bytes in use after every allocation and release."""
    waiting = list(recorded.profiler.kineto_results.experimental_event_tree())
    events = []
    while waiting:
        event = waiting.pop()
        waiting += event.children
        if str(event.tag).endswith("Allocation"):
            events.append((event.start_time_ns, event.extra_fields.total_allocated))
    return (total for _, total in sorted(events))


@pytest.mark.usefixtures("rewarded")
def test_auto_takes_what_fits_and_a_resumed_run_keeps_to_it(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    costs = {(): cost(1000 * 2**20, 1e9), ("network",): cost(100 * 2**20, 2e9)}
    monkeypatch.setattr(forecast, "WAYS", tuple(costs))
    monkeypatch.setattr(forecast, "counted", lambda step, prompt, parts: costs[tuple(parts)])
    made = reward_run.rolling(config(tiny_folder, plan="auto", memory=1.2), ALONE, TEXTS)
    assert (made.config.checkpointing, made.config.micro) == ("none", 1)
    made = reward_run.rolling(config(tiny_folder, plan="auto", memory=0.5), ALONE, TEXTS)
    assert (made.config.checkpointing, made.config.micro) == ("network", 4)
    assert made.config.plan == "say"  # what was chosen is given from here on
    assert made.rolled._plan.checkpoint
    assert "Expected: --checkpointing none --micro 1: about 1.1 GiB" in capsys.readouterr().out
    costs["blocks",] = costs[()]
    given = reward_run.rolling(
        config(tiny_folder, plan="auto", checkpointing="blocks"), ALONE, TEXTS
    )
    network: Any = given.policy.model.network
    assert network.gradient_checkpointing  # what is given is kept, and only said
    assert "Expected: --checkpointing blocks --micro 4" in capsys.readouterr().out
    with pytest.raises(UserError, match="GiB at the least"):
        reward_run.rolling(config(tiny_folder, plan="auto", memory=1e-3), ALONE, TEXTS)
    with pytest.raises(UserError, match="--memory is 0"):
        config(tiny_folder, memory=0)


def test_a_scorer_that_asks_for_values_is_named(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch):
    class Asking(Brightness):
        def __call__(self, frames, prompts, fps):
            assert frames.mean() < 2
            return super().__call__(frames, prompts, fps)

    monkeypatch.setattr(scorers, "load_reward", lambda name, **_: Asking())
    _, step = stepping(tiny_folder, score_frames="first")
    assert forecast.counted(step, TEXTS[0], ()).uncounted == ("bright",)


@pytest.mark.usefixtures("rewarded")
class TestTheDefault:
    def test_it_is_said_in_one_line_but_not_of_shapes(
        self, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
    ):
        assert vader_config.Config().plan == "say"
        reward_run.rolling(config(tiny_folder, plan="say"), ALONE, TEXTS)
        assert capsys.readouterr().out.startswith("Expected: --checkpointing none --micro 4: ")
        reward_run.rolling(config(Path("shapes"), plan="say"), ALONE, TEXTS)
        assert capsys.readouterr().out == ""

    def test_a_model_that_cannot_be_counted_is_named_and_trained(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        """Wan 2.2 chooses its expert by the noise level's value, which is not known here."""
        folder = families.module("wan22").save(tmp_path / "wan22")
        made = reward_run.rolling(config(folder, plan="say", checkpointing="blocks"), ALONE, TEXTS)
        (said,) = capsys.readouterr().out.splitlines()
        assert said.startswith("--plan cannot count a step of wan22 (aten.")
        networks: list[Any] = list(made.policy.model.components.values())
        assert all(network.gradient_checkpointing for network in networks)
        assert (made.config.plan, made.config.micro) == ("say", None)
        assert made.rolled(DRAWS).rewards.isfinite().all()
        with pytest.raises(UserError, match="--plan cannot count a step of wan22"):
            reward_run.rolling(config(folder, plan="auto"), ALONE, TEXTS)

"""The looks of a run: LoRA scales at each of them, and what watches without gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import scorers
from data.errors import UserError
from data.records import Run
from tests.train.bright import Brightness, every_reward, metrics, settings
from train import vader
from train.reward.watch import Look, Watch, best_scale, scales_of

LOOKED_AT = ("reward", "held_out", "saturated", "chroma", "fine", "motion")


@pytest.fixture
def config(tmp_path: Path, tiny_folder: Path) -> vader.Config:
    small = settings(tmp_path, tiny_folder)
    return vader.Config(
        steps=4, save_every=2, watch_every=2, watch_clips=2, sampler_steps=2, stop="none",
        plan="none", **small,
    )  # fmt: skip


def of(run: Run, split: str) -> list[dict[str, Any]]:
    return [line for line in metrics(run) if line["split"] == split]


class TestScales:
    @pytest.fixture(autouse=True)
    def brightness(self, monkeypatch: pytest.MonkeyPatch) -> None:
        every_reward(monkeypatch)

    def test_every_look_has_its_scales_and_samples_only_what_is_not_known(
        self, config: vader.Config, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A look at the base, two at the policy, and at each of these one at scale 0.5."""
        sampled, swept, look, sweep = [], [], Watch.look, Watch.sweep

        def counted(watch: Watch) -> Look:
            sampled.append(watch)
            return look(watch)

        def noted(watch: Watch, scales: Sequence[float]) -> dict[float, Look]:
            swept.append(list(scales))
            return sweep(watch, scales)

        monkeypatch.setattr(Watch, "look", counted)
        monkeypatch.setattr(Watch, "sweep", noted)
        config = replace(config, scales="0,0.5,1", watch="dark", lr=0.1)
        run = vader.run(config)
        assert (len(sampled), swept) == (5, [[0.5], [0.5]])
        (base,), looks, scales = of(run, "base"), of(run, "watch"), of(run, "scale")
        assert [(line["step"], line["scale"]) for line in scales] == [
            (step, scale) for step in (2, 4) for scale in (0.0, 0.5, 1.0)
        ]
        for whole, (none, half, one) in zip(looks, (scales[:3], scales[3:]), strict=True):
            for name in LOOKED_AT:
                assert (none[name], one[name]) == (base[name], whole[name])
            assert none["reward"] < half["reward"] < one["reward"]
        assert run.metrics["best_scale"] == 1.0  # brightest, as the reward wants it
        card = (Path(run.folder) / "adapter" / "README.md").read_text()
        assert f"{scales[-1]['held_out']:.4g} at 1. Best is 1; the adapter here is as" in card
        half = vader.run(replace(config, steps=2))
        assert metrics(vader.resume(half.folder, steps=4)) == metrics(run)

    def test_the_reference_of_a_continued_run_is_not_scale_0(self, config: vader.Config) -> None:
        first = vader.run(replace(config, lr=0.1, watch_clips=0))
        adapter = str(Path(first.folder) / "adapter")
        run = vader.run(replace(config, from_adapter=adapter, scales="0", steps=2))
        (base,), (none,) = of(run, "base"), of(run, "scale")
        assert none["reward"] < base["reward"]  # the bare model is darker than the earlier run's
        assert "best_scale" not in run.metrics  # one scale is no choice


def test_the_best_scale_by_hand():
    """By what is held out, at the look of the adapter that is given."""

    def line(split: str, step: int, **values: object) -> dict[str, object]:
        return {"split": split, "step": step, **values}

    def scales(step: int, *held_out: float) -> list[dict[str, object]]:
        return [
            line("scale", step, scale=scale, reward=float(scale), held_out=value)
            for scale, value in zip((0, 0.5, 1), held_out, strict=True)
        ]

    logged = [
        line("watch", 2, broken=""), *scales(2, 0.1, 0.3, 0.2),
        line("watch", 4, broken="fine"), *scales(4, 0.3, 0.2, 0.1),
    ]  # fmt: skip
    assert best_scale(logged) == 0
    stopped = [*logged, line("stop", 4, reason="fine")]
    assert best_scale(stopped) == 0.5  # of the last look without complaint
    assert [one["step"] for one in scales_of(stopped)] == [2, 2, 2]
    bare = [{k: v for k, v in one.items() if k != "held_out"} for one in logged]
    assert best_scale(bare) == 1
    assert best_scale([]) is None


class TestWithoutGradients:
    """`flow` is OpenCV's: no reward that can be followed, but it can see through one."""

    @pytest.fixture(autouse=True)
    def brightness(self, monkeypatch: pytest.MonkeyPatch) -> None:
        load = scorers.load_reward
        monkeypatch.setattr(
            scorers,
            "load_reward",
            lambda name, **how: Brightness() if name == "bright" else load(name, **how),
        )

    def test_it_watches(self, config: vader.Config) -> None:
        run = vader.run(replace(config, watch="flow:2"))
        (base,), looks = of(run, "base"), of(run, "watch")
        assert len(looks) == 2
        assert all(one["held_out"] > 0 for one in (base, *looks))  # a look without it has none
        assert looks[-1]["held_out"] != base["held_out"]
        assert looks[-1]["reward"] > base["reward"]

    def test_it_is_no_reward(self, config: vader.Config) -> None:
        with pytest.raises(UserError, match="'flow' gives no gradients"):
            vader.run(replace(config, reward="flow"))

"""What a run on pairs looks at while it goes on: one run of the tiny model with everything on."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import cv2
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from data.errors import UserError
from data.records import Run
from data.store import Store
from tests.train import world
from train import dpo
from train.run import trackers
from train.run.runs import RunFolder


@pytest.fixture(scope="module")
def stand_in() -> types.ModuleType:
    """Takes trackio's place: it is not installed for the tests."""
    made: Any = types.ModuleType("trackio")
    made.shown, made.config = [], {}
    run = types.SimpleNamespace(
        log=lambda values, **_: made.shown.append(values), finish=lambda: made.shown.append("end")
    )
    made.init = lambda **given: made.shown.append(given) or run
    made.config = types.SimpleNamespace(update=lambda *_, **__: None)
    return made


@pytest.fixture(scope="module")
def run(
    tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory, stand_in: types.ModuleType
) -> Path:
    """Stopped by its drift at the evaluation after step 4, of 8."""
    folder = tmp_path_factory.mktemp("monitor")
    db = world.build(folder, [world.prompt(i) for i in range(4)])
    sys.modules["trackio"] = stand_in
    try:
        done = dpo.run(
            dpo.Config(
                db=str(db), model=str(tiny_folder), labels="auto", steps=8, batch=4, rank=2,
                lr=2e-2, held_out=0, device="cpu", grid=1, grid_every=3, evaluate_every=2,
                stop_drift=0.004, trackers="tensorboard,trackio", out=str(folder / "runs"),
            )
        )  # fmt: skip
    finally:
        del sys.modules["trackio"]
    return Path(done.folder)


def lines(run: Path, split: str) -> list[dict[str, Any]]:
    every = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in every if line["split"] == split]


class TestAnEvaluation:
    def test_has_the_margin_at_each_noise_level(self, run: Path) -> None:
        for line in lines(run, "training pairs"):
            levels = [line[f"margin_at_{level}"] for level in (0.125, 0.375, 0.625, 0.875)]
            assert sum(levels) / 4 == pytest.approx(line["margin"], rel=1e-3, abs=1e-4)

    def test_has_distances_that_start_at_nothing_and_grow(self, run: Path) -> None:
        found = lines(run, "training pairs")
        assert (found[0]["drift"], found[0]["weights"]) == (0, 0)
        for name in ("drift", "weights"):
            values = [line[name] for line in found]
            assert values == sorted(values)
            assert values[-1] > 1e-3


class TestTheGrid:
    def test_is_sampled_at_its_steps(self, run: Path) -> None:
        steps = [line["step"] for line in lines(run, "samples")]
        sheets = sorted(path.name for path in (run / "samples").glob("step-*.png"))
        assert sheets == [f"step-{step:06d}.png" for step in steps] != []
        assert steps == list(range(0, steps[-1] + 1, 3))
        assert cv2.imread(str(run / "samples" / sheets[0])) is not None

    def test_measures_beside_the_reference(self, run: Path) -> None:
        first, *later = lines(run, "samples")
        for name in ("motion", "chroma", "saturated"):
            assert first[name] == first[f"{name}_base"]  # no update yet: the same clip
            assert all(line[f"{name}_base"] == first[f"{name}_base"] for line in later)
        assert any(line["chroma"] != first["chroma"] for line in later)


class TestAStop:
    def test_says_why_in_the_run_and_in_its_record(self, run: Path) -> None:
        (stop,) = lines(run, "stop")
        assert "from the reference's; the limit is 0.004" in stop["reason"]
        assert lines(run, "training pairs")[-1]["step"] == stop["step"] < 8
        assert lines(run, "train")[-1]["step"] == stop["step"] - 1
        with Store.open(json.loads((run / "config.json").read_text())["config"]["db"]) as store:
            record: Any = store.get("runs", run.name.removeprefix("dpo-"))
        assert record.metrics["stopped"] == stop["step"]
        assert (run / "adapter").is_dir()

    def test_is_one_again_after_a_resume(
        self, run: Path, monkeypatch: pytest.MonkeyPatch, stand_in: types.ModuleType
    ) -> None:
        monkeypatch.setitem(sys.modules, "trackio", stand_in)
        before = (run / "metrics.jsonl").read_text()
        assert dpo.resume(str(run)).metrics["stopped"] == lines(run, "stop")[0]["step"]
        assert (run / "metrics.jsonl").read_text() == before


class TestTrackers:
    def test_show_what_is_logged(self, run: Path, stand_in: Any) -> None:
        events = EventAccumulator(str(run / "tensorboard"))
        events.Reload()
        shown = [event.value for event in events.Scalars("train/loss")]
        logged = [line["loss"] for line in lines(run, "train")]
        assert shown == pytest.approx(logged, rel=1e-6)
        opened, *values, end = stand_in.shown
        assert opened == {"project": "second-look", "name": run.name}
        assert [one["train/loss"] for one in values if "train/loss" in one] == logged
        assert end == "end"

    def test_are_known_by_name(self) -> None:
        assert trackers.names(" tensorboard, wandb,") == ("tensorboard", "wandb")
        assert trackers.names("") == ()
        with pytest.raises(UserError, match=r"choose from .*tensorboard"):
            trackers.names("tensorbord")

    def test_that_are_not_installed_are_named(
        self, run: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "wandb", None)
        folder = RunFolder(run, Run(**json.loads((run / "config.json").read_text())))
        with (
            pytest.raises(UserError, match="pip install wandb"),
            trackers.tracked(folder, ["wandb"]),
        ):
            pass

"""`python -m scorers` on a real database with real files."""

from __future__ import annotations

import csv
import hashlib
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import scorers
from data import shapes, video
from data.clips import admit
from data.errors import UserError
from data.omniscore import PROFILES, totals
from data.profile import Dimension, Profile
from data.records import Candidate, Prompt, Score
from data.store import Store
from scorers import __main__ as command
from scorers.pool import Pool
from scorers.run import Config, Share, available, run
from scorers.weights import MissingWeightsError

PROMPT = Prompt(text="a red circle moving right")
RNG = np.random.default_rng(5)


def make(db: Path, name: str, *, frames: int = 4, size: int = 48) -> Candidate:
    path = db.parent / f"{name}.mkv"
    video.write(path, shapes.render(shapes.random_scene(RNG), frames, size), 8, lossless=True)
    clip = admit(db, path, prompt=PROMPT, model="shapes")
    with Store.open(db) as store:
        store.add([PROMPT, clip])
    return clip


def scores(db: Path) -> list[Score]:
    with Store.open(db) as store:
        return store.all("scores")  # type: ignore[return-value]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "prefs.duckdb"


def test_scores_are_what_the_scorers_say(db: Path):
    clip = make(db, "one")
    report = run(Config(db=db))
    assert (report.judged, report.stored, report.cached, report.failed) == (1, 7, 0, {})
    frames, fps = video.read(clip.path)
    import torch

    batch = torch.from_numpy(frames).permute(0, 3, 1, 2)[None].float() / 255
    stored = {(score.scorer, score.dimension): score.value for score in scores(db)}
    for name in PROFILES["lite"].scorers:
        judge = scorers.load(name)
        for dimension, value in zip(judge.dimensions, judge(batch, [""], [fps])[0], strict=True):
            assert stored[name, dimension] == pytest.approx(float(value), abs=1e-5)
    assert totals(scores(db), PROFILES["lite"])[clip.id].total is not None


def values(db: Path) -> dict[tuple[str, str], float]:
    return {(score.candidate, score.dimension): score.value for score in scores(db)}


def test_neither_workers_nor_groups_change_a_number(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """`colour` and `flow` are said to need 0.1 GB each: with 0.1 GB they take turns."""
    clips = [make(db, f"clip {number}", frames=3 + number % 2) for number in range(4)]
    many = tmp_path / "many.duckdb"
    shutil.copy(db, many)
    assert run(Config(db=db, threads=1)).judged == 4
    monkeypatch.setattr(Pool, "size", lambda _, names: 0.1 * len({"colour", "flow"} & {*names}))
    asked, load = [], scorers.load
    monkeypatch.setattr(
        scorers, "load", lambda name, **given: asked.append(name) or load(name, **given)
    )
    report = run(Config(db=many, threads=3, memory=0.1))
    assert (report.judged, report.stored, report.cached) == (4, 28, 0)
    assert asked == ["consistency", "flow", "sharpness", "colour"]
    assert values(many) == values(db)
    assert len({clip.id for clip in clips}) == 4


def test_scores_of_another_type_are_another_version(db: Path, monkeypatch: pytest.MonkeyPatch):
    """What is stored in float32 stays, and is not taken for what bfloat16 would say."""
    make(db, "one")
    run(Config(db=db))
    monkeypatch.setattr(scorers, "needs", lambda name: ("raft-large",) if name == "colour" else ())
    load = importlib.import_module("scorers.colour").load
    monkeypatch.setattr("scorers.colour.load", lambda weights_dir=None, **given: load(**given))
    report = run(Config(db=db, dtype="bfloat16"))
    assert (report.judged, report.stored) == (1, 1)
    assert [score.version for score in scores(db) if score.scorer == "colour"] == [
        "1",
        "1-bfloat16",
    ]
    assert run(Config(db=db)).judged == 0
    with pytest.raises(UserError, match="--dtype is 'int8'"):
        run(Config(db=db, dtype="int8"))


def test_what_is_stored_is_not_judged_again(db: Path):
    make(db, "one")
    run(Config(db=db))
    second = make(db, "two")
    report = run(Config(db=db))
    assert (report.judged, report.cached, report.stored) == (1, 1, 7)
    assert {score.candidate for score in scores(db)[7:]} == {second.id}
    report = run(Config(db=db))
    assert (report.judged, report.cached) == (0, 2)
    report = run(Config(db=db, again=True))
    assert (report.judged, report.stored) == (2, 0)
    assert len(scores(db)) == 14


def test_a_new_version_of_a_scorer_is_judged_and_the_old_value_stays(
    db: Path, monkeypatch: pytest.MonkeyPatch
):
    make(db, "one")
    run(Config(db=db))
    monkeypatch.setattr("scorers.colour.VERSION", "2")
    assert run(Config(db=db)).stored == 1
    colour = [score.version for score in scores(db) if score.scorer == "colour"]
    assert colour == ["1", "2"]


def test_a_broken_clip_is_named_and_the_rest_goes_on(db: Path, capsys: pytest.CaptureFixture[str]):
    whole, broken, gone = (make(db, name) for name in ("whole", "broken", "gone"))
    Path(broken.path).write_bytes(Path(broken.path).read_bytes()[:400])
    Path(gone.path).unlink()
    assert command.main(["--db", str(db)]) == 1
    assert {score.candidate for score in scores(db)} == {whole.id}
    printed = capsys.readouterr()
    assert f"not scored: {broken.path}: " in printed.err
    assert f"not scored: {gone.path}: " in printed.err
    assert "1 clips judged, 7 new scores" in printed.out


def test_a_file_that_was_replaced_is_not_scored_as_the_old_clip(db: Path):
    clip = make(db, "one")
    video.write(Path(clip.path), np.zeros((7, 48, 48, 3), np.uint8), 8, lossless=True)
    report = run(Config(db=db))
    assert report.judged == 0
    assert "changed since it was admitted" in report.failed[clip.path]


def test_clips_of_many_sizes_and_lengths(db: Path):
    clips = [make(db, f"{k}", frames=2 + k % 3, size=48 + 16 * (k % 2)) for k in range(7)]
    report = run(Config(db=db, batch=2))
    assert (report.judged, report.failed) == (7, {})
    found = totals(scores(db), PROFILES["lite"])
    for clip in clips:  # two frames have no acceleration: that one is missing, the others are not
        expected = ("motion_smoothness",) if clip.frames == 2 else ()
        assert found[clip.id].missing == expected
        assert (found[clip.id].total is None) == bool(expected)
    assert report.unjudged == {"motion_smoothness": sum(clip.frames == 2 for clip in clips)}


def test_an_interrupted_run_keeps_what_it_has(db: Path, monkeypatch: pytest.MonkeyPatch):
    make(db, "one", frames=3)
    make(db, "two", frames=5)
    from scorers.flow import Flow

    calls = []

    def interrupted(self, frames, prompts, fps):
        calls.append(frames)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return original(self, frames, prompts, fps)

    original = Flow.__call__
    monkeypatch.setattr(Flow, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(Config(db=db))
    monkeypatch.undo()
    assert len(scores(db)) >= 7
    assert run(Config(db=db)).judged == 1


def test_the_table_shows_what_is_missing(db: Path, capsys: pytest.CaptureFixture[str]):
    make(db, "one")
    assert command.main(["--db", str(db)]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "heuristic" in rows["lite:"]
    assert "not measured" in rows["alignment"]
    assert "0%" in rows["total"]
    assert "Colourfulness" in rows["aesthetic_quality"]


def test_the_run_is_on_record(db: Path):
    make(db, "one")
    run(Config(db=db))
    run(Config(db=db))  # did nothing, so leaves no record
    with Store.open(db) as store:
        (record,) = store.all("runs")
    assert (record.kind, record.config["profile"]) == ("score", "lite")  # type: ignore[union-attr]


def test_vbench_without_weights_scores_the_rest_and_says_what_is_missing(
    db: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    make(db, "one")
    monkeypatch.setenv("SECOND_LOOK_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert command.main(["--db", str(db), "--profile", "vbench"]) == 1
    told = capsys.readouterr()
    lines = [line for line in told.err.splitlines() if line.startswith("scorer ")]
    assert [line.split()[1] for line in lines] == [
        "dino",
        "clip",
        "raft",
        "laion",
        "musiq",
        "viclip",
    ]
    assert "python -m scorers --fetch dino-vitb16" in lines[0]
    assert "343 MB, Apache-2.0" in lines[0]
    assert str(tmp_path / "none" / "dino-vitb16") in lines[0]
    assert {score.dimension for score in scores(db)} == {"temporal_flickering", "motion_smoothness"}
    total = next(line for line in told.out.splitlines() if line.startswith("total"))
    assert "100%" in total  # missing: never 0


def test_a_profile_without_any_scorer_is_refused(db: Path, tmp_path: Path):
    make(db, "one")
    alone = Dimension(key="alignment", label="x", scorer="viclip", source="x")
    profile = Profile(name="x", title="x", dimensions=(alone,))
    with pytest.raises(MissingWeightsError, match="--fetch viclip"):
        available(profile, "cpu", str(tmp_path))


def test_unknown_profile_and_missing_database(db: Path):
    with pytest.raises(UserError, match="--profile is 'best'; it must be one of lite, shapes"):
        run(Config(db=db, profile="best"))
    with pytest.raises(UserError, match="does not exist"):
        run(Config(db=db))
    assert not db.exists()


def test_the_list_names_every_scorer(capsys: pytest.CaptureFixture[str]):
    assert command.main(["--list"]) == 0
    out = capsys.readouterr().out
    for name in scorers.names():
        assert f"\n{name} " in out
    assert "0 to inf" in out


def test_real_clips(db: Path, real_clips: Path):
    """Two prompts by VideoCrafter2 and VideoDPO, 16 frames of 512 x 320: every dimension."""
    with real_clips.open() as file:
        rows = list(csv.DictReader(file))[:4]
    for row in rows:
        prompt, path = Prompt(text=row["prompt"]), real_clips.parent / row["video"]
        with Store.open(db) as store:
            store.add([prompt, admit(db, path, prompt=prompt, model=row["model"])])
    report = run(Config(db=db))
    assert (report.judged, report.failed, report.unjudged) == (4, {}, {})
    values = [omni.total for omni in totals(scores(db), PROFILES["lite"]).values()]
    assert len(set(values)) == 4
    assert all(value is not None and 0 < value < 1 for value in values)


def test_two_processes_share_the_clips(db: Path, root: Path):
    """`accelerate launch`: every score once, none missing, and one summary."""
    clips = [make(db, f"clip {number}", size=48 + 2 * number) for number in range(6)]
    launched = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2",
                "--num_machines", "1", "--mixed_precision", "no", "--main_process_port", "0",
                "-m", "scorers", "--db", str(db)]  # fmt: skip
    done = subprocess.run(
        launched, cwd=root, check=False, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stored = scores(db)
    rows = PROFILES["lite"].dimensions
    expected = {(clip.sha256, row.key) for clip in clips for row in rows}
    found = [(score.candidate, score.dimension) for score in stored]
    assert len(found) == len(set(found))
    assert expected <= set(found)
    assert done.stdout.count("dimension ") == 1  # the table


def test_shares_are_a_partition():
    clips = [hashlib.sha256(bytes([number])).hexdigest() for number in range(60)]
    parts = [[clip for clip in clips if clip in Share(rank, 3)] for rank in range(3)]
    assert sorted(clip for part in parts for clip in part) == sorted(clips)
    assert all(parts)

"""What a stranger types wrong to `python -m scorers`: one line, exit code 2, nothing begun."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from data.calibration import Calibration, profile_named
from data.errors import UserError
from data.records import Prompt
from data.store import Store
from scorers import __main__ as command
from scorers import listing, weights
from scorers.nets.stored import tensors
from scorers.run import demand_weights
from train import compare


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A database with a prompt and no clips."""
    path = tmp_path / "prefs.duckdb"
    with Store.open(path) as store:
        store.add([Prompt(text="a cat")])
    return path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", r"holds no clips\. Make some first"),
        ("--batch 0", "--batch is 0; it must be at least 1"),
        ("--threads -1", "--threads is -1; it must be at least 1, or 0"),
        ("--memory -1", "--memory is -1; it must be GB above 0, or 0"),
        ("--memory nan", "--memory is nan"),
        ("--device foo", "--device is 'foo'; it must be auto or one of cpu"),
        ("--device meta", "--device is 'meta'"),
        ("--weights nowhere", "--weights is nowhere, which is not a folder"),
        ("--judge-model nowhere", "say which by --judge versus"),
        ("--judge versus --profile lite", "--judge makes no use of --profile"),
        ("--list", "--list makes no use of --db"),
        ("--fetch lite", "--fetch makes no use of --db"),
        ("--profile versus", "clips are scored by lite, shapes, vbench"),
    ],
)
def test_one_line(
    options: str, said: str, empty: Path, capsys: pytest.CaptureFixture[str]
):  # fmt: skip
    assert command.main(["--db", str(empty), *options.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(said, line)


@pytest.mark.parametrize("options", ["--memory abc", "--dtype foo", "--workers 1", "clip.mp4"])
def test_what_the_parser_refuses_is_one_line_too(
    options: str, capsys: pytest.CaptureFixture[str]
):  # fmt: skip
    with pytest.raises(SystemExit) as left:
        command.main(options.split())
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("--help explains every option")


def test_a_profile_calibrated_on_a_judge_scores_no_single_clip(monkeypatch: pytest.MonkeyPatch):
    fitted = Calibration(profile="versus", weights={"preference": 1.0}, scale=1.0, tie=0.0)
    table = dataclasses.replace(fitted.table, name="calibrated:x")
    monkeypatch.setattr("scorers.run.calibration.profile_named", lambda *_: table)
    from scorers.run import profile_named as scored_by

    with pytest.raises(UserError, match=r"two by two.*--judge versus.*data.pair --profile calib"):
        scored_by("calibrated:x")
    assert profile_named("versus").scorers == ("versus",)


def test_a_comparison_refuses_a_judge_of_pairs_before_it_begins():
    with pytest.raises(UserError, match="--judge versus compares clips two by two"):
        compare.Config(judge="versus")
    with pytest.raises(UserError, match="--judge is 'nobody'; it must be one of action"):
        compare.Config(judge="nobody")
    assert compare.Config(judge="hpsv2.1").judge == "hpsv2.1"


def test_weights_are_demanded_by_scorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    needed = {"videoreward": ("videoreward", "videoreward-words"), "viclip": ("viclip",)}
    monkeypatch.setattr("scorers.needs", lambda name: needed.get(name, ()))  # imports nothing
    assert listing.wanted("videoreward") == ["videoreward", "videoreward-words"]
    assert listing.wanted("videoreward-words") == ["videoreward-words"]
    monkeypatch.setenv(weights.HOME, str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(weights.MissingWeightsError, match="--fetch viclip"):
        demand_weights(["flow", "viclip"])
    demand_weights(["flow", "shapes"])


@pytest.mark.parametrize("junk", [b"junk\n", b"", b"h\x00", b"c", b"Z", b"\x80\x02}q\x00."])
def test_junk_in_place_of_weights(tmp_path: Path, junk: bytes):
    path = tmp_path / "file.pth"
    path.write_bytes(junk)
    with pytest.raises(weights.MissingWeightsError, match="damaged or belongs to another model"):
        tensors(path)

"""A run's folder: what cannot be made, gone on with or read is said in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from data.errors import UserError
from train import dpo, models
from train.models import VideoModel
from train.policy import attach
from train.preference import labelled, loop
from train.run import runs


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(
        UserError, match=r"file/dpo-\w+ cannot be made \(Not a directory\); give --out"
    ):
        runs.begin(tmp_path / "prefs.duckdb", "dpo", {"steps": 1}, out=tmp_path / "file")


@pytest.fixture
def run(tmp_path: Path) -> runs.RunFolder:
    config = dpo.Config(db=str(tmp_path / "prefs.duckdb"), steps=5)
    return runs.begin(config.db, "dpo", config, out=tmp_path / "runs")


def test_changes_that_are_refused_leave_the_run_as_it_is(run: runs.RunFolder) -> None:
    file = run.folder / "config.json"
    before = file.read_bytes()
    with pytest.raises(UserError, match="--steps is 0"):
        dpo.resume(str(run.folder), steps=0)
    assert file.read_bytes() == before
    runs.reopen(run.folder, "dpo", {"steps": 7}).rewind(0)
    assert runs.reopen(run.folder, "dpo", {}).settings(dpo.Config).steps == 7


def test_a_folder_that_was_moved_is_the_runs_from_then_on(
    run: runs.RunFolder, tmp_path: Path
) -> None:
    shutil.move(run.folder, tmp_path / "elsewhere")
    found = runs.reopen(tmp_path / "elsewhere", "dpo", {})
    assert found.record.folder == str(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not what a run writes"),
        ("{}", "not what a run writes"),
        ("[]", "not what a run writes"),
        ('{"config": {"lr": -1.0}}', "--lr is -1.0"),
        ('{"config": {"horizon": 3}}', "setting 'horizon', which this version"),
    ],
)
def test_a_record_that_is_not_the_runs_is_refused(
    run: runs.RunFolder, text: str, says: str
) -> None:
    file = run.folder / "config.json"
    given = json.loads(text) if text != "{" else None
    if isinstance(given, dict) and given:
        record = json.loads(file.read_text())
        text = json.dumps(record | {"config": record["config"] | given["config"]})
    file.write_text(text)
    with pytest.raises(UserError, match=says):
        dpo.resume(str(run.folder))


def test_files_that_are_damaged_are_named(
    run: runs.RunFolder, tiny_folder: Path, tiny_model: VideoModel
) -> None:
    labels, policy = run.folder / "labels.jsonl", attach(tiny_model, rank=2, alpha=2, seed=0)
    optimizer = torch.optim.SGD(policy.parameters)
    for text in (None, "{", "[1]\n", '{"pair": "a"}\n'):
        if text is not None:
            labels.write_text(text)
        with pytest.raises(UserError, match=r"labels\.jsonl, what the run trains on"):
            labelled.relabelled("no.duckdb", labels, 0)
    loop.save_state(run.state, 1, policy, optimizer, "")
    larger = attach(models.load(str(tiny_folder)), rank=4, alpha=2, seed=0)
    with pytest.raises(UserError, match="does not fit the run's settings"):
        loop.load_state(run.state, larger, optimizer, "")
    for content in (b"", b"PK cut", b"no state at all"):
        (run.state / "latest.pt").write_bytes(content)
        with pytest.raises(UserError, match=r"latest\.pt is damaged"):
            loop.load_state(run.state, policy, optimizer, "")
    (run.folder / "metrics.jsonl").write_text("no line of ours\n")
    with pytest.raises(UserError, match=r"metrics\.jsonl has a line"):
        run.logged()

"""The whole relay on one CPU with the built-in model, as a person types it, in one database.

Sample, score, pair, vote, train on people's labels, train on rewards, look at the store from
outside while the app owns it, and run the Python that README shows. Short runs: this proves the
hand-overs, not the gain.
"""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import polars
import pytest

from data.records import Vote
from data.store import Store
from data.votes import live_votes
from tests.annotate.browsing import served
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(
    not (ROOT / "train/builtin/shapes/model_index.json").exists(),
    reason="the built-in model is not in this checkout; python -m train.shapes makes it",
)


def call(main: Callable[[list[str]], int | None], text: str) -> None:
    """A command with its arguments as they are typed; anything but success fails the test."""
    assert not main(text.split())


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a database that has been through every stage before training."""
    from data.pair import main as pair
    from scorers.__main__ import main as score
    from train.sample import main as sample

    folder = tmp_path_factory.mktemp("relay")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        call(sample, "--db prefs.duckdb --prompts builtin:6 -n 2 --sampler-steps 6")
        call(score, "--db prefs.duckdb --profile shapes")
        call(pair, "--db prefs.duckdb --profile shapes --strategy best-worst")
        with Store.own("prefs.duckdb") as owner:
            for pair_ in owner.all("pairs"):
                vote = Vote(
                    id=str(uuid.uuid4()),
                    pair=pair_.id,
                    annotator="bo",
                    left=pair_.b,
                    right=pair_.a,
                    outcome="preference",
                    preferred=pair_.a,
                    exposure="blind",
                )
                assert owner.vote(vote).status == "stored"
                assert owner.vote(vote).status == "duplicate"
        yield folder


def test_every_stage_added_its_records(relay: Path) -> None:
    with Store.open(relay / "prefs.duckdb") as store:
        counts = {kind: store.frame(kind).height for kind in ("prompts", "candidates", "votes")}
        assert counts == {"prompts": 6, "candidates": 12, "votes": 6}
        dimensions = set(store.frame("scores")["dimension"])
        assert "alignment" in dimensions
        assert len(dimensions) == 8
        assert all(pair.best in (pair.a, pair.b) for pair in store.all("pairs"))


def test_a_second_start_adds_nothing(relay: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from data.pair import main as pair
    from scorers.__main__ import main as score
    from train.sample import main as sample

    monkeypatch.chdir(relay)
    before = digests(relay)
    call(sample, "--db prefs.duckdb --prompts builtin:6 -n 2 --sampler-steps 6")
    call(score, "--db prefs.duckdb --profile shapes")
    call(pair, "--db prefs.duckdb --profile shapes --strategy best-worst")
    assert digests(relay) == before


def digests(relay: Path) -> dict[str, str]:
    with Store.open(relay / "prefs.duckdb") as store:
        return {kind: store.digest(kind) for kind in ("candidates", "scores", "pairs", "votes")}


def test_votes_become_an_adapter(relay: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from diffusers import DiffusionPipeline

    from train.dpo import main

    monkeypatch.chdir(relay)
    # The app runs meanwhile: training reads its snapshot and hands its run to it.
    with Store.own("prefs.duckdb"):
        call(main, "--db prefs.duckdb --labels human --steps 3 --batch 4 --grid 1")
    (folder,) = relay.glob("runs/dpo-*")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert any("loss" in line for line in lines)
    pipeline = DiffusionPipeline.from_pretrained(ROOT / "train/builtin/shapes", dtype=torch.float32)
    pipeline.load_lora_weights(folder / "adapter")
    with Store.open("prefs.duckdb") as store:
        (run,) = [run for run in store.all("runs") if run.kind == "dpo"]
    assert run.finished_ms > 0
    assert run.snapshot == 6


def test_rewards_become_an_adapter(relay: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from train.vader import main

    monkeypatch.chdir(relay)
    call(main, "--db prefs.duckdb --reward shapes --steps 1 --batch 2 --sampler-steps 3 --grid 0")
    (folder,) = relay.glob("runs/vader-*")
    assert any((folder / "adapter").glob("*.safetensors"))


def test_the_python_in_readme_runs(
    relay: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every block, with a real app where one talks to it: Ada answers all six pairs."""
    shutil.copytree(relay, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) >= 3
    with served(Path("prefs.duckdb"), redundancy=2, blind=0.5) as address:
        for block in blocks:
            namespace: dict[str, object] = {"polars": polars}
            code = block.replace("http://127.0.0.1:7860", address)
            exec(compile(code, "README.md", "exec"), namespace)
    with Store.open("prefs.duckdb") as store:
        hers = [vote for vote in live_votes(store.all("votes")) if vote.annotator == "ada"]
    assert len(hers) == 6
    assert {vote.preferred == vote.left for vote in hers} == {True}
    assert all(vote.reason.endswith("smoother") for vote in hers if vote.revises is None)

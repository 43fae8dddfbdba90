"""An export is everything, as documented, and the same twice."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from data.export import Config, main, run
from data.records import KINDS
from data.store import Store, add
from data.store.postgres import PostgresStore
from data.store.rows import to_records

from .store.cluster import Server
from .store.conftest import fresh_url
from .store.material import PAIRS, RUN, SCORES, WORLD, candidate, excluded, vote

DOCUMENTED = re.compile(r"^\| (\w+) \| (string|int64|double|bool) \| (null)? ?\| .+ \|$", re.M)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    path = tmp_path / "prefs.duckdb"
    add(path, [*WORLD, candidate(9, seed=None), replace(PAIRS[0], campaign="x", best=None)])
    add(
        path, [vote(pair, f"ann{n % 2}", id=f"v{n}", time_ms=n + 1) for n, pair in enumerate(PAIRS)]
    )
    tie = vote(PAIRS[0], "ann0", id="t", outcome="tie", preferred=None, revises="v0", time_ms=99)
    add(path, [excluded("ann1"), tie, replace(SCORES[0], value=0.75), replace(RUN, finished_ms=9)])
    return path


def test_the_files_hold_every_record(db: Path, tmp_path: Path) -> None:
    manifest = run(Config(db=str(db), out=tmp_path / "out"))
    with Store.open(db) as store:
        for kind in KINDS:
            frame = pl.read_parquet(tmp_path / "out" / f"{kind}.parquet")
            if kind == "votes":
                assert frame["seq"].to_list() == list(range(1, 17))
                frame = frame.drop("seq")
            assert to_records(kind, frame) == store.all(kind)
            assert manifest["files"][f"{kind}.parquet"]["rows"] == store.count(kind)
        assert manifest["sequence"] == store.sequence == 16


def test_the_manifest_is_true_and_the_same_twice(db: Path, tmp_path: Path) -> None:
    run(Config(db=str(db), out=tmp_path / "one"))
    run(Config(db=str(db), out=tmp_path / "two"))
    one, two = (
        json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("one", "two")
    )
    assert one["files"] == two["files"]
    for name, file in one["files"].items():
        path = tmp_path / "one" / name
        assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert file["columns"] == pq.read_schema(path).names
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted(
        [*one["files"], "manifest.json"]
    )


def test_the_schema_is_the_documented_one(db: Path, tmp_path: Path, root: Path) -> None:
    run(Config(db=str(db), out=tmp_path / "out"))
    sections = re.split(r"^### ", (root / "docs/data.md").read_text(), flags=re.M)[1:]
    documented = {text.split()[0]: DOCUMENTED.findall(text) for text in sections}
    assert list(documented) == list(KINDS)
    for kind, columns in documented.items():
        file = pq.ParquetFile(tmp_path / "out" / f"{kind}.parquet")
        assert [(name, what) for name, what, _ in columns] == [
            (field.name, str(field.type)) for field in file.schema_arrow
        ]
        nulls = {field.name for field in file.schema_arrow if file.read([field.name])[0].null_count}
        assert nulls <= {name for name, _, null in columns if null}
        assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_a_server_gives_the_rows_of_a_file(db: Path, tmp_path: Path, postgres: Server) -> None:
    place = fresh_url(postgres)
    text = 'a, "b"\r\nc \\N 🔴'
    add(db, [vote(PAIRS[3], "ann5", id="odd", time_ms=200, reason=text, seconds=0.1 + 0.2)])
    with Store.open(db) as store:
        for kind in KINDS:
            add(place, store.all(kind))
    here = run(Config(db=str(db), out=tmp_path / "here"))
    there = run(Config(db=place, out=tmp_path / "there"))
    for name, file in here["files"].items():
        one, other = (pl.read_parquet(tmp_path / side / name) for side in ("here", "there"))
        assert one.equals(other, null_equal=True), name
        assert one.schema == other.schema
        assert there["files"][name]["rows"] == file["rows"]
        assert there["files"][name]["columns"] == file["columns"]
    assert (there["sequence"], there["schema"]) == (here["sequence"], here["schema"])
    with Store.open(place) as store:
        assert isinstance(store, PostgresStore)
        assert (there["database"], there["chain"]) == (store.identity(), store.chain())
    empty = fresh_url(postgres)
    add(empty, [PAIRS[0]])
    assert run(Config(db=empty, out=tmp_path / "empty"))["files"]["votes.parquet"]["rows"] == 0


def test_commands_in_the_page_exist(root: Path) -> None:
    """Every option that the page shows is one of the command's."""
    text = (root / "docs/data.md").read_text()
    lines = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.S)).splitlines()
    shown = [line.split() for line in lines if line.startswith("python -m ")]
    assert {(words[2], words[3]) for words in shown} >= {
        ("data.store", action) for action in ("backup", "restore", "erase", "merge")
    }
    helps = {
        module: subprocess.run(
            [sys.executable, "-m", module, "--help"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for module in {words[2] for words in shown}
    }
    for words in shown:
        for option in (word for word in words if word.startswith("--")):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", helps[words[2]]), option


def test_it_does_not_write_into_something(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert main(["--db", str(db), "--out", str(out)]) == 0  # an empty folder is fine
    assert "votes.parquet" in capsys.readouterr().out
    assert main(["--db", str(db), "--out", str(out)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert main(["--db", str(tmp_path / "none.duckdb"), "--out", str(tmp_path / "new")]) == 2
    assert not (tmp_path / "new").exists()
    assert main(["--db", "s3://x/y", "--out", str(tmp_path / "new")]) == 2
    assert "postgresql://" in capsys.readouterr().err
    assert not list(tmp_path.glob(".*.partial-*"))

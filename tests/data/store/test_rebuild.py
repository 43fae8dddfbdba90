"""Looking for damage and rebuilding go through the votes in steps, in whatever order they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from data.store import Store, add, reading, repair
from data.store.__main__ import main
from data.store.places import Places

from .material import PAIRS, vote


def test_memory_does_not_grow_with_the_votes(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`check` and `rebuild` hold a step of votes, and find the same as all at once."""
    add(path, [vote(PAIRS[n % 15], f"a{n}", id=f"v{n}", time_ms=n + 1) for n in range(20)])
    Store.open(path).close()
    journal = path.with_name("prefs.duckdb.journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:5], lines[5].replace(b"3.25", b"9.25"), *lines[6:]]))
    read, real = [], reading.votes_between

    def spy(cursor: duckdb.DuckDBPyConnection, after: int, upto: int) -> Any:
        frame = real(cursor, after, upto)
        read.append(frame.height)
        return frame

    monkeypatch.setattr(repair, "STEP", 6)
    monkeypatch.setattr(reading, "votes_between", spy)
    found = repair.check(Places.of(path))
    assert [sentence.split(":")[0] for sentence in found] == [
        "prefs.duckdb.journal, line 6",
        "vote 5",
    ]
    assert read == [6, 6, 6, 2]
    assert main(["rebuild", "--db", str(path)]) == 0
    with Store.open(path) as store:
        assert [one.id for one in store.all("votes")] == [f"v{n}" for n in range(20)]
    assert main(["check", "--db", str(path)]) == 0


def test_lines_out_of_order_are_found_and_put_right(path: Path) -> None:
    add(path, [vote(PAIRS[n], f"a{n}", id=f"v{n}", time_ms=n + 1) for n in range(6)])
    journal = path.with_name("prefs.duckdb.journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], lines[3], lines[2], *lines[4:]]))
    found = repair.check(Places.of(path))
    assert found
    assert all(sentence.startswith("prefs.duckdb.journal, line") for sentence in found)
    assert main(["rebuild", "--db", str(path)]) == 0
    assert main(["check", "--db", str(path)]) == 0
    with Store.open(path) as store:
        assert [one.id for one in store.all("votes")] == [f"v{n}" for n in range(6)]

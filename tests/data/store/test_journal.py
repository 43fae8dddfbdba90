"""The journal: a chain worked by hand, and every damage found at its line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from data.errors import UserError
from data.store import Store, add
from data.store.journal import Journal, damage, entries_after, genesis, intact
from data.store.rows import vote_of_payload, vote_payload

from .material import PAIRS, vote


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    file = tmp_path / "p.journal"
    open_one = Journal(file, "db")
    open_one.extend([f"vote {n} שלום" for n in range(1, 6)])
    open_one.close()
    return file


def test_the_chain_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "p.journal"
    open_one = Journal(file, "db")
    open_one.extend(["x", "y"], salts=["s", "t"])
    open_one.close()
    start = hashlib.sha256(b"second-look journal 1: db").hexdigest()
    x = hashlib.sha256(b"sx").hexdigest()
    first = hashlib.sha256(f"{start}:1:{x}".encode()).hexdigest()
    y = hashlib.sha256(b"ty").hexdigest()
    second = hashlib.sha256(f"{first}:2:{y}".encode()).hexdigest()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[0] == {"journal": 1, "database": "db"}
    assert lines[1] == {"seq": 1, "chain": first, "hash": x, "salt": "s", "payload": "x"}
    assert lines[2] == {"seq": 2, "chain": second, "hash": y, "salt": "t", "payload": "y"}
    assert genesis("db") == start


def test_it_goes_on_where_it_stopped(journal: Path) -> None:
    again = Journal(journal, "db")
    assert again.seq == 5
    again.extend(["vote 6"])
    again.close()
    assert list(damage(journal)) == []
    assert [entry.payload for entry in entries_after(journal, 4)] == ["vote 5 שלום", "vote 6"]
    assert [entry.seq for entry in entries_after(journal, 0)] == [1, 2, 3, 4, 5, 6]


def test_every_flipped_byte_is_found_at_its_line(journal: Path) -> None:
    whole = journal.read_bytes()
    ends = [place for place, byte in enumerate(whole) if byte == 10]
    for place in range(ends[0] + 1, len(whole), 7):
        if whole[place] == 10:
            continue
        broken = bytearray(whole)
        broken[place] ^= 1
        if broken[place] == 10:
            continue
        journal.write_bytes(broken)
        line = 1 + sum(end < place for end in ends)
        assert [number for number, _ in damage(journal)] == [line], place


@pytest.mark.parametrize("change", ["drop", "swap", "repeat"])
def test_missing_and_moved_lines_are_found(journal: Path, change: str) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    third, fourth = lines[2], lines[3]
    lines[2:4] = {"drop": [fourth], "swap": [fourth, third], "repeat": [third, third, fourth]}[
        change
    ]
    journal.write_bytes(b"".join(lines))
    assert list(damage(journal))
    with pytest.raises(UserError, match="damaged"):
        entries_after(journal, 0)


@pytest.mark.parametrize("torn", [b'{"seq":6,"cha', b"\0" * 300])
def test_a_torn_last_line_is_cut_and_kept_aside(journal: Path, torn: bytes) -> None:
    whole = journal.read_bytes()
    journal.write_bytes(whole + torn)
    again = Journal(journal, "db")
    assert again.seq == 5
    again.close()
    assert journal.read_bytes() == whole
    assert [file.read_bytes() for file in journal.parent.glob("*.torn-*")] == [torn]


def test_a_damaged_last_line_is_no_torn_one(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[:-20] + b"\n")
    with pytest.raises(UserError, match="last line"):
        Journal(journal, "db")
    assert len(list(intact(journal))) == 4


def test_a_foreign_or_newer_journal_is_refused(journal: Path) -> None:
    with pytest.raises(UserError, match="another database"):
        Journal(journal, "other")
    journal.write_text('{"journal": 2, "database": "db"}\n')
    with pytest.raises(UserError, match="format 2"):
        Journal(journal, "db")


def test_a_vote_is_its_payload() -> None:
    cast = vote(reason='quote " and \n newline 🔴', time_ms=7)
    assert vote_of_payload(vote_payload(cast)) == cast


def test_a_lost_journal_is_written_again_line_by_line(path: Path) -> None:
    add(path, [vote(PAIRS[n], time_ms=n + 1) for n in range(5)])
    file = path.with_name("prefs.duckdb.journal")
    before = file.read_bytes()
    file.unlink()
    Store.own(path).close()
    assert file.read_bytes() == before
    file.write_bytes(b"".join(before.splitlines(keepends=True)[:4]))  # and a shortened one
    Store.own(path).close()
    assert file.read_bytes() == before


def test_a_foreign_journal_beside_a_database_is_refused(path: Path, tmp_path: Path) -> None:
    add(tmp_path / "other.duckdb", [PAIRS[0]])
    (tmp_path / "other.duckdb.journal").replace(tmp_path / "prefs.duckdb.journal")
    with pytest.raises(UserError, match="belongs to another"):
        Store.open(path)

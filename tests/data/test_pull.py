"""Pulling PostgreSQL into a file: incremental, repeatable, equal on both sides."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from data import pull
from data.errors import UserError
from data.records import KINDS
from data.store import Store, add
from data.store.backup import backup, restore
from data.store.places import Places

from .store.cluster import Server
from .store.conftest import fresh_url
from .store.material import PAIRS, RUN, SCORES, WORLD, candidate, excluded, vote


@pytest.fixture
def url(postgres: Server) -> str:
    place = fresh_url(postgres)
    add(place, [*WORLD, *(vote(PAIRS[n % 15], f"a{n}", id=f"v{n}") for n in range(7))])
    return place


def same(url: str, file: Path) -> None:
    with Store.open(url) as there, Store.open(file) as here:
        for kind in KINDS:
            assert there.digest(kind) == here.digest(kind), kind
            assert there.all(kind) == here.all(kind), kind


def test_everything_comes_once_and_then_only_what_is_new(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prefs.duckdb"
    command = ["--from", url, "--db", str(file), "--rows", "4"]
    assert pull.main(command) == 0
    told = capsys.readouterr().out
    assert "1 new prompts, 6 new candidates, 12 new scores, 15 new pairs, 7 new votes, 1" in told
    assert "up to vote 7" in told
    same(url, file)
    assert pull.run(pull.Config(source=url, db=str(file))) == dict.fromkeys(KINDS, 0)
    undo = vote(
        PAIRS[3], "a3", id="u3", outcome="undo", preferred=None, revises="v3", time_ms=2**42
    )
    finished = replace(RUN, finished_ms=5)
    add(url, [candidate(9), replace(SCORES[0], value=0.75), finished, undo])
    new = pull.run(pull.Config(source=url, db=str(file)))
    assert new == {**dict.fromkeys(KINDS, 0), "candidates": 1, "votes": 1}
    same(url, file)


def test_a_file_moves_to_a_server_and_back(postgres: Server, tmp_path: Path) -> None:
    old, place, new = tmp_path / "old.duckdb", fresh_url(postgres), tmp_path / "new.duckdb"
    cast = [vote(PAIRS[n], f"a{n}", time_ms=n + 1) for n in range(9)]
    add(old, [*WORLD, *cast, excluded("a3")])
    with Store.open(old) as store:
        assert [add(place, store.all(kind)) for kind in KINDS] == [1, 6, 12, 15, 9, 1, 1]
    pull.run(pull.Config(source=place, db=str(new)))
    with Store.open(old) as one, Store.open(new) as other:
        for kind in KINDS:
            assert one.digest(kind) == other.digest(kind)


def test_only_newer_rows_are_asked_for(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = pull.Config(source=url, db=str(tmp_path / "prefs.duckdb"))
    pull.run(config)
    add(url, [vote(id="late")])
    real, asked = pull.PostgresStore.newer, []

    def spy(self: pull.PostgresStore, kind: str, after: int, *, limit: int) -> object:
        asked.append((kind, after))
        return real(self, kind, after, limit=limit)

    monkeypatch.setattr(pull.PostgresStore, "newer", spy)
    assert pull.run(config)["votes"] == 1
    assert asked == [("votes", 7)]


def test_a_lost_or_foreign_mark_costs_time_and_no_record(
    postgres: Server, url: str, tmp_path: Path
) -> None:
    file, mark = tmp_path / "prefs.duckdb", tmp_path / "prefs.duckdb.pulled"
    config = pull.Config(source=url, db=str(file))
    pull.run(config)
    mark.unlink()
    assert pull.run(config) == dict.fromkeys(KINDS, 0)
    mark.write_text("torn")
    assert pull.run(config) == dict.fromkeys(KINDS, 0)
    kept = mark.read_text()
    for leftover in tmp_path.glob("prefs*"):
        leftover.unlink()
    mark.write_text(kept)  # the database is gone, the mark says that everything was pulled
    assert pull.run(config)["votes"] == 7
    same(url, file)
    other = fresh_url(postgres)
    add(other, [*WORLD, vote(id="other")])
    assert pull.run(pull.Config(source=other, db=str(file)))["votes"] == 1
    assert json.loads(mark.read_text())["source"] != json.loads(kept)["source"]


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_restored_file_is_pulled_into_from_the_beginning(
    url: str, tmp_path: Path, *, by_hand: bool
) -> None:
    """What came since the backup is gone with the file; seven later votes must not hide that."""
    file = tmp_path / "prefs.duckdb"
    add(file, WORLD)
    folder = backup(Places.of(file), tmp_path / "to", now_ms=1)
    config = pull.Config(source=url, db=str(file))
    assert pull.run(config)["votes"] == 7
    if by_hand:
        for leftover in (file, tmp_path / "prefs.duckdb.journal"):
            leftover.unlink()
    restore(Places.of(file), folder, force=not by_hand, now_ms=2)
    add(file, [vote(PAIRS[0], f"here{n}", id=f"here{n}") for n in range(9)])
    assert pull.run(config)["votes"] == 7
    with Store.open(file) as store:
        assert store.count("votes") == 16


def test_it_pulls_into_the_file_of_a_running_app_that_has_votes_of_its_own(
    url: str, tmp_path: Path
) -> None:
    file = tmp_path / "prefs.duckdb"
    add(file, WORLD)
    with Store.own(file) as owner:
        owner.vote(vote(PAIRS[0], "here", id="mine"))
        assert pull.run(pull.Config(source=url, db=str(file)))["votes"] == 7
        assert {one.id for one in owner.all("votes")} == {"mine", *(f"v{n}" for n in range(7))}
        assert pull.run(pull.Config(source=url, db=str(file)))["votes"] == 0


def test_the_two_sides_the_wrong_way_round(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--from is"):
        pull.Config(source="prefs.duckdb")
    with pytest.raises(UserError, match="--db is"):
        pull.Config(source="postgresql://h/d", db="postgresql://h/d")

"""Looking after a server: its chain, a backup of it, a person erased from it, a file merged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from data.decisions import excluded as excluded_people
from data.records import KINDS, Decision
from data.store import Store, add, postgres_care
from data.store.__main__ import main
from data.store.entrances import Invitation
from data.store.people import Account, People, spelling
from data.votes import live_votes

from .cluster import Server
from .conftest import fresh_url
from .material import PAIRS, RUN, SCORES, WORLD, candidate, excluded, vote
from .test_postgres import rows

NAME = "Dana Cohen-Lévi"
COMMENT = "the left one flickers, I am sure"


@pytest.fixture
def voted(url: str) -> str:
    """The small world with a person in it."""
    return people_in(url, NAME, COMMENT)


def people_in(url: str, name: str, comment: str) -> str:
    """Votes of a person, one revised, and of bob; a decision and a run that name her."""
    hers = [vote(pair, name, id=f"d{n}", time_ms=n + 1) for n, pair in enumerate(PAIRS[:5])]
    hers.append(vote(PAIRS[0], name, id="d0b", revises="d0", reason=comment, time_ms=30))
    bobs = [vote(pair, "bob", id=f"b{n}", time_ms=n + 50) for n, pair in enumerate(PAIRS[:5])]
    run = replace(RUN, id="dpo-2", config={"annotators": [name, "bob"]})
    added = Decision(id="c", topic="campaign", subject="x", values={"for": [name]}, time_ms=3)
    add(url, [*hers, *bobs, run, excluded(name), added])
    return url


def test_the_chain_is_verified(voted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--db", voted]) == 0
    assert "no damage found" in capsys.readouterr().out
    rows(voted, "UPDATE votes SET seconds = 9 WHERE id = 'd2' RETURNING 1")
    assert main(["check", "--db", voted]) == 1
    assert "vote 3 (d2) is not the one that was chained" in capsys.readouterr().out
    rows(voted, "UPDATE votes SET seconds = 3.25 WHERE id = 'd2' RETURNING 1")
    assert postgres_care.check(voted) == []
    rows(voted, "DELETE FROM votes WHERE id IN ('d3', 'b4') RETURNING 1")
    assert postgres_care.check(voted) == ["vote 4 is missing", "vote 11 is missing"]


def test_small_steps_find_the_same(voted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_care, "STEP", 3)
    assert postgres_care.check(voted) == []


def test_a_backup_of_a_server_is_restored_and_merged_into_an_empty_one(
    postgres: Server, voted: str, tmp_path: Path
) -> None:
    add(voted, [replace(SCORES[0], value=0.75), candidate(9)])
    assert main(["backup", "--db", voted, "--to", str(tmp_path / "to")]) == 0
    (folder,) = (tmp_path / "to").iterdir()
    file, new = tmp_path / "restored.duckdb", fresh_url(postgres)
    assert main(["restore", str(folder), "--db", str(file)]) == 0
    assert main(["check", "--db", str(file)]) == 0
    assert main(["merge", str(file), "--db", new]) == 0
    with Store.open(voted) as one, Store.open(file) as two, Store.open(new) as three:
        for kind in KINDS:
            assert one.digest(kind) == two.digest(kind) == three.digest(kind), kind
            assert one.all(kind) == three.all(kind)
    assert postgres_care.check(new) == []
    assert main(["merge", str(file), "--db", new]) == 0  # twice is once
    with Store.open(new) as store:
        assert store.count("votes") == 11


@pytest.mark.parametrize("more", [[], ["--votes"]])
def test_a_person_is_in_no_table_file(postgres: Server, url: str, more: list[str]) -> None:
    name, comment = f"Only Here {len(more)}", f"never said elsewhere {len(more)}"
    voted = people_in(url, name, comment)

    def holding() -> list[str]:
        with psycopg.connect(voted, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        files = [file for file in (postgres.folder / "data/base").rglob("*") if file.is_file()]
        texts = (name.encode(), comment.encode())
        return [file.name for file in files if any(text in file.read_bytes() for text in texts)]

    with Store.own(voted) as owner:
        owner.claim(name, [PAIRS[9].id], redundancy=9, seconds=99)
        before = owner.all("votes")
        assert holding()  # the search finds her where she is
        assert main(["erase", name, "--db", voted, *more]) == 0
        assert holding() == []
        assert postgres_care.check(voted) == []
        after = owner.all("votes")
        assert [one.id for one in after] == [one.id for one in before]
        (pseudonym,) = {one.annotator for one in after} - {"bob"}
        assert excluded_people(owner.all("decisions")) == {pseudonym}
        assert [run.config for run in owner.all("runs") if run.id == "dpo-2"] == [
            {"annotators": [pseudonym, "bob"]}
        ]
        standing = [one.id for one in live_votes(after) if one.annotator != "bob"]
        assert standing == ([] if more else ["d1", "d2", "d3", "d4", "d0b"])
        assert owner.leases() == []
        assert owner.vote(vote(PAIRS[7], "eve")).sequence == 12  # the chain goes on
    assert postgres_care.check(voted) == []


def test_an_account_goes_with_its_votes(voted: str, capsys: pytest.CaptureFixture[str]) -> None:
    people = People.of(voted)
    for who, name in (("p-1", "Eve Adams"), ("p-2", "Root")):
        people.add(
            Account(id=who, spelling=spelling(name), name=name, role="admin", since_ms=1)
        )  # fmt: skip
    add(voted, [vote(PAIRS[9], "p-1", id="e1", reason="hm")])
    assert main(["erase", "eve adams", "--db", voted]) == 0
    assert [one.id for one in people.all()] == ["p-2"]
    people.close()
    with Store.open(voted) as store:
        assert store.votes_of("p-1") == []
    capsys.readouterr()
    assert main(["erase", "Nobody", "--db", voted]) == 2
    assert "No vote on postgresql://" in capsys.readouterr().err


def test_somebody_who_decided_and_never_voted(
    voted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    add(voted, [replace(excluded("bob"), by="Lea Decider", time_ms=99)])
    assert main(["erase", "Lea Decider", "--db", voted]) == 0
    assert "whatever named the person names erased-" in capsys.readouterr().out
    with Store.open(voted) as store:
        assert store.all("decisions")[-1].by.startswith("erased-")
    assert main(["erase", "Lea Decider", "--db", voted]) == 2
    assert "Nothing was changed" in capsys.readouterr().err


def test_no_table_file_holds_what_somebody_came_in_with(postgres: Server, url: str) -> None:
    """An invitation holds the name, and a try to sign in its spelling."""
    name, people = "Ovadia Entrance", People.of(url)
    for who, called in (("p-1", name), ("p-2", "Root")):
        known = {"id": who, "spelling": spelling(called), "name": called}
        people.add(Account(role="admin", since_ms=1, **known))
    people.tries.allow({f"name {spelling(name)}": 5}, now_ms=1, window_ms=9)
    people.invitations.add(Invitation(hash="cafe", role="lead", name=name, expires_ms=9**15))

    def holding() -> bool:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        texts = (name.encode(), spelling(name).encode())
        files = [file for file in (postgres.folder / "data/base").rglob("*") if file.is_file()]
        return any(text in file.read_bytes() for file in files for text in texts)

    assert holding()
    assert main(["erase", name, "--db", url]) == 0
    assert not holding()
    people.close()


def test_what_is_for_files_only_says_what_to_do(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["repair"], ["rebuild"], ["restore", str(tmp_path)]):
        assert main([*words, "--db", url]) == 2
        assert "PostgreSQL mends itself" in capsys.readouterr().err
    add(tmp_path / "p.duckdb", WORLD)
    assert main(["merge", str(tmp_path / "p.duckdb"), "--db", url]) == 0
    assert "votes: 0 new" in capsys.readouterr().out

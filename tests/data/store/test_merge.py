"""Two databases become one: each record once, in whichever order they are merged."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import decisions
from data.records import KINDS, Pair, Prompt, Record, Run, Score, Vote
from data.store import Owner, Store, add
from data.store.__main__ import main
from data.store.merge import RANKS
from data.store.places import Places
from data.store.rows import IDENTITY, SCHEMAS
from data.votes import live_votes

from .material import CANDIDATES, PAIRS, PROMPT, RUN, SCORES, WORLD, candidate, excluded, sha, vote

VOTES = [
    vote(PAIRS[n % 4], f"ann{n % 3}", id=f"v{n}", time_ms=100 + n, seconds=float(n))
    for n in range(8)
]
REVISED = [
    replace(one, id=f"{one.id}r", revises=one.id, outcome="tie", preferred=None, time_ms=300 + n)
    for n, one in enumerate(VOTES[:4])
]


SAID = [
    replace(excluded("ann1"), id="out", time_ms=5),
    replace(excluded("ann1", counts=True), id="in again", time_ms=9),
    replace(excluded("ann2"), id="out too", time_ms=7),
]


def merge(other: Path, into: Path) -> int:
    return main(["merge", str(other), "--db", str(into)])


def held(path: Path) -> dict[str, list[Record]]:
    """Records per kind, in an order of their own; paths are each machine's."""
    with Store.open(path) as store:
        found = {kind: store.all(kind) for kind in KINDS}
    found["candidates"] = [replace(one, path="") for one in found["candidates"]]
    return {kind: sorted(some, key=repr) for kind, some in found.items()}


def votes_of(path: Path) -> list[Vote]:
    with Store.open(path) as store:
        return store.all("votes")


def out_of(path: Path) -> frozenset[str]:
    """Whose votes do not count, by the later of two decisions, not by the one merged last."""
    with Store.open(path) as store:
        return decisions.excluded(store.all("decisions"))


def one_of(draw: st.DrawFn, *values: Any) -> Any:
    return draw(st.sampled_from(values))


@st.composite
def worlds(draw: st.DrawFn) -> list[Record]:
    """What one team knows: some of the same things, some of them described otherwise."""
    revised = [one for one in REVISED if draw(st.booleans())]
    some = draw(st.sets(st.integers(0, 7))) | {REVISED.index(one) for one in revised}
    votes = [VOTES[n] for n in draw(st.permutations(sorted(some)))]
    prompts = [
        Prompt(text=text, split=one_of(draw, "train", "test"), source=one_of(draw, "", "file"))
        for text in draw(st.sets(st.sampled_from(["one", "two", "three"])))
    ]
    clips = [
        candidate(
            n,
            model=one_of(draw, "", "shapes", "zoo"),
            seed=one_of(draw, None, -1, 5),
            path=one_of(draw, "/here", "/there"),
        )
        for n in range(4)
    ]
    pairs = [
        Pair.of(
            pair.a,
            pair.b,
            prompt=PROMPT.id,
            best=one_of(draw, None, pair.a, pair.b),
            margin=one_of(draw, None, 0.0, 0.5, 10.0),
            profile=one_of(draw, "", "lite"),
        )
        for pair in PAIRS[:4]
    ]
    scores = [replace(one, value=one_of(draw, -1.0, 0.25, 2.0, 10.0)) for one in SCORES[:3]]
    run = replace(RUN, finished_ms=one_of(draw, 0, 9, 10), metrics={"x": one_of(draw, 0.5, 2.0)})
    said = [one for one in SAID if draw(st.booleans())]
    return [PROMPT, *prompts, *clips, *scores, *pairs, run, *votes, *revised, *said]


@settings(max_examples=4, deadline=None)
@given(ours=worlds(), theirs=worlds())
def test_the_order_does_not_matter_and_twice_is_once(
    ours: list[Record], theirs: list[Record]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        names = ("a", "b", "ab", "ba")
        a, b, ab, ba = (Path(folder) / f"{name}.duckdb" for name in names)
        add(a, ours)
        add(b, theirs)
        add(ab, ours)
        add(ba, theirs)
        assert merge(b, ab) == 0
        assert merge(a, ba) == 0
        once = held(ab)
        assert once == held(ba)
        assert merge(b, ab) == merge(ba, ab) == 0
        assert held(ab) == once
        assert out_of(ab) == out_of(ba)
        expected = {one.id: one for one in [*ours, *theirs] if isinstance(one, Vote)}
        assert {one.id: one for one in votes_of(ab)} == expected
        assert live_votes(votes_of(ab)) == live_votes(votes_of(ba))
        assert main(["check", "--db", str(ab)]) == 0


def test_what_counts_of_two_descriptions(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    held_out = replace(PROMPT, split="test")
    named = replace(candidate(0), model="zoo", path="/their/0.mkv", settings={})
    plain = replace(candidate(1), model="", path="/their/1.mkv")
    unscored = Pair.of(sha(0), sha(1), prompt=PROMPT.id)
    better = replace(PAIRS[1], margin=0.5)
    finished = replace(RUN, finished_ms=10)
    scores = [replace(SCORES[0], value=0.75), replace(SCORES[1], value=0.25)]
    add(other, [held_out, named, plain, unscored, better, finished, *scores])
    Store.open(path).close()  # a snapshot from before
    assert merge(other, path) == 0
    with Store.open(path) as store:
        assert store.all("prompts") == [held_out]
        assert store.get("candidates", sha(0)) == replace(named, path="/clips/0.mkv")
        assert store.get("candidates", sha(1)) == CANDIDATES[1]
        assert store.pair(unscored.id) == PAIRS[0]
        assert store.pair(better.id) == better
        assert store.all("runs") == [finished]
        values = {one.id: one.value for one in store.all("scores")}
        assert (values[SCORES[0].id], values[SCORES[1].id]) == (0.75, 0.5)


def test_every_column_is_the_identity_or_ranked_or_the_path() -> None:
    for kind, ranks in RANKS.items():
        ranked = {name.split()[0] for name in ranks}
        free = {"prompts": {"text"}, "candidates": {"path"}, "pairs": {"a", "b", "campaign"}}
        free["decisions"] = {"topic", "subject", "values", "by", "time_ms"}  # never edited
        rest = set(SCHEMAS[kind].names) - ranked - set(IDENTITY[kind])
        assert rest == free.get(kind, set()), kind


def test_votes_follow_in_their_order_with_a_chain_that_goes_on(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    add(path, [VOTES[1]])
    add(other, [*WORLD, VOTES[2], VOTES[1], VOTES[0], REVISED[0]])
    assert merge(other, path) == 0
    with Store.own(path) as owner:
        assert owner.all("votes") == [VOTES[1], VOTES[2], VOTES[0], REVISED[0]]
        assert owner.vote(VOTES[3]).sequence == 5
    assert main(["check", "--db", str(path)]) == 0


def test_into_a_database_that_is_not_there_yet(path: Path, tmp_path: Path) -> None:
    add(path, VOTES)
    new = tmp_path / "new.duckdb"
    assert merge(path, new) == 0
    with Store.open(new) as copy, Store.open(path) as store:
        assert all(copy.digest(kind) == store.digest(kind) for kind in KINDS)


def test_a_running_app_a_backup_and_a_snapshot_can_be_merged_from(
    owner: Owner, tmp_path: Path
) -> None:
    owner.vote(VOTES[0])
    assert merge(owner.path, tmp_path / "one.duckdb") == 0
    owner.vote(VOTES[1])
    assert main(["backup", "--db", str(owner.path), "--to", str(tmp_path / "to")]) == 0
    (folder,) = (tmp_path / "to").iterdir()
    before = (folder / "database.duckdb").read_bytes()
    assert merge(folder / "database.duckdb", tmp_path / "one.duckdb") == 0
    assert (folder / "database.duckdb").read_bytes() == before
    assert merge(owner.path.with_name("prefs.snapshot.duckdb"), tmp_path / "two.duckdb") == 0
    for name in ("one", "two"):
        with Store.open(tmp_path / f"{name}.duckdb") as store:
            assert store.all("votes") == VOTES[:2]


def test_different_votes_of_one_id_are_refused(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.duckdb"
    add(path, VOTES[:3])
    add(other, [*WORLD, candidate(9), VOTES[0], replace(VOTES[1], strength="clearly"), VOTES[4]])
    before = held(path)
    assert merge(other, path) == 2
    assert "the first 'v1'" in capsys.readouterr().err
    assert held(path) == before


def test_an_erased_person_does_not_come_back(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.duckdb"
    add(path, [*VOTES, *SAID])
    assert merge(path, other) == 0
    assert main(["erase", "ann1", "--db", str(path)]) == 0
    erased = held(path)
    assert merge(other, path) == 0  # the copy still knows her; here she stays erased
    assert held(path) == erased
    assert merge(path, other) == 2
    assert "has erased 'ann1'. Do the same here first" in capsys.readouterr().err
    assert main(["erase", "ann1", "--db", str(other)]) == 0
    assert merge(path, other) == 0
    third = tmp_path / "third.duckdb"
    assert merge(path, third) == 0  # and the mark travels with the votes
    assert merge(third, path) == 0
    assert held(third) == erased


def test_it_refuses_what_is_no_other_database(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert merge(path, path) == 2
    assert "into itself" in capsys.readouterr().err
    assert merge(tmp_path / "none.duckdb", path) == 2
    assert "does not exist" in capsys.readouterr().err
    rubbish = tmp_path / "rubbish.duckdb"
    rubbish.write_bytes(b"no database" * 99)
    assert merge(rubbish, path) == 2
    assert "cannot be read" in capsys.readouterr().err
    foreign = tmp_path / "foreign.duckdb"
    with duckdb.connect(str(foreign)) as connection:
        connection.execute("CREATE TABLE votes(id VARCHAR)")
    assert merge(foreign, path) == 2
    assert "schema version 0" in capsys.readouterr().err


def test_not_into_a_running_app(
    owner: Owner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(tmp_path / "other.duckdb", WORLD)
    assert merge(tmp_path / "other.duckdb", owner.path) == 2
    assert "owned by process" in capsys.readouterr().err


def test_scores_of_one_side_alone_are_all_there(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    more = [
        Score(candidate=sha(n), scorer="s", version="2", dimension="d", value=n) for n in (1, 2)
    ]
    add(other, more)
    assert merge(other, path) == 0
    with Store.open(path) as store:
        assert store.all("scores") == [*SCORES, *more]
    assert Places.of(path).snapshot.exists()


def test_a_run_of_the_other_is_kept(path: Path, tmp_path: Path) -> None:
    add(tmp_path / "o.duckdb", [Run(id="x", kind="score", config={}, code="c", started_ms=2)])
    assert merge(tmp_path / "o.duckdb", path) == 0
    with Store.open(path) as store:
        assert [run.id for run in store.all("runs")] == ["dpo-1", "x"]

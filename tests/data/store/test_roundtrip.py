"""What goes in comes out: all kinds, any text, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import UserError
from data.records import KINDS, Prompt, Run, Score
from data.store import Owner, Store, add
from data.store.__main__ import main
from data.store.rows import kind_of

from .engines import both
from .material import CANDIDATES, PAIRS, PROMPT, RUN, SCORES, WORLD, candidate, sha, vote


@both
def test_every_kind_comes_back_equal_and_in_order(path: Path) -> None:
    votes = [vote(PAIRS[1], time_ms=50), vote(PAIRS[0], "bob", time_ms=20)]
    with Store.open(path) as store:
        assert store.add(votes) == 2
        for kind in KINDS:
            expected = [one for one in [*WORLD, *votes] if kind_of(one) == kind]
            assert store.all(kind) == expected
            assert store.count(kind) == len(expected) == store.frame(kind).height
        assert store.sequence == 2


@both
def test_columns_are_the_fields_and_derived_identities(path: Path) -> None:
    with Store.open(path) as store:
        assert store.frame("prompts").rows() == [(PROMPT.id, PROMPT.text, "train", "")]
        assert store.frame("pairs")["id"].to_list() == [pair.id for pair in PAIRS]
        assert store.frame("votes").columns[:5] == ["id", "pair", "annotator", "left", "right"]
        first = store.frame("candidates").row(0, named=True)
    assert first["settings"] == '{"guidance":1.5,"nested":{"list":[1,null,"x"]},"steps":4}'
    assert (first["seed"], first["fps"], first["width"]) == (0, 8.0, 48)


@both
def test_the_same_again_is_not_new(path: Path) -> None:
    with Store.open(path) as store:
        before = {kind: store.digest(kind) for kind in KINDS}
        assert store.add(WORLD) == 0
        assert store.add([*WORLD, *WORLD]) == 0
        assert {kind: store.digest(kind) for kind in KINDS} == before


@pytest.mark.parametrize("name", ["draft", "live", "memory", "votes", "a b.c'd"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    """None of them is one that the program gives to a second file beside it."""
    file = tmp_path / f"{name}.duckdb"
    assert add(file, [*WORLD, vote()]) == len(WORLD) + 1
    with Store.open(file) as store:
        assert store.all("pairs") == PAIRS
    assert main(["merge", str(file), "--db", str(tmp_path / "other.duckdb")]) == 0
    assert main(["erase", "ann", "--db", str(file)]) == 0
    assert main(["backup", "--db", str(file), "--to", str(tmp_path / "to")]) == 0
    (folder,) = (tmp_path / "to").iterdir()
    assert main(["restore", str(folder), "--db", str(file), "--force"]) == 0
    assert main(["check", "--db", str(file)]) == 0


@both
def test_the_first_candidate_stays(path: Path) -> None:
    with Store.open(path) as store:
        assert store.add([candidate(0, path="/elsewhere.mkv"), candidate(9), candidate(9)]) == 1
        assert store.get("candidates", sha(0)) == CANDIDATES[0]
        assert store.all("candidates") == [*CANDIDATES, candidate(9)]


@both
def test_the_newest_score_and_run_count(path: Path) -> None:
    better = replace(SCORES[3], value=0.75)
    finished = replace(RUN, finished_ms=9, metrics={"loss": 0.5})
    with Store.open(path) as store:
        assert store.add([better, finished]) == 0
        assert store.all("runs") == [finished]
        scores = store.all("scores")
        assert len(scores) == len(SCORES)
        assert {one.id: one.value for one in scores}[better.id] == 0.75
        store.add([SCORES[3]])  # and back: equal to an older one, not to the newest
        assert {one.id: one.value for one in store.all("scores")}[better.id] == 0.5


@both
def test_of_one_call_the_last_score_counts(path: Path) -> None:
    one = Score(candidate=sha(0), scorer="new", version="1", dimension="d", value=1.0)
    with Store.open(path) as store:
        assert store.add([one, replace(one, value=2.0)]) == 1
        assert [s.value for s in store.all("scores") if s.scorer == "new"] == [2.0]


@both
def test_digest_knows_content_and_not_order(fresh: Callable[[], Any]) -> None:
    digests = []
    for records in (WORLD, WORLD[::-1], [*WORLD, candidate(7)]):
        with Store.open(fresh(), create=True) as store:
            store.add(records)
            digests.append((store.digest("pairs"), store.digest("candidates")))
    assert digests[0] == digests[1]
    assert digests[0][0] == digests[2][0]
    assert digests[0][1] != digests[2][1]


@both
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    texts=st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=40, unique=True),
    facts=st.dictionaries(
        st.text(), st.none() | st.booleans() | st.floats(allow_nan=False) | st.text()
    ),
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
)
def test_any_text_survives(
    path: Any, owner: Owner, texts: list[str], facts: dict[str, object], seed: int | None
) -> None:
    if "://" in str(path):  # PostgreSQL holds no NUL; see test_postgres
        texts = [text.replace("\0", "NUL") for text in texts]
    number = owner.count("candidates")
    prompts = [Prompt(text=f"{number} {text}", source=text[::-1]) for text in texts]
    clip = candidate(number, settings=facts, seed=seed, path=texts[0])
    run = Run(id=f"{number} {texts[0]}", kind="dpo", config=facts, code="", started_ms=0)
    kept = vote(reason=texts[-1], annotator=texts[0], watched=facts, time_ms=1)
    assert owner.add([kept, run, clip, *prompts]) == len(prompts) + 3
    assert owner.all("prompts")[-len(prompts) :] == prompts
    assert owner.all("candidates")[-1] == clip
    assert owner.get("runs", run.id) == run
    assert owner.all("votes")[-1] == kept


@both
def test_what_cannot_be_stored_is_refused_by_name(path: Path) -> None:
    with pytest.raises(UserError, match=r"'seed' of these candidates"):
        add(path, [candidate(50, seed=2**64)])
    with pytest.raises(UserError, match=r"of these prompts cannot be stored"):
        add(path, [Prompt(text="half a pair: \ud800")])
    with pytest.raises(TypeError, match="no record"):
        add(path, ["a string"])  # type: ignore[list-item]


@both
def test_many_records_at_once(fresh: Callable[[], Any]) -> None:
    place = fresh()
    many = [
        Score(candidate=sha(n % 500), scorer="s", version="1", dimension=f"d{n // 500}", value=n)
        for n in range(20_000)
    ]
    assert add(place, many) == 20_000
    with Store.open(place) as store:
        assert store.frame("scores")["value"].to_list() == list(range(20_000))


@both
def test_what_was_added_since(path: Any) -> None:
    with Store.own(path) as owner:
        before = owner.heads()
        counts = {kind: sum(kind_of(one) == kind for one in WORLD) for kind in KINDS}
        assert before == counts
        assert owner.add([*WORLD, SCORES[0]]) == 0
        assert owner.heads() == before
        cast = [vote(PAIRS[n], time_ms=n + 1) for n in range(3)]
        owner.add(cast)
        assert owner.heads() == {**before, "votes": 3}
        assert owner.votes_after(1) == cast[1:]
        assert owner.votes_after(3) == []


@both
def test_look_ups(path: Path) -> None:
    mine, other = vote(PAIRS[2], "me", time_ms=1), vote(PAIRS[2], "you", time_ms=2)
    add(path, [mine, other])
    with Store.open(path) as store:
        assert store.pair(PAIRS[2].id) == PAIRS[2]
        assert store.pair("none") is None
        assert store.get("prompts", PROMPT.id) == PROMPT
        assert store.get("runs", RUN.id) == RUN
        assert store.votes_of("me") == [mine]
        assert store.votes_on(PAIRS[2].id) == [mine, other]
        with pytest.raises(UserError, match="frame"):
            store.get("scores", "x")
        with pytest.raises(UserError, match="prompts, candidates"):
            store.frame("labels")


def test_a_missing_file_is_an_error_to_read_and_made_to_write(tmp_path: Path) -> None:
    file = tmp_path / "prefs.duckdb"
    store = Store.open(file)
    with pytest.raises(UserError, match=r"does not exist.*train\.sample"):
        store.all("pairs")
    assert list(tmp_path.iterdir()) == []
    assert store.add([PROMPT]) == 1
    assert store.all("prompts") == [PROMPT]
    store.close()
    with pytest.raises(UserError, match="closed"):
        store.all("prompts")
    with Store.open(tmp_path / "new.duckdb", create=True) as empty:
        assert empty.all("votes") == []
        assert empty.sequence == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing/p.duckdb", "does not exist"),
        (".", "folder"),
        ("text.duckdb", "cannot be opened"),
        ("votes.csv", "a table, not a database"),  # DuckDB would read it, and keep nothing
    ],
)
def test_a_wrong_path_is_named(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "text.duckdb").write_text("no database, but longer than a header " * 500)
    (tmp_path / "votes.csv").write_text("left,right\na,b\n")
    with pytest.raises(UserError, match=message):
        Store.open(tmp_path / name)


def test_a_url_is_no_file() -> None:
    with pytest.raises(UserError, match="local disk"):
        Store.open("mysql://host/prefs")


def test_a_link_and_a_relative_path_lead_to_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = path.parent / "link.duckdb"
    link.symlink_to(path)
    monkeypatch.chdir(path.parent)
    with Store.own("prefs.duckdb") as owner:
        with pytest.raises(UserError, match="owned by process"):
            Store.own(link)
        owner.vote(vote())
        with Store.open(link) as store:
            assert store.sequence == 1
            assert store.path == path


@both
def test_a_view_is_the_moment_of_opening(path: Path) -> None:
    with Store.open(path) as early, Store.open(path) as writer:
        writer.add([vote()])
        with Store.open(path) as late:
            assert (early.sequence, writer.sequence, late.sequence) == (0, 1, 1)
            add(path, [vote(PAIRS[1])])
            assert (early.sequence, writer.sequence, late.sequence) == (0, 1, 1)
    if "://" in str(path):
        return
    leftovers = {file.name for file in path.parent.iterdir()}
    assert leftovers == {
        "prefs.duckdb",
        "prefs.duckdb.lock",
        "prefs.duckdb.journal",
        "prefs.snapshot.duckdb",
    }

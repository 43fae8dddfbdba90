"""Whatever happens to the table, the journal puts it right; and memory agrees with a restart."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.store import Owner, Store, add, reading
from data.store.__main__ import main
from data.store.slots import Slots

from .material import PAIRS, WORLD, vote
from .test_labelling import answer, cast

QUICK = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
facts = st.dictionaries(texts, st.floats(allow_nan=False) | st.integers(-9, 9) | texts, max_size=3)
_names = count()


@QUICK
@given(
    said=st.lists(st.tuples(texts, facts, st.floats(0, 1e6)), min_size=1, max_size=12),
    lost=st.sets(st.integers(1, 12)),
)
def test_whatever_rows_are_lost_come_back_equal(
    tmp_path: Path, said: list[tuple[str, dict[str, object], float]], lost: set[int]
) -> None:
    path = tmp_path / f"{next(_names)}.duckdb"
    votes = [
        vote(PAIRS[n], reason=text, watched=watched, seconds=seconds, time_ms=n + 1)
        for n, (text, watched, seconds) in enumerate(said)
    ]
    add(path, [*WORLD, *votes])
    with duckdb.connect(str(path)) as damaged:
        damaged.execute("DELETE FROM votes WHERE list_contains(?, seq)", [sorted(lost)])
    with Store.own(path) as owner:
        assert sorted(owner.all("votes"), key=lambda one: one.time_ms) == votes
    assert main(["check", "--db", str(path)]) == 0


@QUICK
@given(answers=st.lists(answer, min_size=2, max_size=24), known=st.integers(0, 24))
def test_what_is_noted_one_by_one_is_what_a_restart_loads(
    owner: Owner, answers: list[dict[str, object]], known: int
) -> None:
    pairs, votes = cast(f"campaign {next(_names)}", answers)
    owner.add([*pairs, *votes[:known]])
    owner._slots.forget()
    owner._do(owner._load_slots)
    for one in votes[known:]:
        owner.vote(one)
    fresh = Slots()
    with owner._reading() as cursor:
        fresh.load(reading.standing_votes(cursor))
    for pair in pairs:
        assert owner._slots._slots._standing(pair.id) == fresh._standing(pair.id)

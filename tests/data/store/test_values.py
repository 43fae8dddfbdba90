"""Values and agreement in columns are those that records give, score by score and vote by vote."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.decisions import counted
from data.records import Score
from data.store import Owner, Store, values
from data.votes import live_votes

from .engines import both
from .material import CANDIDATES, PAIRS, SCORES, excluded, sha, vote
from .test_labelling import answer, cast

score = st.builds(
    lambda clip, version, dimension, value: Score(
        candidate=sha(clip), scorer="classic", version=version, dimension=dimension, value=value
    ),
    st.integers(0, 4),
    st.sampled_from(["1", "2"]),
    st.sampled_from(["motion_smoothness", "dynamic_degree"]),
    st.sampled_from([0.0, 0.25, 1.0]),
)


def newest(store: Store) -> tuple[dict[tuple[str, str], str], dict[tuple[str, str, str], float]]:
    """Per scorer and dimension the version of the last score, and its values per clip."""
    every = store.all("scores")
    current = {(one.scorer, one.dimension): one.version for one in every}
    found = {
        (one.scorer, one.dimension, one.candidate): one.value
        for one in every
        if one.version == current[one.scorer, one.dimension]
    }
    return current, found


def reference(store: Store) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Agreed, opposed and equal votes per dimension, counted one by one."""
    current, value = newest(store)
    pairs = {pair.id: pair for pair in store.all("pairs")}
    counts: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for one in live_votes(counted(store.all("votes"), store.all("decisions"))):
        pair = pairs[one.pair]
        for dimension in current if one.outcome == "preference" and pair.trains else ():
            a, b = (value.get((*dimension, clip)) for clip in (pair.a, pair.b))
            if a is None or b is None:
                continue
            preferred, other = (a, b) if one.preferred == pair.a else (b, a)
            counts[dimension][2 if a == b else int(preferred < other)] += 1
    return {dimension: (*counts[dimension],) for dimension in current}  # type: ignore[misc]


def asked(store: Store) -> dict[tuple[str, str], tuple[int, int, int]]:
    return {(row[0], row[1]): row[3:6] for row in store.agreement().iter_rows()}


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(answers=st.lists(answer, max_size=20), scores=st.lists(score, max_size=8), out=st.booleans())
def test_whatever_was_scored_and_answered(
    owner: Owner, answers: list[dict[str, Any]], scores: list[Score], out: bool
) -> None:
    pairs, votes = cast(f"campaign {owner.count('pairs')}", answers)
    owner.add([*pairs, *votes, *scores, excluded("ann", counts=not out, time_ms=owner.sequence)])
    assert asked(owner) == reference(owner)
    wanted = [("classic", "dynamic_degree"), ("classic", "unknown")]
    current, value = newest(owner)
    del current
    assert owner.values(wanted).rows() == [
        (one.sha256, value.get(("classic", "dynamic_degree", one.sha256)), None)
        for one in owner.all("candidates")
    ]


@both
def test_by_hand(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clip 1 moves more than 0, and 2 as much as 1; three of four prefer 1 to 0, one ties."""
    first, equal = PAIRS[0], next(p for p in PAIRS if {p.a, p.b} == {sha(1), sha(2)})
    owner.add([replace(SCORES[1], value=0.2), replace(SCORES[3], value=0.9)])
    owner.add([replace(SCORES[5], value=0.9)])
    for n, clip in enumerate((sha(1), sha(1), sha(1), sha(0))):
        owner.vote(vote(first, f"a{n}", preferred=clip))
    owner.vote(vote(first, "a9", outcome="tie", preferred=None))
    owner.vote(vote(equal, "a0", preferred=sha(2)))
    found = [
        ("classic", "dynamic_degree", "1", 3, 1, 1, 0.75),
        ("classic", "motion_smoothness", "1", 0, 0, 5, None),
    ]
    assert owner.agreement().rows() == found
    monkeypatch.setattr(values, "_BLOCK", 1)  # one dimension at a time
    assert owner.agreement().rows() == found
    named = [("classic", "motion_smoothness"), ("classic", "dynamic_degree")]
    assert owner.values(named).columns == ["candidate", *("/".join(one) for one in named)]
    assert owner.values(named)["classic/dynamic_degree"].to_list()[:4] == [0.2, 0.9, 0.9, 0.5]
    assert owner.values([]).height == len(CANDIDATES)


def test_a_clip_that_is_not_there_has_no_value(path: Any) -> None:
    with Store.open(path) as store:
        before = store.agreement()
        store.add(
            [Score(candidate="f" * 64, scorer="classic", version="1", dimension="x", value=1)]
        )
        assert store.agreement().height == before.height + 1
        assert store.values([("classic", "x")])["classic/x"].to_list() == [None] * len(CANDIDATES)

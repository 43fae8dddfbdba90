"""The queries for millions of votes give what the pure functions give, pair by pair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data import decisions, labels
from data.errors import UserError
from data.records import NEVER_TRAINS, Decision, Pair, Vote
from data.store import Owner, Store

from .material import CANDIDATES, PAIRS, WORLD, excluded, vote

SOME = [*PAIRS[:5], replace(PAIRS[5], best=None)]
CHECKS = [replace(PAIRS[0], strategy=f"{kind}:x") for kind in NEVER_TRAINS]
answer = st.fixed_dictionaries(
    {
        "pair": st.sampled_from([*range(len(SOME)), *range(len(SOME) + len(CHECKS))]),
        "annotator": st.sampled_from(["ann", "bob", "cy"]),
        "kind": st.sampled_from(["a", "b", "a", "b", "tie", "skip", "undo"]),
        "unusable": st.booleans(),
        "time_ms": st.integers(1, 5),
        "revises": st.none() | st.integers(0, 30),
    }
)

word = st.builds(
    lambda who, counts, time_ms: excluded(who, counts=counts, time_ms=time_ms),
    st.sampled_from(["ann", "bob"]), st.booleans(), st.integers(1, 9),
)  # fmt: skip


def cast(campaign: str, answers: list[dict[str, object]]) -> tuple[list[Pair], list[Vote]]:
    """Votes on pairs of a campaign of their own; each may revise an earlier one of its author."""
    pairs = [replace(pair, campaign=campaign) for pair in [*SOME, *CHECKS]]
    votes: list[Vote] = []
    for number, given_ in enumerate(answers):
        pair, kind = pairs[int(str(given_["pair"]))], given_["kind"]
        mine = [v for v in votes if (v.pair, v.annotator) == (pair.id, given_["annotator"])]
        turn = given_["revises"]
        revises = mine[int(str(turn)) % len(mine)].id if mine and turn is not None else None
        if kind == "undo" and revises is None:
            kind = "skip"
        votes.append(
            vote(
                pair,
                str(given_["annotator"]),
                id=f"{campaign}-{number}",
                outcome="preference" if kind in ("a", "b") else kind,
                preferred={"a": pair.a, "b": pair.b}.get(str(kind)),
                unusable=given_["unusable"],
                time_ms=given_["time_ms"],
                revises=revises,
            )
        )
    return pairs, votes


def counting(store: Store) -> list[Vote]:
    return decisions.counted(store.all("votes"), store.all("decisions"))


def reference(source: str, store: Store) -> list[tuple[str, str, str, str, float]]:
    made = labels.LABELS[source](store.all("pairs"), store.all("scores"), counting(store))
    return [(one.pair, one.prompt, one.chosen, one.rejected, one.probability) for one in made]


@pytest.mark.parametrize("source", ["auto", "human"])
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(answers=st.lists(answer, max_size=30), said=st.lists(word, max_size=2))
def test_whatever_people_answer(
    owner: Owner, source: str, answers: list[dict[str, object]], said: list[Decision]
) -> None:
    pairs, votes = cast(f"campaign {owner.count('pairs')}", answers)
    owner.add([*pairs, *votes, *said])
    assert owner.labels(source).rows() == reference(source, owner)
    reasons = labels.left_out(source, owner.all("pairs"), (), counting(owner))
    assert owner.left_out(source) == reasons


def test_who_does_not_count_and_what_checks_people(tmp_path: Path) -> None:
    """Two for b of whom one does not count, one for a: even; and a gold pair that all answered."""
    gold = replace(PAIRS[1], strategy="gold:frozen")
    votes = [vote(PAIRS[0], who, preferred=PAIRS[0].b) for who in ("ann", "mallory")]
    votes += [vote(PAIRS[0], "bob", preferred=PAIRS[0].a), vote(gold, "ann"), vote(gold, "bob")]
    with Store.own(tmp_path / "p.duckdb") as owner:
        owner.add([PAIRS[0], gold, *votes])
        assert owner.labels("human")["probability"].to_list() == [2.5 / 4]
        owner.add([excluded("mallory")])
        assert owner.left_out("human") == {"even": 1, "check": 1}
        assert owner.left_out("auto") == {"check": 1}
        owner.add([excluded("mallory", counts=True, time_ms=8)])
        assert owner.labels("human").rows() == reference("human", owner)
        assert owner.left_out("human") == {"check": 1}


def test_shares_by_hand(tmp_path: Path) -> None:
    """Two for b, one tie, one skip: b has 2.5 of 3, (2.5 + 0.5) / (3 + 1) = 0.75."""
    first, second = PAIRS[:2]
    votes = [
        vote(first, "ann", preferred=first.b),
        vote(first, "bob", preferred=first.b),
        vote(first, "cy", outcome="tie", preferred=None),
        vote(first, "dee", outcome="skip", preferred=None),
        vote(second, "ann", preferred=second.a, time_ms=9),
        vote(second, "ann", preferred=second.b, time_ms=8),  # the older one of two tabs
    ]
    with Store.own(tmp_path / "p.duckdb") as owner:
        owner.add([*WORLD, *votes])
        assert owner.labels("human").rows() == [
            (first.id, first.prompt, first.b, first.a, 0.75),
            (second.id, second.prompt, second.a, second.b, 0.75),
        ]
        assert owner.left_out("human") == {"unvoted": len(PAIRS) - 2}
        assert owner.labels("auto").height == len(PAIRS)
        with pytest.raises(UserError, match="there are auto, human"):
            owner.labels("posterior")


def test_a_crowd_is_counted_exactly(tmp_path: Path) -> None:
    """Sixty annotators surely fall on the same bits; one of them answers twice."""
    pair = PAIRS[0]
    votes = [vote(pair, f"a{n}", preferred=pair.a if n < 40 else pair.b) for n in range(60)]
    votes.append(vote(pair, "a0", preferred=pair.b, time_ms=2**40 * 2))
    with Store.own(tmp_path / "p.duckdb") as owner:
        owner.add([CANDIDATES[0], *PAIRS, *votes])
        assert owner.labels("human").rows() == [
            (pair.id, pair.prompt, pair.a, pair.b, (39 + 0.5) / 61)
        ]
        assert owner.labels("human").rows() == reference("human", owner)

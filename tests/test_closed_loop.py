"""The simulated annotators of the closed loop are what they are said to be."""

from __future__ import annotations

import pytest

from benchmarks import closed_loop
from benchmarks.loop_report import wins
from benchmarks.simulated import Crowd, Material, asked
from data.omniscore import PROFILES
from data.records import Pair
from train.comparison.duels import BASE

PAIRS = [Pair(prompt=f"p{i}", a="a" * 64, b="b" * 64, campaign=f"c{i}") for i in range(2000)]
BETTER = {pair.id: pair.a for pair in PAIRS}
CROWD = Crowd({"w0": 0.9, "w1": 0.6}, ties=0.1)


def test_annotators_are_as_accurate_as_told_and_answer_the_same_again():
    for who, accuracy in CROWD.accuracy.items():
        votes = [CROWD.answer(pair, pair.a, who, 3) for pair in PAIRS]
        sided = [vote for vote in votes if vote.outcome == "preference"]
        right = sum(vote.preferred == "a" * 64 for vote in sided)
        assert right / len(sided) == pytest.approx(accuracy, abs=0.03)
        assert 1 - len(sided) / len(votes) == pytest.approx(0.1, abs=0.02)
        assert sum(vote.left == "a" * 64 for vote in votes) / 2000 == pytest.approx(0.5, abs=0.04)
    assert CROWD.answer(PAIRS[0], "a" * 64, "w0", 3) == CROWD.answer(PAIRS[0], "a" * 64, "w0", 3)


def test_every_pair_is_asked_once_before_any_twice():
    few = Material(PAIRS[:10], [], BETTER, PROFILES["lite"])
    votes = asked(few, CROWD, "random", 15, step=4, seed=0)
    assert len({vote.pair for vote in votes[:10]}) == 10
    assert len({(vote.pair, vote.annotator) for vote in votes}) == 15
    assert len(asked(few, CROWD, "random", 99, step=4, seed=0)) == 20


def test_votes_needed_by_hand():
    def row(source: str, votes: int, right: float) -> dict[str, object]:
        return {"source": source, "votes": votes, "right": right, "order": "random"}

    rows = [row("human", n, r) for n, r in ((0, 0.5), (100, 0.7), (200, 0.9))]
    rows += [row("posterior", n, r) for n, r in ((0, 0.5), (100, 0.8), (200, 0.85))]
    # .7 lies two thirds of the way from .5 at 0 votes to .8 at 100; .9 is never reached.
    assert closed_loop.needed(rows, "right", 100, "random") == pytest.approx(200 / 3)
    assert closed_loop.needed(rows, "right", 200, "random") is None


def test_wins_by_round_and_by_votes_by_hand():
    def row(arm: str, number: int, votes: int, *scores: float, **more: object) -> dict[str, object]:
        oracle = dict(zip("pqrs", scores, strict=True))
        return {"seed": 0, "arm": arm, "a_round": 50, "round": number, "votes": votes,
                "oracle": oracle, **more}  # fmt: skip

    base = row(BASE, 0, 0, 0.5, 0.5, 0.5, 0.5) | {"a_round": 0}
    first = row("human", 1, 50, 0.6, 0.4, 0.505, 0.6)  # won, lost, a tie within .01, won: 2.5 of 4
    second = row("human", 2, 100, 0.6, 0.6, 0.6, 0.6)
    apart = row("human", 1, 50, 0.4, 0.4, 0.4, 0.4, order="uncertain")
    rows = [base, first, second, apart]
    found = wins(rows, ("human", 50), "votes")
    assert (found.x, found.middle) == ([0.0, 50.0, 100.0], [0.5, 0.625, 1.0])
    assert found.name == "human, 50 votes a round"
    assert wins(rows, ("human", 50), "round").x == [0.0, 1.0, 2.0]
    assert wins(rows, ("human, uncertain first", 50), "round").middle == [0.5, 0.0]

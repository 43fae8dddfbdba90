"""Dawid and Skene's reliability: by hand, against a second implementation, and who fools it."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from data.raters import RIGHT, STRENGTH, TIE, TIE_ON_TIE, TIED, WRONG, answers, reliability
from data.records import Vote

from .ballot_box import pair, vote


def simulated(accuracy, *, pairs=300, seed=0, ties=0.1, share=1.0):
    """Votes of simulated annotators: `accuracy` by name, or the habit `left`."""
    rng = np.random.default_rng(seed)
    about = [pair(f"s{seed}-{i}") for i in range(pairs)]
    votes = []
    for one in about:
        truth, other = ("a", "b") if rng.random() < 0.5 else ("b", "a")
        for who, right in accuracy.items():
            left, tie, hit, there = rng.random(4)
            side = one.a if left < 0.5 else one.b
            if there > share:
                continue
            if right == "left":
                votes.append(vote(one, who, "a" if side == one.a else "b", left=side))
            else:
                said = "tie" if tie < ties else truth if hit < right else other
                votes.append(vote(one, who, said, left=side))
    return votes, about


def second_implementation(votes: list[Vote], pairs, rounds=3000):
    """The same model with dictionaries and loops, written from the paper's formulas."""
    by_id = {one.id: one for one in pairs}
    said: dict[str, dict[str, str]] = {}
    for one in votes:
        about = by_id[one.pair]
        answer = "tie" if one.outcome == "tie" else "a" if one.preferred == about.a else "b"
        said.setdefault(one.pair, {})[one.annotator] = answer
    people = sorted({who for answers in said.values() for who in answers})
    table = dict.fromkeys(people, (RIGHT, TIE, WRONG, TIE_ON_TIE))
    tied = TIED

    def chance(who, answer, truth):
        right, tie, wrong, tie_on_tie = table[who]
        if truth == "tie":
            return tie_on_tie if answer == "tie" else (1 - tie_on_tie) / 2
        return tie if answer == "tie" else right if answer == truth else wrong

    for _ in range(rounds):
        belief = {}
        for name, given in said.items():
            odds = {"a": (1 - tied) / 2, "tie": tied, "b": (1 - tied) / 2}
            for truth in odds:
                odds[truth] *= math.prod(chance(who, x, truth) for who, x in given.items())
            belief[name] = {truth: odds[truth] / sum(odds.values()) for truth in odds}
        new = {}
        for who in people:
            count = Counter()
            for name, given in said.items():
                if who in given:
                    for truth, weight in belief[name].items():
                        kind = (
                            ("on tie", given[who] == "tie")
                            if truth == "tie"
                            else "tie"
                            if given[who] == "tie"
                            else given[who] == truth
                        )
                        count[kind] += weight
            sides = count[True] + count["tie"] + count[False] + STRENGTH
            even = count["on tie", True] + count["on tie", False] + STRENGTH
            new[who] = (
                (count[True] + STRENGTH * RIGHT) / sides,
                (count["tie"] + STRENGTH * TIE) / sides,
                (count[False] + STRENGTH * WRONG) / sides,
                (count["on tie", True] + STRENGTH * TIE_ON_TIE) / even,
            )
        tied = (sum(b["tie"] for b in belief.values()) + STRENGTH * TIED) / (len(said) + STRENGTH)
        moved = max(abs(x - y) for who in people for x, y in zip(new[who], table[who], strict=True))
        table = new
        if moved < 1e-13:
            break
    return table


def test_it_agrees_with_a_second_implementation():
    votes, pairs = simulated({"x": 0.9, "y": 0.7, "z": 0.55}, pairs=40, ties=0.3, share=0.8)
    found = reliability(votes, pairs)
    for who, expected in second_implementation(votes, pairs).items():
        mine = (found[who].right, found[who].tie, found[who].wrong, found[who].tie_on_tie)
        assert mine == pytest.approx(expected, abs=1e-9)


def test_known_accuracies_are_recovered_and_sum_to_one():
    people = {"good": 0.9, "better": 0.8, "fair": 0.7, "guess": 0.5, "left": "left"}
    votes, pairs = simulated(people, pairs=2000)
    found = reliability(votes, pairs)
    assert found["better"].accuracy == pytest.approx(0.8, abs=0.03)
    assert found["good"].accuracy == pytest.approx(0.9, abs=0.03)
    assert found["fair"].accuracy == pytest.approx(0.7, abs=0.03)
    assert found["guess"].accuracy == pytest.approx(0.5, abs=0.04)
    assert found["left"].accuracy == pytest.approx(0.5, abs=0.04)
    assert abs(found["left"].log_odds("a")) < 0.2 < 1.5 < found["good"].log_odds("a")
    for one in found.values():
        assert one.right + one.tie + one.wrong == pytest.approx(1)
        assert min(one.right, one.tie, one.wrong, one.tie_on_tie) > 0
        assert max(one.right, one.tie, one.wrong, one.tie_on_tie) < 1


def test_who_answers_the_wrong_way_round_counts_against_himself():
    votes, pairs = simulated({"one": 0.9, "two": 0.85, "turned": 0.2}, pairs=800)
    found = reliability(votes, pairs)
    assert found["turned"].log_odds("a") < -0.7
    assert found["turned"].log_odds("b") == -found["turned"].log_odds("a")
    assert found["turned"].log_odds("tie") == 0


def test_swapping_every_a_and_b_changes_nothing():
    votes, pairs = simulated({"x": 0.8, "y": 0.6}, pairs=50, ties=0.3)
    turned = []
    for one in votes:
        preferred = one.preferred and (one.left if one.preferred == one.right else one.right)
        turned.append(
            Vote(
                id=one.id,
                pair=one.pair,
                annotator=one.annotator,
                left=one.left,
                right=one.right,
                outcome=one.outcome,
                preferred=preferred,
                time_ms=one.time_ms,
            )
        )
    here, there = reliability(votes, pairs), reliability(turned, pairs)
    for who in here:
        assert here[who].right == pytest.approx(there[who].right, abs=1e-12)


def test_alone_says_nothing_and_one_vote_is_worth_three_quarters():
    votes, pairs = simulated({"alone": 0.9}, ties=0.0)
    (only,) = reliability(votes, pairs).values()
    assert (only.votes, only.shared) == (300, 0)
    # right / wrong stays at the prior's 0.63 / 0.21 = 3, so P(a | one vote for a) = 3 / 4.
    assert only.accuracy == pytest.approx(0.75, abs=1e-9)
    assert 1 / (1 + math.exp(-only.log_odds("a"))) == pytest.approx(0.75)


def test_few_votes_stay_near_the_prior():
    one = pair("only")
    found = reliability([vote(one, "x", "a"), vote(one, "y", "a")], [one])
    # The same answer twice is a little evidence for both, never certainty.
    assert found["x"].accuracy == pytest.approx(found["y"].accuracy, abs=1e-12)
    assert 0.75 < found["x"].accuracy < 0.80
    assert reliability([], [one]) == {}


def test_only_answers_on_pairs_that_train_enter():
    plain = pair("p")
    gold = pair("p", strategy="gold:frozen")
    votes = [
        vote(plain, "x", "skip"),
        vote(gold, "x", "a"),
        vote(plain, "y", "a", name="first"),
        vote(plain, "y", "tie", revises="first", unusable=True),
    ]
    given = answers(votes, [plain, gold])
    assert (given.people, given.pairs, given.said.tolist()) == (("y",), (plain.id,), [1])
    assert given.table().tolist() == [[0, 1, 0]]

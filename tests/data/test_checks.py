"""What the checks say about people: sides, repeats, gold."""

from __future__ import annotations

import pytest

from data.checks import gold, left, repeats
from data.decisions import Gold

from .ballot_box import pair, vote


def by_id(*pairs):
    return {one.id: one for one in pairs}


def test_left_counts_preferences_on_pairs_that_train():
    about = [pair(f"l{i}") for i in range(12)]
    check = pair("l0", strategy="gold:frozen")
    votes = [vote(one, "x", "a") for one in about[:9]]  # `a` stands on the left
    votes += [vote(about[9], "x", "b"), vote(about[10], "x", "tie"), vote(check, "x", "a")]
    votes += [vote(about[11], "y", "b"), vote(about[0], "y", "a", left=about[0].b)]
    found = left(votes, by_id(*about, check), seed=0)
    assert (found.overall.value, found.overall.n) == (pytest.approx(9 / 12), 12)
    assert (found.people["x"].value, found.people["x"].n) == (0.9, 10)
    assert found.people["y"].told() == "n=2: too few"


def test_repeats_compare_clips_and_not_sides():
    votes, pairs = [], []
    for i in range(12):
        first = pair(f"r{i}")
        again = pair(f"r{i}", strategy=f"repeat:{first.id}")
        pairs += [first, again]
        said = "a" if i < 8 else "b"  # four times the other clip, which stands on the same side
        votes += [vote(first, "x", "a"), vote(again, "x", said, left=again.b)]
        votes += [vote(first, "y", "tie")]  # never saw the repeats
    found = repeats(votes, by_id(*pairs), seed=0)
    assert (found.same.overall.value, found.same.overall.n) == (pytest.approx(8 / 12), 12)
    assert found.same_side == 4
    assert list(found.same.people) == ["x"]


def test_a_repeat_without_its_first_answer_says_nothing():
    first = pair("r")
    again = pair("r", strategy=f"repeat:{first.id}")
    votes = [vote(again, "x", "a"), vote(first, "y", "a"), vote(first, "x", "skip")]
    assert repeats(votes, by_id(first, again), seed=0).same.overall.n == 0


def test_a_changed_answer_that_did_not_stay_on_its_side_is_no_key_presser():
    first = pair("r")
    again = pair("r", strategy=f"repeat:{first.id}")
    tie = [vote(first, "x", "a"), vote(again, "x", "tie", left=again.b)]
    same_place = [vote(first, "x", "a"), vote(again, "x", "b")]  # left, then right
    for votes in (tie, same_place):
        found = repeats(votes, by_id(first, again), seed=0)
        assert (found.same.overall.n, found.same_side) == (1, 0)


def test_gold_counts_a_tie_only_where_a_tie_is_right():
    known, votes = {}, []
    for i in range(20):
        one = pair(f"g{i}", strategy="gold:frozen" if i < 12 else "gold:same")
        expected = one.a if i < 12 else None
        known[one.id] = Gold(pair=one.id, expected=expected, kind=one.strategy[5:], use="gold")
        votes.append(vote(one, "x", "a" if i < 10 else "tie"))  # 10 and 11 wrong, the ties right
    practice = pair("pr", strategy="practice:frozen")
    known[practice.id] = Gold(pair=practice.id, expected=practice.a, kind="frozen", use="practice")
    votes += [vote(practice, "x", "b"), vote(pair("other"), "x", "b")]
    found = gold(votes, known, seed=0)
    assert found.accuracy.people["x"].value == found.accuracy.overall.value == 18 / 20
    assert found.kinds["frozen"].value == pytest.approx(10 / 12)
    assert found.kinds["same"].told() == "n=8: too few"

"""Agreement with OmniScore and win rates, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.agreement import agreement, duel, wilson, win_rate
from data.bootstrap import generator, share
from data.records import Pair, Vote

A, B, C = "a" * 64, "b" * 64, "c" * 64
PAIR = Pair(prompt="p", a=A, b=B, best=A, profile="lite", margin=0.1)
UNSCORED = Pair(prompt="p", a=A, b=C)


def vote(name: str, preferred: str | None, *, pair: Pair = PAIR, who: str = "", **rest) -> Vote:
    outcome = rest.pop("outcome", "tie" if preferred is None else "preference")
    rest.setdefault("time_ms", int("".join(c for c in name if c.isdigit()) or 0))
    return Vote(
        id=name,
        pair=pair.id,
        annotator=who or name,
        left=pair.a,
        right=pair.b,
        outcome=outcome,
        preferred=preferred,
        **rest,
    )


def test_every_vote_is_counted_once_by_what_it_says():
    votes = [
        vote("1", A),
        vote("2", A),
        vote("3", B),
        vote("4", None),
        vote("5", None, outcome="skip"),
        vote("6", B, unusable=True),
        vote("7", C, pair=UNSCORED),
    ]
    tally = agreement([PAIR, UNSCORED], votes).overall
    assert (tally.confirmations, tally.overrides, tally.ties) == (2, 1, 1)
    assert (tally.skips, tally.unusable, tally.unscored) == (1, 1, 1)
    assert tally.agreement.share == pytest.approx(2 / 3)
    assert tally.agreement.n == 3


def test_a_blind_answer_counts_as_given_though_the_reveal_changed_it():
    votes = [
        vote("b1", B, who="x", exposure="blind"),
        vote("s2", A, who="x", exposure="shown", revises="b1"),
        vote("b3", A, who="y", exposure="blind"),
        vote("s4", A, who="y", exposure="shown", revises="b3"),
        vote("s5", A, who="z", exposure="shown"),
    ]
    found = agreement([PAIR], votes)
    assert (found.blind.confirmations, found.blind.overrides) == (1, 1)
    assert (found.revealed.confirmations, found.revealed.overrides) == (2, 0)
    assert (found.shown.confirmations, found.shown.overrides) == (1, 0)
    assert (found.overall.confirmations, found.overall.overrides) == (3, 0)
    assert found.changed == 1


def test_an_undone_blind_answer_leaves_altogether():
    votes = [
        vote("b1", B, who="x", exposure="blind"),
        vote("s2", A, who="x", exposure="shown", revises="b1"),
        vote("u3", None, who="x", outcome="undo", revises="s2"),
        vote("b4", A, who="x", exposure="blind"),
        vote("b5", B, who="x", exposure="blind", revises="b4"),
    ]
    found = agreement([PAIR], votes)
    assert (found.blind.confirmations, found.blind.overrides) == (0, 1)
    assert found.overall == found.blind
    assert found.changed == 0


def test_two_tabs_of_one_person_are_one_blind_answer():
    # x answered in two tabs: the newer chain stands, and is all that is counted anywhere.
    votes = [
        vote("b1", B, who="x", exposure="blind"),
        vote("b2", A, who="x", exposure="blind"),
        vote("s3", A, who="x", exposure="shown", revises="b2"),
    ]
    found = agreement([PAIR], votes)
    assert (found.blind.confirmations, found.blind.overrides) == (1, 0)
    assert (found.revealed.confirmations, found.revealed.overrides) == (1, 0)
    assert (found.overall.confirmations, found.shown.confirmations) == (1, 0)


def test_votes_about_other_pairs_are_ignored_and_nothing_is_no_data():
    found = agreement([UNSCORED], [vote("1", A)])
    assert found.overall.agreement.share is None
    assert str(found.overall.agreement) == "no data"
    assert found.as_dict()["changed"] == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "tie"]), st.sampled_from(["blind", "shown"])),
        max_size=30,
    ),
    st.randoms(use_true_random=False),
)
def test_sides_and_order_do_not_matter(said, random):
    best_b = Pair(prompt="p", a=A, b=B, best=B)
    one, other = [], []
    for i, (answer, exposure) in enumerate(said):
        preferred = {"a": A, "b": B, "tie": None}[answer]
        turned = {"a": B, "b": A, "tie": None}[answer]
        one.append(vote(str(i), preferred, exposure=exposure))
        other.append(vote(str(i), turned, pair=best_b, exposure=exposure))
    found = agreement([PAIR], one)
    assert agreement([best_b], random.sample(other, len(other))) == found
    assert agreement([PAIR], random.sample(one, len(one))) == found


def test_wilson_by_hand():
    # n = 10, 8 successes, z = 1.959964: centre (0.8 + 0.192073) / 1.384146 = 0.716740,
    # half width 1.959964 / 1.384146 * sqrt(0.016 + 0.0096036) = 0.226578.
    found = wilson(8, 10)
    assert (found.share, found.n) == (0.8, 10)
    assert (found.low, found.high) == pytest.approx((0.49016, 0.94332), abs=1e-4)
    assert wilson(0, 5).low == 0.0
    assert wilson(5, 5).high == 1.0
    with pytest.raises(ValueError, match="successes"):
        wilson(6, 5)


@given(st.integers(0, 40), st.integers(1, 40))
def test_wilson_is_symmetric_and_holds_the_share(successes, n):
    successes = min(successes, n)
    here, mirrored = wilson(successes, n), wilson(n - successes, n)
    assert here.low <= here.share <= here.high
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - here.high, 1 - here.low))


def test_win_rate_counts_ties_as_half_and_repeats_with_its_seed():
    outcomes = [("p", 1.0), ("p", 0.5), ("q", 0.0), ("q", 1.0)]
    found = win_rate(outcomes, seed=3)
    assert found.share == pytest.approx(2.5 / 4)
    assert found.n == 4
    # Two prompts with means 3/4 and 1/2: a bootstrap of prompts can only see 1/2, 5/8 or 3/4.
    assert (found.low, found.high) == (0.5, 0.75)
    assert win_rate(outcomes, seed=3) == found
    assert win_rate([]).share is None


def test_a_win_rate_has_the_interval_of_every_other_share():
    outcomes = [(str(i % 8), [0.0, 0.5, 1.0][i % 3]) for i in range(32)]
    prompts, won = zip(*outcomes, strict=True)
    mine = win_rate(outcomes, seed=3)
    other = share(prompts, np.array(won), generator(3, "win rate"))
    assert (mine.share, mine.low, mine.high) == (other.value, other.low, other.high)


def test_clips_of_one_prompt_are_not_independent():
    spread = [(str(i), float(i % 2)) for i in range(40)]
    clustered = [(str(i // 10), float(i // 10 % 2)) for i in range(40)]
    narrow, wide = win_rate(spread), win_rate(clustered)
    assert narrow.share == wide.share == 0.5
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_unanimous_prompts_do_not_claim_certainty():
    found = win_rate([("p", 1.0), ("q", 1.0), ("r", 1.0)])
    assert found.share == found.high == 1.0
    assert found.low == wilson(3, 3).low < 0.5


def test_a_duel_is_won_lost_or_tied():
    assert duel([(0.9, 0.1), (0.1, 0.9), (0.5, 0.5)]) == [1.0, 0.0, 0.5]
    assert duel([(0.52, 0.5)], tie=0.05) == [0.5]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1))), st.floats(0, 0.5))
def test_a_duel_turned_round_is_the_other_sides(scores, tie):
    turned = duel([(b, a) for a, b in scores], tie=tie)
    assert [1 - x for x in turned] == duel(scores, tie=tie)

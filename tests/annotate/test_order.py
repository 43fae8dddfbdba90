"""Stages, shuffles and the rule when to stop: small arrays worked out by hand, and invariances."""

from __future__ import annotations

import numpy as np
import pytest

from annotate.order import (
    CLOSED,
    LAST,
    STAGES,
    bucket,
    first,
    from_stratum,
    seed,
    settled,
    shuffled,
    wanted,
)

KEYS = np.random.default_rng(7).integers(0, 2**64, 50_000, dtype=np.uint64)
ANNA, BOB = seed("default", "anna"), seed("default", "bob")


def stages(order: str, tally: list[list[int]], margin: list[float] | None = None) -> list[int]:
    margins = np.array(margin or [np.nan] * len(tally))
    return STAGES[order](np.array(tally, np.int32), margins).tolist()


def test_unvoted_first_counts_answers_whatever_they_say():
    assert stages("unvoted-first", [[0, 0, 0], [1, 0, 0], [0, 1, 1], [99, 99, 99]]) == [
        0,
        1,
        2,
        LAST,
    ]


def test_split_puts_disagreement_before_everything_else():
    # Agreeing pairs: 1 + number of answers. A tie against a preference is a disagreement too.
    tally = [[0, 0, 0], [2, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 3]]
    assert stages("split", tally) == [1, 3, 0, 0, 4]


def test_uncertain_goes_by_the_root_of_the_margin_and_unscored_pairs_come_last():
    # floor(250 * sqrt(m)): 0 -> 0, 0.0001 -> 2.5 -> 2, 0.04 -> 50, 1 -> 250; above 1 as 1.
    margin = [0.0, 0.0001, -0.04, 1.0, 3.0, np.nan]
    assert stages("uncertain", [[0, 0, 0]] * 6, margin) == [0, 2, 50, 250, 250, LAST]


def test_no_order_calls_an_open_pair_closed():
    rng = np.random.default_rng(0)
    tally = rng.integers(0, 400, (1000, 3))
    margin = np.where(rng.random(1000) < 0.2, np.nan, rng.normal(size=1000) * 5)
    for order, of in STAGES.items():
        assert of(tally, margin).max() <= LAST < CLOSED, order
        assert of(tally, margin).dtype == np.uint8


@pytest.mark.parametrize("count", [0, 1, 100, 256, 40_000, 50_000, 60_000])
def test_first_is_the_head_of_the_whole_sorted_order(count):
    stage = np.random.default_rng(1).choice(np.array([0, 1, 7, CLOSED], np.uint8), len(KEYS))
    skip = np.arange(0, len(KEYS), 3)
    usable = np.setdiff1d(np.flatnonzero(stage != CLOSED), skip)
    places = shuffled(KEYS, ANNA)
    expected = sorted(usable, key=lambda row: (stage[row], places[row]))[:count]
    assert first(stage, KEYS, ANNA, count=count, skip=skip).tolist() == expected
    known = {"buckets": bucket(KEYS), "waiting": np.bincount(stage, minlength=256)}
    assert first(stage, KEYS, ANNA, count=count, skip=skip, **known).tolist() == expected


def test_an_order_is_a_permutation_of_its_own_for_everybody_and_repeats():
    stage = np.zeros(len(KEYS), np.uint8)
    anna = first(stage, KEYS, ANNA, count=len(KEYS))
    assert np.array_equal(np.sort(anna), np.arange(len(KEYS)))  # nothing lost, nothing twice
    assert np.array_equal(anna, first(stage, KEYS, ANNA, count=len(KEYS)))
    bob = first(stage, KEYS, BOB, count=len(KEYS))
    assert np.mean(anna == bob) < 0.001  # two permutations share about one place
    assert seed("another", "anna") != ANNA


def test_pairs_that_are_added_do_not_change_the_order_of_the_others():
    stage = np.zeros(len(KEYS), np.uint8)
    before = first(stage[:40_000], KEYS[:40_000], ANNA, count=40_000)
    after = first(stage, KEYS, ANNA, count=len(KEYS))
    assert after[after < 40_000].tolist() == before.tolist()


def test_the_shuffle_loses_no_key_and_is_even_for_close_keys():
    near = np.arange(100_000, dtype=np.uint64)  # ids are hashes; this is harder
    places = shuffled(near, ANNA)
    assert len(np.unique(places)) == len(near)
    # The first 8 bits are the key's bucket, shared by neighbours; the ones behind are mixed.
    assert len(set(bucket(places))) == 1
    counts = np.bincount((places >> np.uint64(52)).astype(int) % 16, minlength=16)
    # 6250 expected in each sixteenth, standard deviation 77.
    assert np.abs(counts - 6250).max() < 5 * 77


def test_the_random_stratum_has_the_share_that_was_asked_for():
    drawn = [from_stratum("c", "anna", number, stratum=0.2) for number in range(10_000)]
    assert abs(sum(drawn) - 2000) < 4 * 40  # standard deviation sqrt(10000 * 0.2 * 0.8) = 40
    assert drawn == [from_stratum("c", "anna", number, stratum=0.2) for number in range(10_000)]
    assert drawn != [from_stratum("c", "bob", number, stratum=0.2) for number in range(10_000)]
    more = [from_stratum("c", "anna", number, stratum=0.5) for number in range(10_000)]
    assert all(b for a, b in zip(drawn, more, strict=True) if a)  # raising the share only adds
    assert not any(from_stratum("c", "anna", number, stratum=0.0) for number in range(100))


@pytest.mark.parametrize(
    ("counts", "needs"),
    [
        ((0, 0, 0), 3),
        ((2, 0, 0), 3),
        ((3, 0, 0), 3),  # three of one mind: settled
        ((2, 1, 0), 5),  # one ahead; two more for `a` would make it three ahead
        ((1, 1, 1), 6),  # nobody ahead: three more at least
        ((3, 1, 0), 5),
        ((4, 1, 0), 5),  # three ahead
        ((3, 2, 0), 7),
        ((4, 2, 0), 7),
        ((4, 3, 0), 7),  # never settled, but nobody more is asked
        ((0, 1, 4), 5),  # a tie is an answer that can lead
    ],
)
def test_adaptive_redundancy_asks_on_while_people_disagree(counts, needs):
    assert wanted(np.array([counts]), 3, 7).tolist() == [needs]
    assert settled(counts, 3, 7) == (sum(counts) >= needs)


def test_without_a_maximum_redundancy_is_all():
    tally = np.array([[0, 0, 0], [1, 1, 1], [9, 0, 0]])
    assert wanted(tally, 3, None).tolist() == [3, 3, 3]
    assert settled((1, 1, 1), 3, None)
    assert not settled((2, 0, 0), 3, None)


def test_a_pair_that_is_asked_again_needs_so_many_more():
    tally = np.array([[1, 0, 0], [1, 0, 0]])
    assert wanted(tally, 1 + np.array([0, 2]), None).tolist() == [1, 3]
    assert wanted(tally, 1 + np.array([0, 2]), 5 + np.array([0, 2])).tolist() == [1, 3]


def test_as_answers_come_in_a_pair_is_settled_once_and_the_need_is_never_overshot():
    rng = np.random.default_rng(3)
    for _ in range(300):
        counts, needs = np.zeros(3, int), []
        while not settled(counts.tolist(), 3, 7):
            needs.append(int(wanted(counts[None], 3, 7)[0]))
            counts[rng.integers(3)] += 1
        assert 3 <= counts.sum() <= 7
        assert all(need <= counts.sum() or need <= 7 for need in needs)
        assert needs[0] == 3

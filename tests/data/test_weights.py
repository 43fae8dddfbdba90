"""Rarity weights, worked by hand and held to their invariances."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import UserError
from data.records import Preference
from data.weights import PRESETS, Histogram, effective_sample_size, rarity, weighted


def preference(chosen: str, rejected: str) -> Preference:
    return Preference(
        pair=chosen + rejected,
        prompt="p",
        chosen=chosen,
        rejected=rejected,
        probability=1.0,
        source="auto",
    )


# Bins of width 0.01: a, b, c, d share [0.80, 0.81); e in [0.83, 0.84); f in [0.85, 0.86);
# g = 0.90 lies on the last edge and is counted in the closed last bin [0.89, 0.90], as h is.
TOTALS = {
    "a": 0.80,
    "b": 0.801,
    "c": 0.805,
    "d": 0.809,
    "e": 0.83,
    "f": 0.855,
    "g": 0.90,
    "h": 0.895,
}


def test_bins_are_half_open_and_the_last_one_is_closed():
    histogram = Histogram.of(TOTALS.values())
    assert {histogram.bin(s) for s in (0.80, 0.809)} == {80}
    assert histogram.bin(0.81) == 81
    assert histogram.bin(0.29) == 29  # 0.29 / 0.01 is 28.999999999999996
    assert histogram.bin(0.90) == histogram.bin(0.895) == 89
    assert histogram.share(0.80) == 4 / 8
    assert histogram.share(0.90) == 2 / 8
    assert histogram.largest == 4 / 8


def test_presets_by_hand():
    # p(e) = 1/8 and p(a) = 4/8, so sqrt(1/8 * 4/8) = sqrt(1/16) = 1/4.
    pairs = [preference("e", "a")]
    assert rarity(pairs, TOTALS, preset="paper") == [pytest.approx((1 / 0.25) ** 0.72)]
    assert rarity(pairs, TOTALS, preset="code") == [pytest.approx(0.72 / 0.25)]
    assert rarity(pairs, TOTALS, preset="max-bin") == [pytest.approx(0.5 / 0.25)]
    assert rarity(pairs, TOTALS, preset="none") == [1.0]
    assert rarity(pairs, TOTALS, alpha=2, beta=0.5) == [pytest.approx(4.0)]


def test_clip_then_mean_one():
    # max-bin: (e, a) weighs 2; (a, b) 0.5 / 0.5 = 1; (e, f) 0.5 / (1/8) = 4, clipped to 3. Mean 2.
    pairs = [preference("e", "a"), preference("a", "b"), preference("e", "f")]
    assert rarity(pairs, TOTALS, preset="max-bin") == pytest.approx([2, 1, 4])
    clipped = rarity(pairs, TOTALS, preset="max-bin", clip=3, normalise="mean")
    assert clipped == pytest.approx([2 / 2, 1 / 2, 3 / 2])


def test_a_pair_without_scores_is_neither_rare_nor_common():
    pairs = [preference("e", "a"), preference("e", "f"), preference("e", "unscored")]
    assert rarity(pairs, TOTALS, preset="max-bin") == pytest.approx([2, 4, 3])
    assert rarity(pairs[2:], {}, preset="paper") == [1.0]


def test_no_clip_has_probability_zero_however_scores_fall():
    assert rarity([preference("x", "y")], {"x": 0.8, "y": 0.8}, preset="code") == [0.72]


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=40),
    st.sampled_from(sorted(PRESETS)),
    st.sampled_from(["none", "mean"]),
    st.randoms(use_true_random=False),
)
def test_weights_are_positive_symmetric_and_blind_to_order(scores, preset, normalise, random):
    totals = {str(i): score for i, score in enumerate(scores)}
    names = list(totals)
    pairs = [preference(a, b) for a, b in pairwise(names)]
    options = {"preset": preset, "normalise": normalise}
    weights = rarity(pairs, totals, **options)
    assert all(0 < weight < math.inf for weight in weights)
    swapped = [preference(p.rejected, p.chosen) for p in pairs]
    assert rarity(swapped, totals, **options) == pytest.approx(weights)
    order = random.sample(range(len(pairs)), len(pairs))
    shuffled = dict(random.sample(list(totals.items()), len(totals)))
    again = rarity([pairs[i] for i in order], shuffled, **options)
    assert again == pytest.approx([weights[i] for i in order])
    if normalise == "mean":
        assert sum(weights) / len(weights) == pytest.approx(1)
    assert rarity(pairs, totals, preset=preset, alpha=0) == [1.0] * len(pairs)


@pytest.mark.parametrize("wrong", [{"preset": "x"}, {"alpha": -1}, {"beta": 0}, {"clip": -2}])
def test_wrong_options_say_what_is_allowed(wrong):
    with pytest.raises(UserError, match=r"must be|choose one of"):
        rarity([], {}, **wrong)


def test_effective_sample_size_by_hand():
    assert effective_sample_size([1, 1, 1, 1]) == 4
    assert effective_sample_size([3, 1]) == 16 / 10
    assert effective_sample_size([]) == 0


def test_weighted_keeps_everything_but_the_weight():
    before = preference("a", "b")
    (after,) = weighted([before], [2.5])
    assert after.weight == 2.5
    assert (after.id, after.chosen, after.probability) == (before.id, "a", 1.0)

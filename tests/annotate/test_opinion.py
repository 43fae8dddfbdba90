"""OmniScore for the page: hand-made scores, missing ones stay missing."""

from __future__ import annotations

import pytest

from annotate.opinion import Opinions
from data.omniscore import PROFILES
from data.records import Pair, Score
from tests.annotate.world import scores

A, B = "a" * 64, "b" * 64
PAIR = Pair.of(A, B, prompt="p", profile="lite")


def test_both_clips_are_put_side_by_side():
    opinion = Opinions([*scores(A, 0.7), *scores(B, 0.45)])(PAIR, B, A)
    assert opinion is not None
    assert (opinion.profile, opinion.heuristic, opinion.best) == ("lite", True, "right")
    # Every row is at 0.7 (0.45) of its range, so every mean is 0.7 (0.45).
    assert opinion.left == pytest.approx(0.45)
    assert opinion.right == pytest.approx(0.7)
    assert opinion.margin == pytest.approx(0.25)


def test_swapping_the_sides_swaps_everything():
    opinions = Opinions([*scores(A, 0.7), *scores(B, 0.45)])
    one, other = opinions(PAIR, A, B), opinions(PAIR, B, A)
    assert one is not None
    assert other is not None
    assert (one.left, one.right, one.margin) == (other.right, other.left, other.margin)
    assert [(bar.left, bar.right) for bar in one.bars] == [
        (bar.right, bar.left) for bar in other.bars
    ]


def test_alignment_that_lite_does_not_measure_is_there_as_missing():
    opinion = Opinions([*scores(A, 0.7), *scores(B, 0.45)])(PAIR, A, B)
    assert opinion is not None
    gaps = [bar.label for bar in opinion.bars if bar.left is None and bar.right is None]
    assert gaps == ["Fits the prompt"]
    assert len(opinion.bars) == 8


def test_a_missing_score_is_neither_zero_nor_a_tie():
    partial = [score for score in scores(B, 0.45) if score.dimension != "imaging_quality"]
    opinion = Opinions([*scores(A, 0.7), *partial])(PAIR, A, B)
    assert opinion is not None
    assert opinion.left == pytest.approx(0.7)
    assert (opinion.right, opinion.best, opinion.margin) == (None, None, None)
    sharp = next(bar for bar in opinion.bars if bar.label == "Sharpness")
    assert (sharp.left, sharp.right) == (pytest.approx(0.7), None)


def test_equal_totals_prefer_nothing():
    opinion = Opinions([*scores(A, 0.5), *scores(B, 0.5)])(PAIR, A, B)
    assert opinion is not None
    assert (opinion.best, opinion.margin) == (None, 0.0)


def test_no_scores_no_opinion():
    assert Opinions([])(PAIR, A, B) is None


def test_automatic_takes_the_pairs_profile_then_the_fullest_that_has_scores():
    both: list[Score] = []
    for profile in ("lite", "shapes"):
        both += [*scores(A, 0.7, profile), *scores(B, 0.2, profile)]
    opinions = Opinions(both)
    bare = Pair.of(A, B, prompt="p")
    mine, fullest = opinions(PAIR, A, B), opinions(bare, A, B)
    assert mine is not None
    assert fullest is not None
    assert (mine.profile, fullest.profile) == ("lite", "shapes")
    forced = Opinions(both, profile="lite")(bare, A, B)
    assert forced is not None
    assert forced.profile == "lite"


def test_every_dimension_that_a_profile_may_lack_has_a_name():
    from annotate.text import MISSING

    for profile in PROFILES.values():
        assert set(profile.lacks) <= MISSING.keys()

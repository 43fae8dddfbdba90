"""OmniScore for the page: hand-made scores, missing ones stay missing."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from annotate.opinion import Opinion, Opinions
from annotate.scores import Scores
from data.omniscore import PROFILES
from data.records import Pair, Score
from tests.annotate.world import scores

A, B = "a" * 64, "b" * 64
PAIR = Pair.of(A, B, prompt="p", profile="lite")


def opinion_of(
    scores: Iterable[Score], *, pair: Pair = PAIR, left: str = A, right: str = B
) -> Opinion | None:
    """What is said when these scores are there; clip A is row 0, clip B row 1."""
    table = Scores()
    for score in scores:
        row, value = np.array([[A, B].index(score.candidate)]), np.array([score.value])
        table.put(score.scorer, score.dimension, row, value, of=2)
    return Opinions(table)(pair, ([A, B].index(left), [A, B].index(right)))


def test_both_clips_are_put_side_by_side():
    opinion = opinion_of([*scores(A, 0.7), *scores(B, 0.45)], left=B, right=A)
    assert opinion is not None
    assert (opinion.profile, opinion.heuristic, opinion.best) == ("lite", True, "right")
    # Every row is at 0.7 (0.45) of its range, so every mean is 0.7 (0.45).
    assert opinion.left == pytest.approx(0.45)
    assert opinion.right == pytest.approx(0.7)
    assert opinion.margin == pytest.approx(0.25)


def test_swapping_the_sides_swaps_everything():
    rows = [*scores(A, 0.7), *scores(B, 0.45)]
    one, other = opinion_of(rows), opinion_of(rows, left=B, right=A)
    assert one is not None
    assert other is not None
    assert (one.left, one.right, one.margin) == (other.right, other.left, other.margin)
    assert [(bar.left, bar.right) for bar in one.bars] == [
        (bar.right, bar.left) for bar in other.bars
    ]


def test_alignment_that_lite_does_not_measure_is_there_as_missing():
    opinion = opinion_of([*scores(A, 0.7), *scores(B, 0.45)])
    assert opinion is not None
    gaps = [bar.label for bar in opinion.bars if bar.left is None and bar.right is None]
    assert gaps == ["Fits the prompt"]
    assert len(opinion.bars) == 8


def test_a_missing_score_is_neither_zero_nor_a_tie():
    partial = [score for score in scores(B, 0.45) if score.dimension != "imaging_quality"]
    opinion = opinion_of([*scores(A, 0.7), *partial])
    assert opinion is not None
    assert opinion.left == pytest.approx(0.7)
    assert (opinion.right, opinion.best, opinion.margin) == (None, None, None)
    sharp = next(bar for bar in opinion.bars if bar.label == "Sharpness")
    assert (sharp.left, sharp.right) == (pytest.approx(0.7), None)


def test_equal_totals_prefer_nothing():
    opinion = opinion_of([*scores(A, 0.5), *scores(B, 0.5)])
    assert opinion is not None
    assert (opinion.best, opinion.margin) == (None, 0.0)


def test_no_scores_no_opinion():
    assert opinion_of([]) is None


def test_automatic_takes_the_pairs_profile_then_the_fullest_that_has_scores():
    both: list[Score] = []
    for profile in ("lite", "shapes"):
        both += [*scores(A, 0.7, profile), *scores(B, 0.2, profile)]
    bare = Pair.of(A, B, prompt="p")
    mine, fullest = opinion_of(both), opinion_of(both, pair=bare)
    assert mine is not None
    assert fullest is not None
    assert (mine.profile, fullest.profile) == ("lite", "shapes")


def test_every_dimension_that_a_profile_may_lack_has_a_name():
    from annotate.words.en import MISSING

    for profile in PROFILES.values():
        assert set(profile.lacks) <= MISSING.keys()

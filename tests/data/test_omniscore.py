"""OmniScore's arithmetic, worked by hand, and VBench's published numbers from its own table."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from data.omniscore import PROFILES, aggregate, blend, raw_values, totals
from data.profile import OMNISCORE, Dimension, Profile
from data.records import Score

CLIP, OTHER = "a" * 64, "b" * 64


def row(key: str, **rest) -> Dimension:
    return Dimension(**{"key": key, "label": key, "scorer": "eye", "source": "test", **rest})


def score(dimension: str, value: float, *, clip=CLIP, scorer="eye", version="1") -> Score:
    return Score(candidate=clip, scorer=scorer, version=version, dimension=dimension, value=value)


TWO = Profile(
    name="two",
    title="two qualities and a text",
    dimensions=(
        row("sharp", low=0.2, high=1.0),
        row("motion", high=2.0, weight=0.5, clip=True),
        row("text", group="semantic", high=0.4),
    ),
)


def test_a_clip_by_hand():
    omni = aggregate({"sharp": 0.6, "motion": 0.5, "text": 0.3}, TWO)
    # (0.6 - 0.2) / 0.8 = 0.5; 0.5 / 2 = 0.25; 0.3 / 0.4 = 0.75
    assert omni.normalised == pytest.approx({"sharp": 0.5, "motion": 0.25, "text": 0.75})
    # Q = (1 * 0.5 + 0.5 * 0.25) / 1.5 = 0.625 / 1.5
    assert omni.quality == pytest.approx(0.41666667)
    assert omni.semantic == pytest.approx(0.75)
    # (4 * 0.41666667 + 0.75) / 5 = 2.41666667 / 5
    assert omni.total == pytest.approx(0.48333333)
    assert omni.missing == ()


def test_a_missing_dimension_takes_the_total_but_not_the_rest_of_its_group():
    omni = aggregate({"sharp": 0.6, "text": 0.3}, TWO)
    assert omni.missing == ("motion",)
    assert omni.total is None
    assert omni.quality == pytest.approx(0.5)  # over the one that is there
    assert omni.semantic == pytest.approx(0.75)


def test_a_missing_group_is_none_and_not_zero():
    omni = aggregate({"sharp": 0.6, "motion": 0.0}, TWO)
    assert (omni.semantic, omni.total) == (None, None)
    nothing = aggregate({}, TWO)
    assert (nothing.quality, nothing.total) == (None, None)


def test_only_rows_that_saturate_clip():
    omni = aggregate({"sharp": 1.4, "motion": 9.0, "text": -0.1}, TWO)
    assert omni.normalised == pytest.approx({"sharp": 1.5, "motion": 1.0, "text": -0.25})


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_no_number_is_refused(value: float):
    with pytest.raises(ValueError, match="could not be judged"):
        aggregate({"sharp": value}, TWO)


# VideoCrafter2 on VBench's leaderboard, percent, in the order of the table; its quality is 82.20.
VIDEOCRAFTER2 = (96.85, 98.22, 98.41, 97.73, 42.50, 63.13, 67.22)


def test_vbench_table_gives_the_published_quality_of_videocrafter2():
    profile = PROFILES["vbench"]
    keys = [row.key for row in profile.dimensions if row.group == "quality"]
    raw = {key: value / 100 for key, value in zip(keys, VIDEOCRAFTER2, strict=True)}
    # (.96311 + .97590 + .95711 + .93070 + .5 * .425 + .6313 + .6722) / 6.5 = 5.34282 / 6.5
    quality = aggregate(raw, profile).quality
    assert quality == pytest.approx(0.82197, abs=5e-6)
    assert round(100 * (quality or 0), 2) == 82.20


@pytest.mark.parametrize(
    ("quality", "semantic", "total"),
    [
        (82.20, 73.42, 80.44),
        (82.46, 73.09, 80.59),
        (83.07, 77.38, 81.93),
        (82.71, 73.93, 80.95),
        (83.80, 73.81, 81.80),
        (82.35, 67.10, 79.30),
        (83.00, 66.99, 79.80),
    ],
)
def test_totals_of_the_videodpo_table(quality: float, semantic: float, total: float):
    """arXiv 2412.14167, table of VBench results: every total is (4 quality + semantic) / 5."""
    assert blend(quality, semantic) == pytest.approx(total, abs=0.005)


def test_lite_has_no_alignment_and_its_total_is_its_quality():
    lite = PROFILES["lite"]
    assert lite.lacks == ("alignment",)
    assert lite.heuristic
    middle = {row.key: (row.low + row.high) / 2 for row in lite.dimensions}
    omni = aggregate(middle, lite)
    assert omni.semantic is None
    assert omni.total == omni.quality == pytest.approx(0.5)


def test_shapes_is_lite_with_alignment():
    shapes = PROFILES["shapes"]
    assert shapes.lacks == ()
    assert shapes.dimensions[:-1] == PROFILES["lite"].dimensions
    raw = {row.key: row.high for row in shapes.dimensions} | {"alignment": 0.25}
    assert aggregate(raw, shapes).total == pytest.approx((4 * 1 + 0.25) / 5)


def test_lite_movement_counts_half_at_the_threshold_and_full_from_twice_on():
    movement = next(row for row in PROFILES["lite"].dimensions if row.key == "dynamic_degree")
    assert [movement.normalise(raw) for raw in (0, 1, 2, 5)] == [0, 0.5, 1, 1]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_tables_are_whole(profile: Profile):
    omni = [row for row in profile.dimensions if row.key in OMNISCORE]  # a judge has its own too
    keys = [row.key for row in omni]
    assert [key for key in OMNISCORE if key in keys] == keys  # the order in which they are shown
    assert sum(row.weight for row in omni if row.group == "quality") == (6.5 if omni else 0)
    assert all(row.source and row.label for row in profile.dimensions)
    assert not any(row.clip or row.heuristic for row in PROFILES["vbench"].dimensions)


def test_one_row_per_key_and_ranges_that_rise():
    with pytest.raises(ValueError, match="two rows with one key"):
        replace(TWO, dimensions=(*TWO.dimensions, TWO.dimensions[0]))
    with pytest.raises(ValueError, match="must be below high"):
        row("sharp", low=1.0, high=1.0)


def test_scores_of_other_scorers_do_not_count():
    found = raw_values([score("sharp", 0.6), score("sharp", 0.1, scorer="nose")], TWO)
    assert found == {CLIP: {"sharp": 0.6}}


def test_the_newest_value_of_a_score_counts():
    assert raw_values([score("sharp", 0.6), score("sharp", 0.7)], TWO) == {CLIP: {"sharp": 0.7}}


def test_versions_of_a_scorer_are_never_compared():
    scores = [
        score("sharp", 0.6, version="1"),
        score("sharp", 0.6, version="1", clip=OTHER),
        score("motion", 1.0, clip=OTHER),
        score("sharp", 0.9, version="2"),
    ]
    assert raw_values(scores, TWO) == {CLIP: {"sharp": 0.9}, OTHER: {"motion": 1.0}}
    assert totals(scores, TWO)[OTHER].missing == ("sharp", "text")

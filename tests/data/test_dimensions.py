"""Each dimension against the votes and against every question."""

from __future__ import annotations

import pytest

from data.dimensions import by_dimension, sides
from data.omniscore import Omni
from data.profile import Dimension, Profile

from .ballot_box import pair, vote

PROFILE = Profile(
    name="two",
    title="",
    dimensions=(
        Dimension(key="sharp", label="Sharpness", scorer="s", source=""),
        Dimension(key="calm", label="Calm", scorer="s", source=""),
    ),
)


def omni(**values):
    return Omni(None, None, None, values)


def test_sides_of_a_vote():
    one = pair("p")
    cast = vote(one, "x", "b", answers={"motion": "left", "visual": "tie", "flags": "text"})
    assert sides(cast) == {"motion": one.a, "overall": one.b}
    assert sides(vote(one, "x", "tie", answers={"motion": "right"})) == {"motion": one.b}
    assert sides(vote(one, "x", "skip", answers={"skip": "left"})) == {}
    assert sides(vote(one, "x", "a", unusable=True)) == {}


def test_the_shares_by_hand():
    about = [pair(f"d{i}") for i in range(14)]
    scored = {}
    votes = []
    for i, one in enumerate(about):
        scored[one.a] = omni(sharp=0.9, calm=0.5)
        scored[one.b] = omni(sharp=0.1, calm=0.5 if i < 2 else 0.6)
        motion = {"motion": "right"} if i < 11 else {}
        votes.append(vote(one, "x", "a" if i < 10 else "b", answers=motion))
    votes.append(vote(pair("unscored"), "x", "a"))
    found = by_dimension(votes, {one.id: one for one in about}, scored, PROFILE, seed=0)
    told = {(one.key, one.question): (one.share.value, one.share.n, one.equal) for one in found}
    assert told["sharp", "overall"] == (pytest.approx(10 / 14), 14, 0)
    assert told["calm", "overall"] == (pytest.approx(4 / 12), 12, 2)
    assert told["sharp", "motion"] == (0.0, 11, 0)
    assert told["calm", "motion"] == (None, 9, 2)  # 9 are too few
    assert [one.question for one in found] == ["overall", "overall", "motion", "motion"]


def test_a_missing_value_is_neither_a_tie_nor_a_side():
    one = pair("m")
    scored = {one.a: omni(sharp=0.5), one.b: omni(calm=0.5)}
    assert by_dimension([vote(one, "x", "a")], {one.id: one}, scored, PROFILE, seed=0) == ()

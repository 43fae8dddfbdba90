"""What a calibration says about two clips, and which one is in use."""

from __future__ import annotations

import json
import math

import pytest

from data import calibration
from data.calibration import Calibration, Shares
from data.errors import UserError
from data.omniscore import aggregate, coefficients
from data.records import Decision, Pair

from .votes_world import KEYS, LITE

EVEN = {key: 1 / len(KEYS) for key in KEYS}


def made(**rest) -> Calibration:
    return Calibration(**({"profile": "lite", "weights": EVEN, "scale": 4.0, "tie": 0.0} | rest))


def raw(place: float) -> dict[str, float]:
    return {row.key: row.low + place * (row.high - row.low) for row in LITE.dimensions}


def decision(values, subject="lite", number=0) -> Decision:
    return Decision(
        id=f"d{number}", topic="calibration", subject=subject, values=values, time_ms=number
    )


def test_shares_by_hand():
    # Totals .75 and .25: η = 4 * .5 = 2; weights e, 1, 1/e.
    e = math.e
    found = made().answers(raw(0.75), raw(0.25))
    assert found is not None
    whole = e + 1 + 1 / e
    assert (found.a, found.tie, found.b) == pytest.approx((e / whole, 1 / whole, 1 / e / whole))
    assert made().probability(raw(0.75), raw(0.25)) == pytest.approx((e + 0.5) / whole)
    assert Shares(0.5, 0.2, 0.3).probability == pytest.approx(0.6)


def test_the_two_directions_sum_to_one_and_equal_clips_are_even():
    one, other = made().probability(raw(0.9), raw(0.2)), made().probability(raw(0.2), raw(0.9))
    assert one is not None
    assert other is not None
    assert one + other == pytest.approx(1.0)
    assert made().probability(raw(0.4), raw(0.4)) == pytest.approx(0.5)


def test_a_missing_dimension_is_missing_as_in_omniscore():
    short = raw(0.5)
    del short["dynamic_degree"]
    assert made().probability(short, raw(0.2)) is None


def test_extreme_scales_do_not_overflow():
    assert made(scale=1e6).probability(raw(1.0), raw(0.0)) == pytest.approx(1.0)


def test_its_table_has_the_default_total_when_it_has_the_default_weights():
    table = made(weights=coefficients(LITE)).table
    values = {
        row.key: row.low + 0.1 * i * (row.high - row.low) for i, row in enumerate(LITE.dimensions)
    }
    ours, theirs = aggregate(values, table).total, aggregate(values, LITE).total
    assert ours == pytest.approx(theirs)
    assert (table.base, table.heuristic) == ("lite", True)


def test_a_negative_weight_counts_from_the_other_end():
    weights = dict.fromkeys(KEYS, 0.0) | {"dynamic_degree": -0.75, "imaging_quality": 0.25}
    table = made(weights=weights).table
    # Movement at .8 and sharpness at .4 of their ranges: .75 * (1 - .8) + .25 * .4 = .25.
    values = raw(0.5) | {"dynamic_degree": 1.6, "imaging_quality": 0.4}
    assert aggregate(values, table).total == pytest.approx(0.25)
    assert coefficients(table) == pytest.approx(weights)


def test_groups_take_the_shares_that_their_weights_give_them():
    shapes = calibration.PROFILES["shapes"]
    keys = [row.key for row in shapes.dimensions]
    weights = dict.fromkeys(keys[:-1], 0.1) | {keys[-1]: 0.3}
    table = made(profile="shapes", weights=weights).table
    assert table.shares == pytest.approx((0.7, 0.3))
    assert coefficients(table) == pytest.approx(weights)


def test_its_values_survive_json_and_its_id_says_what_changes_a_probability():
    one = made(metrics={"gain": 0.1}, votes=60, ridge=3.0)
    back = calibration.of(json.loads(json.dumps(one.values() | {"use": ""})))
    assert back == one
    assert made(votes=1).id == made(votes=2).id
    assert made(scale=5.0).id != made().id
    assert made(digest="other votes").id != made().id


def test_one_in_use_one_back():
    one, two = made(), made(scale=9.0)
    history = [decision(one.values() | {"use": ""}, number=1)]
    assert calibration.in_use(history, "lite") is None
    history.append(decision({"use": one.id}, number=2))
    assert calibration.in_use(history, "lite") == one
    assert calibration.in_use(history, "shapes") is None
    history.append(decision(two.values() | {"use": one.id}, number=3))
    assert calibration.in_use(history, "lite") == one
    history.append(decision({"use": ""}, number=4))
    assert calibration.in_use(history, "lite") is None
    assert list(calibration.every(history)) == [one.id, two.id]


def test_one_whose_profile_has_changed_since_is_left_out():
    gone = made().values() | {"profile": "of another time"}
    fewer = made(weights={KEYS[0]: 1.0}).values()
    history = [decision(gone), decision(fewer), decision({"use": fewer["id"]})]
    assert calibration.every(history) == {}
    assert calibration.in_use(history, "lite") is None


def test_names():
    one = made()
    history = [decision(one.values() | {"use": ""})]
    assert calibration.profile_named("lite") is LITE
    assert calibration.profile_named(one.name, history) == one.table
    with pytest.raises(UserError, match=r"'calibrated:no'; it must be one of lite, .*calibrated:"):
        calibration.profile_named("calibrated:no", history)
    pairs = [
        Pair(prompt="p", a="a", b=b, profile=name)
        for b, name in (("b", "lite"), ("c", one.name), ("d", one.name))
    ]
    usual = calibration.usual(pairs, history)
    assert usual is not None
    assert usual.name == one.name
    assert calibration.usual(pairs, []) is LITE
    assert calibration.usual([], history) is None

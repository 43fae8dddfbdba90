"""Calibrations on the page: by name, in use, and not for what is unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotate.campaigns import Campaign
from annotate.catalogue import Catalogue
from annotate.desk import Desk
from annotate.protocol import Protocol
from data.calibration import Calibration
from data.errors import UserError
from data.omniscore import PROFILES
from data.records import Decision, Pair
from data.store import Store
from tests.annotate import world

KEYS = [row.key for row in PROFILES["lite"].dimensions]
AGAINST = Calibration(
    profile="lite", weights=dict.fromkeys(KEYS, -1 / len(KEYS)), scale=4.0, tie=-30.0
)
"""People prefer what the default does not; no ties."""


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Two pairs, and a calibration that is stored but not in use."""
    path = tmp_path / "prefs.duckdb"
    with Store.own(path) as owner:
        owner.add(world.fill(path, 2))
        owner.add([decision(AGAINST.values() | {"use": ""}, 1)])
    return path


def decision(values: dict[str, object], number: int) -> Decision:
    return Decision(
        id=str(number), topic="calibration", subject="lite", values=values, time_ms=number
    )


def shown(db: Path, profile: str = "") -> tuple[str | None, str | None, float | None]:
    """Profile, best side and probability of the first pair, its `a` on the left."""
    with Store.own(db) as owner:
        catalogue = Catalogue(owner)
        pair = catalogue.pair_at(0)
        asked = (
            pair if not profile else Pair(prompt=pair.prompt, a=pair.a, b=pair.b, profile=profile)
        )
        found = catalogue.opinion(asked, pair.a, pair.b)
        assert found is not None
        return found.profile, found.best, found.probability


def test_by_name_it_decides_who_is_best_and_how_likely(db):
    name, best, chance = shown(db)
    turned, other, likely = shown(db, AGAINST.name)
    assert (name, chance) == ("lite", None)
    assert (turned, {best, other}) == (AGAINST.name, {"left", "right"})
    # Totals differ by .2: η = .8, and 1 / (1 + e^-.8) = .68997.
    assert likely == pytest.approx(0.68997, abs=1e-5)


def test_in_use_it_says_how_likely_the_default_is_right(db):
    with Store.open(db) as store:
        store.add([decision({"use": AGAINST.id}, 2)])
    name, _, chance = shown(db)
    assert name == "lite"
    assert chance == pytest.approx(1 - 0.68997, abs=1e-5)
    with Store.open(db) as store:
        store.add([decision({"use": ""}, 3)])
    assert shown(db)[2] is None


def test_an_unknown_one_is_refused_at_the_start(db):
    assert Campaign(name="x", profile=AGAINST.name).profile == AGAINST.name
    with Store.own(db) as owner:
        Desk(db, owner, Protocol(profile=AGAINST.name))
        with pytest.raises(UserError, match="--profile is 'calibrated:0'"):
            Desk(db, owner, Protocol(profile="calibrated:0"))

"""Totals of columns are those of records."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.omniscore import PROFILES, aggregate
from data.profile import Dimension, Profile
from data.totals import total_column

VBENCH = PROFILES["vbench"]
FITTED = replace(
    VBENCH,
    name="calibrated:x",
    shares=(1.0, 2.0),
    dimensions=tuple(
        replace(row, weight=(-1) ** n * 0.5 * n) for n, row in enumerate(VBENCH.dimensions)
    ),
)
NOTHING = replace(VBENCH, dimensions=tuple(replace(row, weight=0.0) for row in VBENCH.dimensions))
raw = st.none() | st.floats(-2, 3)


@pytest.mark.parametrize("profile", [*PROFILES.values(), FITTED, NOTHING], ids=lambda it: it.name)
@given(data=st.data())
def test_whatever_the_values(profile: Profile, data: st.DataObject) -> None:
    keys = [row.key for row in profile.dimensions]
    clips = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(keys, raw)), max_size=6))
    columns = {
        key: np.array([np.nan if clip[key] is None else clip[key] for clip in clips], np.float64)
        for key in keys
    }
    expected = [
        aggregate({key: value for key, value in clip.items() if value is not None}, profile).total
        for clip in clips
    ]
    wanted = [np.nan if one is None else one for one in expected]
    found = total_column(columns, profile).tolist()
    assert found == pytest.approx(wanted, rel=1e-12, abs=1e-12, nan_ok=True)


def test_by_hand() -> None:
    """Quality (1 x 0.5 + 3 x 1) / 4 = 0.875, semantic 0.25: (4 x 0.875 + 0.25) / 5 = 0.75."""
    rows = [
        Dimension(key="x", scorer="s", label="", source="", high=2.0),
        Dimension(key="y", scorer="s", label="", source="", weight=3.0, clip=True),
        Dimension(key="z", scorer="s", label="", source="", group="semantic"),
    ]
    profile = Profile(name="p", title="", dimensions=tuple(rows))
    columns = {"x": [1.0, 1.0], "y": [7.0, np.nan], "z": [0.25, 0.25]}
    found = total_column({key: np.array(value) for key, value in columns.items()}, profile)
    assert found[0] == pytest.approx(0.75)
    assert np.isnan(found[1])

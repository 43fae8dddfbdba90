"""OmniScore of a million clips at once: `data.omniscore.totals` on columns.

The pure function there is the reference, and a test holds this one to it. Pure: no IO.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from data.profile import Dimension, Group, Profile

Column = NDArray[np.float64]


def total_column(raw: Mapping[str, Column], profile: Profile) -> Column:
    """The total of every clip; NaN where a dimension of the profile is missing.

    Args:
        raw: per dimension key its raw values, all of one length, NaN where there is none.
        profile: the table to apply; one dimension at least.
    """
    missing = np.any([np.isnan(raw[row.key]) for row in profile.dimensions], axis=0)
    quality, semantic = (_group(raw, profile, group) for group in ("quality", "semantic"))
    if quality is None or semantic is None:
        total = quality if semantic is None else semantic
    else:
        shares = profile.shares
        total = (shares[0] * quality + shares[1] * semantic) / sum(shares)
    return np.full(len(missing), np.nan) if total is None else np.where(missing, np.nan, total)


def _group(raw: Mapping[str, Column], profile: Profile, group: Group) -> Column | None:
    """Weighted mean over the rows of `group`; None if their weights sum to 0."""
    rows = [row for row in profile.dimensions if row.group == group]
    weight = sum(abs(row.weight) for row in rows)
    if not weight:
        return None
    added = np.zeros(len(raw[rows[0].key]))
    for row in rows:
        added = added + _share(row, raw[row.key])
    return added / weight


def _share(row: Dimension, raw: Column) -> Column:
    place = (raw - row.low) / (row.high - row.low)
    place = np.clip(place, 0.0, 1.0) if row.clip else place
    return row.weight * place if row.weight >= 0 else -row.weight * (1.0 - place)

"""Raw scores of all clips, one array per (scorer, dimension) that a profile asks for.

8 bytes per clip and dimension; what they mean follows when two clips are shown (`opinion.py`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Int

from data.omniscore import PROFILES, coefficients
from data.profile import Profile
from data.store import Store, columns


class Scores:
    """Raw values of clips by row, for every (scorer, dimension) that some profile asks for."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], Float[np.ndarray, " n"]] = {}
        self._versions: dict[tuple[str, str], str] = {}
        self._upto = 0

    def read(self, store: Store, clips: int) -> bool:
        """Read what was added since the last time; whether there was anything.

        Of each dimension only the version of its newest score counts, as in
        `data.omniscore.raw_values`; where that is a new one, all its values are read.

        Args:
            store: the database.
            clips: how many clips there are.
        """
        upto = store.heads()["scores"]
        if upto == self._upto:
            return False
        wanted = {(row.scorer, row.key) for one in PROFILES.values() for row in one.dimensions}
        for scorer, dimension, version in store.ask(columns.score_versions(self._upto)).rows():
            if (scorer, dimension) in wanted:
                after = self._upto
                if self._versions.get((scorer, dimension)) != version:
                    self._values.pop((scorer, dimension), None)
                    self._versions[scorer, dimension] = version
                    after = 0
                found = store.ask(columns.score_values(scorer, dimension, version, after))
                rows = found["clip"].to_numpy() - 1
                of = max(clips, int(rows.max(initial=-1)) + 1)
                self.put(scorer, dimension, rows, found["value"].to_numpy(), of)
        self._upto = upto
        return True

    def put(
        self, scorer: str, dimension: str, rows: Int[np.ndarray, " n"], values: np.ndarray, of: int
    ) -> None:
        """Set values of some clips; of two for one clip the later one counts.

        Args:
            scorer: its name.
            dimension: key of the value.
            rows: clips.
            values: finite.
            of: how many clips there are.
        """
        column = self._values.get((scorer, dimension), np.zeros(0))
        if len(column) < of:
            column = np.concatenate([column, np.full(of - len(column), np.nan)])
        column[rows] = values
        self._values[scorer, dimension] = column

    def raw(self, clip: int, profile: Profile) -> dict[str, float]:
        """The clip's values by dimension key; those that are missing are left out."""
        found = {row.key: self._one(row.scorer, row.key, clip) for row in profile.dimensions}
        return {key: value for key, value in found.items() if value is not None}

    def _one(self, scorer: str, dimension: str, clip: int) -> float | None:
        column = self._values.get((scorer, dimension))
        if column is None or clip >= len(column) or np.isnan(column[clip]):
            return None
        return float(column[clip])

    def scored(self, profiles: Iterable[Profile]) -> int:
        """How many clips have at least one value that one of the profiles asks for."""
        wanted = {(row.scorer, row.key) for profile in profiles for row in profile.dimensions}
        columns = [column for key, column in self._values.items() if key in wanted]
        some = np.zeros(max((len(column) for column in columns), default=0), bool)
        for column in columns:
            some[: len(column)] |= ~np.isnan(column)
        return int(some.sum())

    def totals(self, profile: Profile, clips: int) -> Float[np.ndarray, " n"]:
        """OmniScore of every clip up to a constant, NaN where a dimension is missing."""
        total = np.zeros(clips)
        for row, weight in zip(profile.dimensions, coefficients(profile).values(), strict=True):
            column = self._values.get((row.scorer, row.key), np.zeros(0))
            place = np.full(clips, np.nan)
            place[: len(column)] = (column[:clips] - row.low) / (row.high - row.low)
            total += weight * (np.clip(place, 0.0, 1.0) if row.clip else place)
        return total

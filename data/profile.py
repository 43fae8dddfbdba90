"""The words of an OmniScore table: a dimension (one row) and a profile (a named table).

The tables themselves and the arithmetic on them are in `data/omniscore.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Group = Literal["quality", "semantic"]
OMNISCORE = (
    "subject_consistency",
    "background_consistency",
    "temporal_flickering",
    "motion_smoothness",
    "dynamic_degree",
    "aesthetic_quality",
    "imaging_quality",
    "alignment",
)
"""Keys of the eight dimensions of OmniScore, in the order in which they are shown."""
SHARES = (4.0, 1.0)
"""Of quality and semantic in the total. VBench, `scripts/constant.py`: QUALITY_WEIGHT and
SEMANTIC_WEIGHT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One row of a profile: which raw value, what range, what weight. Higher raw is better.

    `low` maps to 0 and `high` to 1. With `clip`, values outside count as the nearer end: the
    measure saturates there. VBench does not clip.
    """

    key: str
    label: str
    """For people."""
    group: Group = "quality"
    scorer: str
    """Name of the file in `scorers/` that gives the raw value under this key."""
    low: float = 0.0
    high: float = 1.0
    weight: float = 1.0
    """Within its group. Below 0 (fitted to votes): less is better, the place counts from `high`."""
    clip: bool = False
    heuristic: bool = False
    """A classical stand-in: no claim that people agree with it."""
    source: str
    """What is measured, where the range comes from, what it stands in for."""

    def __post_init__(self) -> None:
        """Refuse an empty or inverted range: orientation is always higher = better."""
        if not self.low < self.high:
            raise ValueError(f"Dimension {self.key}: low {self.low} must be below high {self.high}")

    def normalise(self, raw: float) -> float:
        """The place of `raw` in the range: 0 at `low`, 1 at `high`."""
        if not math.isfinite(raw):
            raise ValueError(f"raw {self.key} is {raw}; leave out what could not be judged")
        place = (raw - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, place)) if self.clip else place


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A named way to make OmniScore out of raw scores."""

    name: str
    title: str
    """One line for people."""
    dimensions: tuple[Dimension, ...]
    shares: tuple[float, float] = SHARES
    """Of quality and semantic in the total."""
    base: str = ""
    """Name of the profile whose weights were replaced by fitted ones; empty: none were."""

    def __post_init__(self) -> None:
        """Refuse two rows with one key."""
        keys = [dimension.key for dimension in self.dimensions]
        if len(set(keys)) < len(keys):
            raise ValueError(f"profile {self.name} has two rows with one key: {keys}")

    @property
    def lacks(self) -> tuple[str, ...]:
        """OmniScore dimensions that this profile has no measure for; to be shown as missing.

        Of a learned judge, which measures none of them and is whole by itself, nothing is missing.
        """
        own = {dimension.key for dimension in self.dimensions}
        missing = tuple(key for key in OMNISCORE if key not in own)
        return () if len(missing) == len(OMNISCORE) else missing

    @property
    def heuristic(self) -> bool:
        """Whether any row is a classical stand-in: every page that shows a total then says so."""
        return any(dimension.heuristic for dimension in self.dimensions)

    @property
    def scorers(self) -> tuple[str, ...]:
        """The scorers that it needs, in the order of the table, each once."""
        return tuple(dict.fromkeys(dimension.scorer for dimension in self.dimensions))

"""OmniScore's opinion about two clips, as the page shows it: left and right, per dimension.

Computed on reading from the raw scores (`data/omniscore.py`); a missing score is missing, never 0
and never "no difference".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from annotate.scores import Scores
from annotate.words.en import MISSING
from data.calibration import Calibration
from data.omniscore import PROFILES, Omni, aggregate
from data.profile import Profile
from data.records import Pair

AUTO = "auto"
AUTO_ORDER = ("vbench", "shapes", "lite")  # the most that can be said about a clip comes first
Side = Literal["left", "right"]
Raw = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One dimension of both clips: place in the profile's range (0 to 1 inside it), or missing."""

    key: str
    label: str
    left: float | None
    right: float | None
    raw_left: float | None = None
    """As the scorer gave it."""
    raw_right: float | None = None
    low: float | None = None
    """The raw value that counts 0; None where the profile has no measure for this dimension."""
    high: float | None = None
    """The raw value that counts 1."""
    heuristic: bool = False
    note: str = ""
    """What is measured and why the range is what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What OmniScore says about the two clips on the page."""

    profile: str
    heuristic: bool
    """At least one dimension is a classical stand-in; the page says so."""
    left: float | None
    right: float | None
    """OmniScore of each clip; None where a dimension of the profile is missing."""
    best: Side | None
    """None where a total is missing and where both are exactly equal."""
    margin: float | None
    probability: float | None = None
    """That a person finds the best one better, by the calibration in use; None without one."""
    bars: tuple[Bar, ...]


class Opinions:
    """What OmniScore says about any two clips, by their pair's profile."""

    def __init__(
        self, scores: Scores, *, calibrations: Mapping[str, Calibration] | None = None
    ) -> None:
        """Over raw values.

        Args:
            scores: of all clips; may grow.
            calibrations: by profile name, those in use.
        """
        self.scores = scores
        self.calibrations = dict(calibrations or {})
        self.tables: Mapping[str, Profile] = PROFILES
        """Every profile by name, those made of calibrations included."""

    def __call__(self, pair: Pair, clips: tuple[int, int]) -> Opinion | None:
        """The opinion about the clips (left, right) of this pair; None where neither has a score.

        Args:
            pair: says by which profile, if it names one.
            clips: their rows.
        """
        profile = self.profile(pair.profile, clips)
        if profile is None:
            return None
        left, right = (self.scores.raw(clip, profile) for clip in clips)
        return compare(profile, left, right, self.calibrations.get(profile.name))

    def profile(self, own: str, clips: tuple[int, int]) -> Profile | None:
        """The pair's own profile, else the first that knows both clips, or one."""
        tables = self.tables
        names = (own,) if own in tables else AUTO_ORDER
        known = {name: [self.scores.raw(clip, tables[name]) for clip in clips] for name in names}
        full = (name for name, two in known.items() if _complete(tables[name], two))
        some = (name for name, two in known.items() if any(two))
        name = next(full, None) or next(some, None)
        return None if name is None else tables[name]


def _complete(profile: Profile, clips: Sequence[Raw]) -> bool:
    return all(len(raw) == len(profile.dimensions) for raw in clips)


def compare(
    profile: Profile, left: Raw, right: Raw, calibration: Calibration | None = None
) -> Opinion:
    """Both clips under one profile, dimension by dimension, from their raw values."""
    one, other = aggregate(left, profile), aggregate(right, profile)
    totals = (one.total if left else None, other.total if right else None)
    best, margin = _decide(*totals)
    chance = None
    if calibration is not None and best is not None:
        a, b = (left, right) if best == "left" else (right, left)
        chance = calibration.probability(a, b)
    return Opinion(
        profile=profile.name, heuristic=profile.heuristic, left=totals[0], right=totals[1],
        best=best, margin=margin, probability=chance,
        bars=(*_measured(profile, left, right, (one, other)), *_unmeasured(profile)),
    )  # fmt: skip


def _measured(profile: Profile, left: Raw, right: Raw, omnis: tuple[Omni, Omni]) -> list[Bar]:
    return [
        Bar(
            key=row.key,
            label=row.label,
            left=omnis[0].normalised.get(row.key),
            right=omnis[1].normalised.get(row.key),
            raw_left=left.get(row.key),
            raw_right=right.get(row.key),
            low=row.low,
            high=row.high,
            heuristic=row.heuristic,
            note=row.source,
        )
        for row in profile.dimensions
    ]


def _unmeasured(profile: Profile) -> list[Bar]:
    return [
        Bar(key=key, label=MISSING.get(key, key), left=None, right=None) for key in profile.lacks
    ]


def _decide(left: float | None, right: float | None) -> tuple[Side | None, float | None]:
    if left is None or right is None:
        return None, None
    if left == right:
        return None, 0.0
    return ("left" if left > right else "right"), abs(left - right)

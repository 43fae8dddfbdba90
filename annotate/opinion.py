"""OmniScore's opinion about two clips, as the page shows it: left and right, per dimension.

Computed on reading from the raw scores (`data/omniscore.py`); a missing score is missing, never 0
and never "no difference". Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from annotate.text import MISSING
from data.omniscore import PROFILES, Omni, totals
from data.profile import Profile
from data.records import Pair, Score

AUTO = "auto"
_AUTO_ORDER = ("vbench", "shapes", "lite")  # the most that can be said about a clip comes first
Side = Literal["left", "right"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One dimension of both clips: place in the profile's range (0 to 1 inside it), or missing."""

    label: str
    left: float | None
    right: float | None
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
    bars: tuple[Bar, ...]


class Opinions:
    """Every clip's OmniScore under every profile that scores exist for."""

    def __init__(self, scores: Iterable[Score], *, profile: str = AUTO) -> None:
        rows = list(scores)
        names = _AUTO_ORDER if profile == AUTO else (profile,)
        self._wanted = profile
        self._totals = {name: totals(rows, PROFILES[name]) for name in names}

    def __call__(self, pair: Pair, left: str, right: str) -> Opinion | None:
        """The opinion about `left` and `right` of this pair; None where neither has any score."""
        name = self._profile(pair)
        clips = self._totals.get(name, {}) if name else {}
        if name is None or not (left in clips or right in clips):
            return None
        return compare(PROFILES[name], clips.get(left), clips.get(right))

    def _profile(self, pair: Pair) -> str | None:
        """The pair's own profile, else the first of the automatic order that knows both clips."""
        if self._wanted != AUTO:
            return self._wanted
        if pair.profile in self._totals:
            return pair.profile
        full = (name for name in self._totals if _complete(self._totals[name], pair))
        some = (name for name in self._totals if {pair.a, pair.b} & self._totals[name].keys())
        return next(full, None) or next(some, None)


def _complete(clips: Mapping[str, Omni], pair: Pair) -> bool:
    return all(clip in clips and clips[clip].total is not None for clip in (pair.a, pair.b))


def compare(profile: Profile, left: Omni | None, right: Omni | None) -> Opinion:
    """Both clips under one profile, dimension by dimension."""
    totals_ = (left.total if left else None, right.total if right else None)
    best, margin = _decide(*totals_)
    rows = [
        Bar(
            label=row.label,
            left=left.normalised.get(row.key) if left else None,
            right=right.normalised.get(row.key) if right else None,
            heuristic=row.heuristic,
            note=row.source,
        )
        for row in profile.dimensions
    ]
    rows += [Bar(label=MISSING.get(key, key), left=None, right=None) for key in profile.lacks]
    return Opinion(
        profile=profile.name, heuristic=profile.heuristic, left=totals_[0], right=totals_[1],
        best=best, margin=margin, bars=tuple(rows),
    )  # fmt: skip


def _decide(left: float | None, right: float | None) -> tuple[Side | None, float | None]:
    if left is None or right is None:
        return None, None
    if left == right:
        return None, 0.0
    return ("left" if left > right else "right"), abs(left - right)

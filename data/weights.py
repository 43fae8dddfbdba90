"""How much each pair counts: VideoDPO's rarity weight, its three readings, clip and normalisation.

`w = (beta / sqrt(p(s_chosen) * p(s_rejected))) ** alpha`, where `p(s)` is the share of all
candidates whose OmniScore falls in the bin of `s`: pairs of rare scores weigh more (VideoDPO, arXiv
2412.14167, section 3.3). The formula treats the two clips alike, so a label that turns a pair round
keeps its weight.

The paper's text and its code disagree about alpha and beta, so both stand in `PRESETS` by name,
beside `max-bin` (the paper's words for beta: "the probability of the most frequent sample") and
`none`.

Differs from the paper: bins sit on multiples of the width, so that a new candidate never shifts
them, and the last one is closed, so that the highest score has p > 0 (in the published helper it
has p = 0 and an infinite weight). Clip and mean-1 normalisation are options; the paper has neither.

Left out on purpose: weights by margin or by confidence in the label. Pure: no IO.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from data.errors import UserError
from data.records import Preference

Normalise = Literal["none", "mean"]
BIN_WIDTH = 0.01
_ON_EDGE = 1e-6
"""In bins: a score this near an edge lies on it (0.29 / 0.01 is 28.999999999999996 in floats)."""


@dataclass(frozen=True, slots=True)
class Preset:
    """`alpha` >= 0 is the strength (0: all weights 1); `beta` None: the largest bin's p."""

    alpha: float
    beta: float | None


PRESETS: dict[str, Preset] = {
    "paper": Preset(alpha=0.72, beta=1.0),
    "code": Preset(alpha=1.0, beta=0.72),
    "max-bin": Preset(alpha=1.0, beta=None),
    "none": Preset(alpha=0.0, beta=1.0),
}
"""Readings of VideoDPO by name: implementation details of the paper; released training code; the
paper's words about beta; no re-weighting (which is what the released VideoCrafter2 config does)."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of scores in half-open bins on multiples of `width`; the last bin is closed."""

    counts: Mapping[int, int]
    width: float
    last: int
    """Index of the highest bin."""

    @classmethod
    def of(cls, scores: Iterable[float], width: float = BIN_WIDTH) -> Histogram:
        """The histogram of `scores` (OmniScore totals of all candidates, not only of pairs)."""
        values = list(scores)
        if not values:
            return cls({}, width, 0)
        first = math.floor(min(values) / width + _ON_EDGE)
        last = max(first, math.ceil(max(values) / width - _ON_EDGE) - 1)
        empty = cls({}, width, last)
        return cls(Counter(empty.bin(value) for value in values), width, last)

    def bin(self, score: float) -> int:
        """Index of the bin that `score` falls in."""
        return min(math.floor(score / self.width + _ON_EDGE), self.last)

    def share(self, score: float) -> float:
        """p(score): the share of the counted scores in the bin of `score`, in (0, 1].

        Raises:
            ValueError: when the bin is empty, that is, `score` was not among the counted ones.
        """
        count = self.counts.get(self.bin(score), 0)
        if count == 0:
            raise ValueError(
                f"score {score} lies in an empty bin; count all candidates, then weigh"
            )
        return count / sum(self.counts.values())

    @property
    def largest(self) -> float:
        """Share of the fullest bin, in (0, 1]; 1 when nothing was counted."""
        return max(self.counts.values(), default=1) / max(sum(self.counts.values()), 1)


def rarity(
    preferences: Sequence[Preference],
    totals: Mapping[str, float],
    *,
    preset: str = "paper",
    alpha: float | None = None,
    beta: float | None = None,
    clip: float | None = None,
    normalise: Normalise = "none",
    width: float = BIN_WIDTH,
) -> list[float]:
    """One weight >= 0 per preference, in the given order.

    A pair with an unscored clip gets the mean weight of the scored pairs (1 when there are none): a
    missing score makes a pair neither rare nor common.

    Args:
        preferences: resolved labels; only `chosen` and `rejected` are read.
        totals: OmniScore total of *every* scored candidate by hash; a missing clip has no score.
        preset: a name of `PRESETS`; `alpha` and `beta` replace its values where given.
        alpha: strength >= 0.
        beta: numerator > 0.
        clip: largest weight allowed, applied before the normalisation; None for no limit.
        normalise: `mean` divides by the mean, so that the weights' mean is 1.
        width: of the histogram's bins, in units of the total.

    Raises:
        UserError: for an unknown preset or an option outside its range.
    """
    strength, numerator = _settings(preset, alpha, beta, clip)
    histogram = Histogram.of(totals.values(), width)
    top = histogram.largest if numerator is None else numerator
    raw: list[float | None] = []
    for preference in preferences:
        ends = (totals.get(preference.chosen), totals.get(preference.rejected))
        raw.append(_weight(histogram, ends, alpha=strength, beta=top, clip=clip))
    scored = [weight for weight in raw if weight is not None]
    mean = sum(scored) / len(scored) if scored else 1.0
    filled = [mean if weight is None else weight for weight in raw]
    return [weight / mean for weight in filled] if normalise == "mean" else filled


def _settings(
    preset: str, alpha: float | None, beta: float | None, clip: float | None
) -> tuple[float, float | None]:
    if preset not in PRESETS:
        raise UserError(f"unknown pair weights {preset!r}; choose one of {', '.join(PRESETS)}")
    strength = PRESETS[preset].alpha if alpha is None else alpha
    numerator = PRESETS[preset].beta if beta is None else beta
    if not 0 <= strength < math.inf:
        raise UserError(f"weight alpha is {strength}; it must be >= 0 (0 weighs all pairs alike)")
    for name, value in (("beta", numerator), ("clip", clip)):
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"weight {name} is {value}; it must be above 0, or left out")
    return strength, numerator


def _weight(
    histogram: Histogram,
    scores: tuple[float | None, float | None],
    *,
    alpha: float,
    beta: float,
    clip: float | None,
) -> float | None:
    one, other = scores
    if one is None or other is None:
        return None
    probability = math.sqrt(histogram.share(one) * histogram.share(other))
    weight = (beta / probability) ** alpha
    return weight if clip is None else min(weight, clip)


def weighted(preferences: Sequence[Preference], weights: Sequence[float]) -> list[Preference]:
    """The preferences with `weight` set; lengths must agree."""
    return [
        replace(preference, weight=weight)
        for preference, weight in zip(preferences, weights, strict=True)
    ]


def effective_sample_size(weights: Iterable[float]) -> float:
    """`(sum w)^2 / sum w^2` (Kish): how many equal pairs these are worth."""
    values = list(weights)
    squares = sum(weight * weight for weight in values)
    return sum(values) ** 2 / squares if squares else 0.0

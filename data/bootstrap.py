"""Intervals that respect clusters: votes about one prompt are not independent of each other.

`mean` and `share` draw whole clusters (prompts) with replacement and take the percentile interval
of the ratio of sums. With few clusters that is too narrow, because the bootstrap divides by G where
G - 1 would be right and knows no Student: the levels are widened by that much (the expanded
percentile interval of Hesterberg 2015, arXiv 1411.5279). Where all clusters say exactly
the same, a bootstrap has no spread at all: there Wilson's interval on the number of clusters
stands instead.

More than `GROUPS` clusters are first added up in that many groups. A group of independent clusters
is an independent cluster, so the interval stays right, and the cost no longer grows.

Below `FEW` observations or `FEW_CLUSTERS` clusters there is no estimate but a reason. Pure: no IO.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float, Int, Num

FEW, FEW_CLUSTERS = 10, 5
GROUPS = 2000
DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval; None, with the reason in `note`, where it says nothing."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    """What was counted: votes, pairs, or comparisons."""
    clusters: int = 0
    """Prompts that they came from; 0 where that plays no part."""
    note: str = ""
    """Why there is no number, such as `n=3: too few`."""

    def told(self, *, percent: bool = True) -> str:
        """For people: `62 % [55, 69] (n=120)`, or with two decimals, or the reason."""
        if self.value is None:
            return self.note
        if percent:
            low, high = f"{100 * (self.low or 0):.0f}", f"{100 * (self.high or 0):.0f}"
            return f"{100 * self.value:.0f} % [{low}, {high}] (n={self.n})"
        if self.low is None or self.high is None:
            return f"{decimals(self.value)} (n={self.n})"
        return f"{decimals(self.value)} [{decimals(self.low)}, {decimals(self.high)}] (n={self.n})"


def decimals(value: float) -> str:
    """Two decimals, and no minus before 0.00."""
    return f"{round(value, 2) + 0.0:.2f}"


def too_few(n: int, clusters: int = 0, note: str = "") -> Estimate:
    """No estimate, and why."""
    prompts = f"{clusters} prompt{'' if clusters == 1 else 's'}: too few for an interval"
    said = note or (f"n={n}: too few" if n < FEW else prompts)
    return Estimate(value=None, low=None, high=None, n=n, clusters=clusters, note=said)


def enough(n: int, clusters: int) -> bool:
    """Whether an estimate from so many observations in so many clusters is given at all."""
    return n >= FEW and clusters >= FEW_CLUSTERS


def generator(seed: int, what: str) -> np.random.Generator:
    """Randomness of one statistic: adding another one changes none of the others."""
    salt = int.from_bytes(hashlib.sha256(what.encode()).digest()[:8])
    return np.random.default_rng([seed, salt])


def per_cluster(
    clusters: Sequence[str] | Int[np.ndarray, " n"],
    values: Num[np.ndarray, "n k"] | Bool[np.ndarray, "n k"],
) -> Float[np.ndarray, "g k"]:
    """Sums of the columns of `values` in every cluster, clusters in order of their names."""
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    groups = int(index.max()) + 1 if len(index) else 0
    columns = np.asarray(values, float).T
    return np.stack([np.bincount(index, one, groups) for one in columns], 1).astype(float)


def resampled(
    sums: Float[np.ndarray, "g k"], rng: np.random.Generator, *, draws: int = DRAWS
) -> Float[np.ndarray, "draws k"]:
    """Column sums of `draws` bootstrap samples of whole clusters."""
    if len(sums) > GROUPS:
        folded = np.zeros((GROUPS, sums.shape[1]))
        np.add.at(folded, rng.permutation(len(sums)) % GROUPS, sums)
        sums = folded
    groups = len(sums)
    drawn = rng.integers(0, groups, (draws, groups)) + groups * np.arange(draws)[:, None]
    weights = np.bincount(drawn.ravel(), minlength=draws * groups).reshape(draws, groups)
    return weights @ sums


def interval(values: Float[np.ndarray, " draws"], clusters: int) -> tuple[float, float]:
    """Expanded percentile interval of bootstrap values; NaN among them is left out."""
    from scipy.special import stdtrit

    tail = (1 - LEVEL) / 2
    wider = math.sqrt(clusters / (clusters - 1)) * stdtrit(clusters - 1, tail)
    low = NormalDist().cdf(wider)
    found = np.nanquantile(values, [low, 1 - low])
    return float(found[0]), float(found[1])


def bounds(sums: Float[np.ndarray, "g 2"], rng: np.random.Generator) -> tuple[float, float]:
    """Interval of the first column's sum over the second's (> 0 in every cluster); g > 1."""
    top, bottom = resampled(sums, rng).T
    return interval(top / bottom, len(sums))


def ratio(sums: Float[np.ndarray, "g 2"], rng: np.random.Generator, *, n: int) -> Estimate:
    """Sum of the first column over sum of the second (> 0 in every cluster), with its interval."""
    clusters = len(sums)
    if not enough(n, clusters):
        return too_few(n, clusters)
    low, high = bounds(sums, rng)
    value = float(sums[:, 0].sum() / sums[:, 1].sum())
    return Estimate(value=value, low=low, high=high, n=n, clusters=clusters)


def mean(
    clusters: Sequence[str] | Int[np.ndarray, " n"],
    values: Num[np.ndarray, " n"] | Bool[np.ndarray, " n"],
    rng: np.random.Generator,
    *,
    of: Num[np.ndarray, " n"] | None = None,
) -> Estimate:
    """Sum of `values` over the sum of `of` (all 1 if left out), clustered by `clusters`."""
    weights = np.ones(len(values)) if of is None else of
    sums = per_cluster(clusters, np.stack([values, weights], 1))
    return ratio(sums, rng, n=len(values))


def share(
    clusters: Sequence[str] | Int[np.ndarray, " n"],
    hits: Num[np.ndarray, " n"] | Bool[np.ndarray, " n"],
    rng: np.random.Generator,
    *,
    of: Num[np.ndarray, " n"] | None = None,
) -> Estimate:
    """`mean` of hits (1 yes, 0 no, 1/2 a tie), or of hits out of `of`; in [0, 1].

    Wilson's interval on the number of clusters where all clusters have the same share.
    """
    found = mean(clusters, hits, rng, of=of)
    if found.value is None or found.low != found.high:
        return found
    low, high = wilson_bounds(found.value * found.clusters, found.clusters)
    return replace(found, low=low, high=high)


def wilson_bounds(successes: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share of `n` independent trials, n > 0."""
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high

"""What `benchmarks.efficiency` measured, as bands over seeds, a table and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from scipy.stats import t as student

from benchmarks.curves import Band, figure
from data.console import table

METHODS = ("vader", "dpo", "ddpo")


@dataclass(frozen=True, kw_only=True)
class Point:
    """One adapter, measured."""

    method: str
    seed: int
    queries: int
    seconds: float
    train: float
    """Mean reward on train prompts."""
    unseen: float
    """Mean reward on prompts that no method saw."""
    oracle: float
    """Mean oracle score on these."""


def band(points: Sequence[Point], method: str, what: str, across: str) -> Band:
    """Mean and 95 % interval over seeds at each budget, of one method."""
    own = [point for point in points if point.method == method]
    x, low, middle, high = [], [], [], []
    for queries in sorted({point.queries for point in own}):
        here = [point for point in own if point.queries == queries]
        values = [getattr(point, what) for point in here]
        half = 0.0
        if len(values) > 1:
            half = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
        x.append(fmean(getattr(point, across) for point in here))
        middle.append(fmean(values))
        low.append(middle[-1] - half)
        high.append(middle[-1] + half)
    return Band(name=method, x=x, low=low, middle=middle, high=high)


def show(points: Sequence[Point]) -> str:
    """The table: the last budget of each method, and the base."""
    rows = []
    for method in METHODS:
        across = {what: band(points, method, what, "seconds") for what in ("train", "unseen")}
        oracle = band(points, method, "oracle", "queries")
        for i, queries in enumerate(oracle.x):
            if i in (0, len(oracle.x) - 1):
                cells = [
                    f"{one.middle[i]:.3f} ± {one.high[i] - one.middle[i]:.3f}"
                    for one in (*across.values(), oracle)
                ]
                rows.append((method, int(queries), f"{across['train'].x[i]:.0f}", *cells))
    return table(("method", "queries", "cpu s", "train", "unseen", "oracle, unseen"), rows)


def draw(points: Sequence[Point], path: Path) -> None:
    """Reward against queries and against seconds, on train and on unseen prompts."""
    panels = [
        (
            f"{what} prompts",
            {"queries": "reward queries", "seconds": "processor seconds"}[across],
            [band(points, method, what, across) for method in METHODS],
        )
        for what in ("train", "unseen")
        for across in ("queries", "seconds")
    ]
    path.write_text(figure(panels, vertical="mean reward"))

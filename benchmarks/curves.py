"""Lines with bands as an SVG figure, by matplotlib: the same values give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Band:
    """A line and what is around it; all lists are equally long."""

    name: str
    x: list[float]
    low: list[float]
    middle: list[float]
    high: list[float]


def figure(panels: Sequence[tuple[str, str, Sequence[Band]]], vertical: str) -> str:
    """SVG text of panels in two columns, each with its title, the name of its x axis, its bands."""
    rows = (len(panels) + 1) // 2
    with rc_context({"svg.hashsalt": "second look", "svg.fonttype": "none"}):
        drawn = Figure(figsize=(9, 3.2 * rows), layout="constrained")
        places = drawn.subplots(rows, 2, squeeze=False, sharey=True).flat
        for place, (title, across, bands) in zip(places, panels, strict=False):
            for band in bands:
                below = [middle - low for middle, low in zip(band.middle, band.low, strict=True)]
                above = [high - middle for middle, high in zip(band.middle, band.high, strict=True)]
                place.errorbar(
                    band.x, band.middle, (below, above),
                    marker="o", markersize=3, capsize=2, elinewidth=0.8, label=band.name,
                )  # fmt: skip
            place.set(title=title, xlabel=across, ylabel=vertical)
            place.grid(alpha=0.3)
            place.legend(frameon=False, fontsize="small")
        written = io.StringIO()
        drawn.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()

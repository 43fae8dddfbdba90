"""Lines with bands as an SVG figure, by matplotlib: the same values give the same bytes."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


@dataclass(frozen=True, kw_only=True)
class Band:
    """A line and what is around it; all lists are equally long."""

    name: str
    x: list[float]
    low: list[float]
    middle: list[float]
    high: list[float]


def figure(panels: Sequence[tuple[str, str, Sequence[Band]]], vertical: str) -> str:
    """SVG text of panels in two columns, each with its title, the name of its x axis, its bands.

    Names that begin alike, up to a comma, share a colour in all panels, and differ by dashes.
    """
    rows, colours = (len(panels) + 1) // 2, dict[str, str]()
    with rc_context({"svg.hashsalt": "second look", "svg.fonttype": "none"}):
        drawn = Figure(figsize=(9, 3.2 * rows), layout="constrained")
        places = drawn.subplots(rows, 2, squeeze=False, sharey="col").flat
        for place, (title, across, bands) in zip(places, panels, strict=False):
            alike = Counter[str]()
            for band in bands:
                kind = band.name.split(",")[0]
                colour = colours.setdefault(kind, f"C{len(colours)}")
                dashes, alike[kind] = ("-", "--", ":")[alike[kind] % 3], alike[kind] + 1
                below = [middle - low for middle, low in zip(band.middle, band.low, strict=True)]
                above = [high - middle for middle, high in zip(band.middle, band.high, strict=True)]
                place.errorbar(
                    band.x, band.middle, (below, above),
                    marker="o", markersize=3, capsize=2, elinewidth=0.8, label=band.name,
                    color=colour, linestyle=dashes,
                )  # fmt: skip
            place.set(title=title, xlabel=across, ylabel=vertical)
            place.xaxis.set_major_locator(MaxNLocator(integer=True))
            place.grid(alpha=0.3)
            place.legend(frameon=False, fontsize="small")
        written = io.StringIO()
        drawn.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()

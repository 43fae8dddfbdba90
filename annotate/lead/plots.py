"""Curves as SVG: they work offline and in both colour schemes, scale, and are read out.

A picture has a title and a description with the last values, and the numbers lie in a table under
it. Left out on purpose: smoothing, which hides what happened.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from annotate.lead.markup import Column, joined, table

Points = Sequence[tuple[float, float]]
_WIDTH, _HEIGHT = 560, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 10, 34
MOST = 400
"""Points of a drawn line; a longer one is thinned evenly (its last point stays)."""


def curves(
    name: str, lines: Mapping[str, Points], *, across: str, words: Mapping[str, str]
) -> Markup:
    """A figure with one line per entry, and its numbers in a table that unfolds.

    Args:
        name: What is measured: the title.
        lines: Points (x, y) by the line's name, sorted by x; not finite ones are left out.
        across: What x is.
        words: With `numbers` and `last`.
    """
    drawn = {key: thinned(_finite(points)) for key, points in lines.items()}
    drawn = {key: points for key, points in drawn.items() if points}
    if not drawn:
        return Markup("")
    told = "; ".join(
        f"{key}: {words['last']} {_short(points[-1][1])}" for key, points in drawn.items()
    )
    rows = [(_short(x), key, _short(y)) for key, points in drawn.items() for x, y in points]
    unfolded = table(name, [Column(across), Column(""), Column(name, number=True)], rows)
    return Markup(
        "<figure class=ll-plot><figcaption><b>{}</b> <span>{}</span></figcaption>{}"
        "<details><summary>{}</summary>{}</details></figure>"
    ).format(name, _legend(drawn), _picture(name, told, drawn, across), words["numbers"], unfolded)


def thinned(points: Points, most: int = MOST) -> list[tuple[float, float]]:
    """At most `most` of the points, evenly, with the last one."""
    step = max(1, math.ceil(len(points) / most))
    kept = list(points[::step])
    if points and kept[-1] != points[-1]:
        kept.append(points[-1])
    return kept


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers from `low` to `high`, about so many."""
    span = high - low
    if span <= 0:
        return [low]
    rough = span / about
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _finite(points: Points) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def _short(value: float) -> str:
    return f"{value:.4g}"


def _legend(lines: Mapping[str, Points]) -> Markup:
    marks = [
        Markup('<span class="ll-key ll-line-{}">{}</span>').format(place % 4, key)
        for place, key in enumerate(lines)
    ]
    return Markup(" ").join(marks)


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        room = abs(low) * 0.1 or 1.0
        return low - room, high + room
    return low, high


def _picture(name: str, told: str, lines: Mapping[str, Points], across: str) -> Markup:
    every = [point for points in lines.values() for point in points]
    x_low, x_high = _bounds([x for x, _ in every])
    y_low, y_high = _bounds([y for _, y in every])

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + (x - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT),
            _TOP + (y_high - y) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM),
        )

    grid = [
        Markup('<path class=ll-grid d="M{} {:.1f}H{}"/><text x={} y="{:.1f}" class=ll-y>{}</text>')
        .format(_LEFT, place(x_low, y)[1], _WIDTH - _RIGHT, _LEFT - 6, place(x_low, y)[1] + 4,
                _short(y))
        for y in ticks(y_low, y_high)
    ]  # fmt: skip
    grid += [
        Markup('<text x="{:.1f}" y={} class=ll-x>{}</text>').format(
            place(x, y_low)[0], _HEIGHT - 16, _short(x)
        )
        for x in ticks(x_low, x_high, 5)
    ]
    drawn = [
        _line(number, [place(*p) for p in points]) for number, points in enumerate(lines.values())
    ]
    return Markup(
        '<svg viewBox="0 0 {} {}" role=img aria-label="{}. {}">{}'
        "<text x={} y={} class=ll-x>{}</text></svg>"
    ).format(
        _WIDTH, _HEIGHT, name, told, joined([*grid, *drawn]),
        (_WIDTH + _LEFT) / 2, _HEIGHT - 2, across,
    )  # fmt: skip


def _line(number: int, places: Sequence[tuple[float, float]]) -> Markup:
    """A line; a single point, and the few points of evaluations, have dots too."""
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dots = places if len(places) <= 40 else ()
    return Markup('<g class="ll-line ll-line-{}"><path d="{}"/>{}</g>').format(
        number % 4,
        path,
        joined(Markup('<circle cx="{:.1f}" cy="{:.1f}" r=2.5 />').format(x, y) for x, y in dots),
    )

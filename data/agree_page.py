"""The report of `data.agree` as one self-contained HTML page: no network, no script, no other file.

Plots are intervals in inline SVG, in percent of their width, so that they fit any screen; colours
are the page's, light and dark. Every number of a plot stands beside it as text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from data import agree_text
from data.agree_text import EXPOSURES
from data.bootstrap import Estimate

if TYPE_CHECKING:
    from data.agree import Report
    from data.ratings import Ratings

_TEMPLATE = Path(__file__).parent / "agree_page.html"
_QUESTIONS = {
    "overall": "All things considered (the vote)",
    "visual": "Which looks better made",
    "motion": "Whose movement is more natural",
    "alignment": "Which shows what the prompt asks for",
}
_Row = tuple[str, Estimate, str]
"""Label, estimate, and what is said about it."""


def page(report: Report) -> str:
    """The page; the same report gives the same bytes."""
    counts, _ = agree_text.summary(report).split("\n")
    parts = {
        "COUNTS": escape(counts),
        "LEAD": _lead(report),
        "NOTES": "".join(f"<p class=warning>{escape(one)}</p>" for one in agree_text.notes(report)),
        "EXPOSURES": _shares(
            (EXPOSURES[name], one, one.told()) for name, one in report.sides.items()
        ),
        "TALLIES": _tallies(report),
        "TIES": _ties(report),
        "QUOTED": "blind" if report.quoted == "blind" else "all",
        "MARGINS": _shares(
            (f"{one.low:.3f} to {one.high:.3f}", one.share, one.share.told())
            for one in report.margins
        ),
        "DIMENSIONS": "".join(_dimensions(report)),
        "REVEAL": _reveal(report),
        "BETWEEN": "".join(
            f"<tr><th scope=row class=wrap>{escape(name)}</th><td>{escape(value)}</td></tr>"
            for name, value in agree_text.between(report)
        ),
        "PEOPLE": _people(report),
        "RATINGS": _ratings("Generators", report.generators)
        + _ratings("Generators with adapters", report.adapters),
        "SEED": str(report.seed),
        "SNAPSHOT": str(report.snapshot),
    }
    text = _TEMPLATE.read_text(encoding="utf-8")
    for name, part in parts.items():
        text = text.replace(f"<!--{name}-->", part)
    return text


def _lead(report: Report) -> str:
    blind = report.sides["blind"]
    if blind.value is None:
        said = f"cannot be said yet: blind votes on scored pairs, {blind.note}"
        return f"<div class=lead><b>Agreement</b><span>{escape(said)}</span></div>"
    low, high = (f"{100 * (bound or 0):.0f}" for bound in (blind.low, blind.high))
    return (
        f"<div class=lead><strong>{100 * blind.value:.0f} %</strong>"
        f"<span>of blind votes are on OmniScore's side ({low} to {high} %, "
        f"{blind.n} votes, {blind.clusters} prompts)</span></div>"
    )


def _nothing() -> str:
    return "<p class=soft>There is nothing to show yet.</p>"


def _shares(rows: Iterable[_Row]) -> str:
    """Shares as intervals between 0 and 100 %, with one half marked."""
    return _intervals(list(rows), 0.0, 1.0, 0.5, [(0, "0"), (0.5, "50"), (1, "100 %")])


def _intervals(
    rows: Sequence[_Row],
    low: float,
    high: float,
    middle: float,
    ticks: Sequence[tuple[float, str]],
) -> str:
    """A table of labels, intervals on one axis from `low` to `high`, and what they say."""
    if not rows:
        return _nothing()
    if all(one.value is None for _, one, _ in rows):
        ticks = ()

    def at(value: float) -> str:
        return f"{100 * (min(max(value, low), high) - low) / (high - low):.2f}%"

    head = "".join(
        f'<text x="{at(value)}" y="80%" text-anchor="{_anchor(value, low, high)}">{text}</text>'
        for value, text in ticks
    )
    grid = "".join(
        f'<line class="{"middle" if value == middle else "grid"}" x1="{at(value)}" '
        f'x2="{at(value)}" y1="0" y2="100%"/>'
        for value, _ in ticks
    )
    body = "".join(
        f"<tr><th scope=row class=wrap>{escape(label)}</th><td class=plot>{_mark(one, grid, at)}"
        f"</td><td class=number>{escape(said)}</td></tr>"
        for label, one, said in rows
    )
    return (
        "<table class=stack><thead><tr><th></th><th class=plot><svg aria-hidden=true>"
        f"{head}</svg></th><th></th></tr></thead><tbody>{body}</tbody></table>"
    )


def _anchor(value: float, low: float, high: float) -> str:
    return "start" if value <= low else "end" if value >= high else "middle"


def _mark(one: Estimate, grid: str, at: Callable[[float], str]) -> str:
    if one.value is None:
        return ""
    span = (
        f'<line class="range" x1="{at(one.low)}" x2="{at(one.high)}" y1="50%" y2="50%"/>'
        if one.low is not None and one.high is not None
        else ""
    )
    return (
        f'<svg aria-hidden=true>{grid}{span}<circle class="at" cx="{at(one.value)}" cy="50%" '
        'r="4.5"/></svg>'
    )


def _tallies(report: Report) -> str:
    names = ("confirmations", "overrides", "ties", "unusable", "skips", "unscored")
    labels = ("confirmed", "overridden", "ties", "unusable", "skipped", "without a score")
    head = "".join(f"<th scope=col class=number>{label}</th>" for label in labels)
    rows = "".join(
        f"<tr><th scope=row>{escape(label)}</th>"
        + "".join(
            f"<td class=number>{getattr(getattr(report.tallies, name), key)}</td>" for key in names
        )
        + "</tr>"
        for name, label in EXPOSURES.items()
    )
    return f"<thead><tr><th scope=col>votes</th>{head}</tr></thead><tbody>{rows}</tbody>"


def _ties(report: Report) -> str:
    rows: list[_Row] = []
    for name, one in report.with_ties.items():
        said = one.share.told()
        if one.share.value is not None:
            said += f"; ties up to {one.threshold:.3g}, without any {100 * (one.never or 0):.0f} %"
        rows.append((EXPOSURES[name], one.share, said))
    return _shares(rows)


def _dimensions(report: Report) -> Iterator[str]:
    if not report.dimensions:
        yield _nothing()
    for question in dict.fromkeys(one.question for one in report.dimensions):
        yield f"<h3>{escape(_QUESTIONS.get(question, question))}</h3>"
        yield _shares(
            (one.label, one.share, one.share.told() + (f", {one.equal} equal" if one.equal else ""))
            for one in report.dimensions
            if one.question == question
        )


def _reveal(report: Report) -> str:
    found = report.reveal
    lines = list(agree_text.reveal_lines(report))
    told = "".join(f"<li>{escape(line[0].upper() + line[1:])}.</li>" for line in lines)
    if not found.n:
        return f"<ul>{told}</ul>"
    kinds = (("", "kept", found.kept), ("towards", "moved towards OmniScore", found.towards))
    kinds = (*kinds, ("away", "moved away", found.away))
    bar = "".join(f'<i class="{key}" style="flex:{number}"></i>' for key, _, number in kinds)
    legend = "".join(f'<li class="{key}"><i></i>{name}: {n}</li>' for key, name, n in kinds)
    return (
        f"<div class=parts aria-hidden=true>{bar}</div><ul class=key>{legend}</ul><ul>{told}</ul>"
    )


def _people(report: Report) -> str:
    rows = list(agree_text.people_rows(report))
    more = agree_text.others(report)
    note = f"<p class=soft>{escape(more)}</p>" if more else ""
    if not rows:
        return note or _nothing()
    head = ("annotator", "votes", "reliability", "left", "repeats", "gold")
    return f"<div class=scroll>{_table(head, rows)}</div>{note}"


def _ratings(title: str, rated: Ratings) -> str:
    if not rated.items:
        return ""
    marks = [
        bound
        for one in rated.items
        for bound in (one.strengths["davidson"].low, one.strengths["davidson"].high)
        if bound is not None
    ]
    edge = max([0.5, *(abs(mark) for mark in marks)])
    edge = -(-edge * 2 // 1) / 2  # the next half
    plot = _intervals(
        [
            (one.item, one.strengths["davidson"], one.strengths["davidson"].told(percent=False))
            for one in rated.items
        ],
        -edge,
        edge,
        0.0,
        [(-edge, f"{-edge:g}"), (0.0, "0"), (edge, f"{edge:+g}")],
    )
    apart = (
        "<p class=warning>Not connected: "
        + escape(" | ".join(", ".join(part) for part in rated.parts))
        + ". Nobody compared these groups with each other.</p>"
        if len(rated.parts) > 1
        else ""
    )
    head = ("item", "won / tied / lost", "Davidson", "Rao-Kupper", "half-wins")
    table = _table(head, agree_text.rated_rows(rated))
    ties = ", ".join(f"{model} {100 * share:.0f} %" for model, share in rated.ties.items())
    told = f"{rated.games} votes between different items"
    told += f"; a tie between equals: {ties}." if ties else "."
    return (
        f"<h3>{escape(title)}</h3>{apart}{plot}<div class=scroll>{table}</div>"
        f"<p class=soft>{escape(told)}</p>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    columns = "".join(
        f"<th scope=col{' class=number' if place else ''}>{escape(name)}</th>"
        for place, name in enumerate(head)
    )
    body = "".join(
        f"<tr><th scope=row>{escape(first)}</th>"
        + "".join(f"<td class=number>{escape(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return f"<table><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table>"

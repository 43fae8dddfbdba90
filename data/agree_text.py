"""The report of `data.agree` as plain tables, and the sentences that table and page share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from data.bootstrap import FEW, Estimate, decimals
from data.console import table

if TYPE_CHECKING:
    from data.agree import Report
    from data.raters import Reliability
    from data.ratings import Ratings

PEOPLE = 30
"""Annotators that are shown; all of them are in the JSON."""
EXPOSURES = {
    "blind": "blind (to quote)",
    "shown": "score in view",
    "revealed": "after the reveal",
    "overall": "all that stand",
}
"""What the exposures are called, in the order in which they are shown."""


def tables(report: Report) -> str:
    """All tables, each under its heading."""
    parts = [
        summary(report),
        _heading("People and OmniScore", _with_score(report)),
        _heading("By margin", _margins(report)),
        _heading("By dimension", _dimensions(report)),
        _heading("Seeing the score", "\n".join(reveal_lines(report))),
        _heading("Between people", "\n".join(f"{k}: {v}" for k, v in between(report))),
        _heading("Each annotator", _people(report)),
        _heading("Generators", _rated(report.generators)),
        _heading("Generators with adapters", _rated(report.adapters)),
    ]
    return "\n\n".join(part for part in (*parts, "\n".join(notes(report))) if part)


def summary(report: Report) -> str:
    """The whole in two sentences."""
    counts = report.counts
    where = f"campaign {report.campaign}" if report.campaign else "all campaigns"
    people = f"{counts.people} {'person' if counts.people == 1 else 'people'}"
    told = (
        f"{counts.votes} standing votes of {people} on {counts.voted} of "
        f"{counts.pairs} pairs ({where}, up to vote {report.snapshot})."
    )
    blind = report.sides["blind"]
    said = (
        f"People agree with OmniScore in {blind.told()} of blind votes that took a side."
        if blind.value is not None
        else f"How often people agree with OmniScore cannot be said yet: blind votes, {blind.note}."
    )
    return f"{told}\n{said}"


def notes(report: Report) -> Iterator[str]:
    """What limits the report, one sentence each."""
    if report.counts.excluded:
        yield f"Left out, since their votes do not count: {', '.join(report.counts.excluded)}."
    if report.quoted != "blind":
        yield (
            "No blind votes on scored pairs: margins and dimensions are from votes that may have "
            "been pulled towards the score (app.py --blind SHARE asks some pairs blind)."
        )
    if report.tallies.overall.unscored:
        yield (
            f"{report.tallies.overall.unscored} votes are on pairs without a score and say nothing "
            "about OmniScore (python -m scorers scores the clips)."
        )
    for name, rated in (("generators", report.generators), ("adapters", report.adapters)):
        if len(rated.parts) > 1:
            parts = " | ".join(", ".join(part) for part in rated.parts)
            yield f"Warning: these {name} never met, so their ratings cannot be compared: {parts}."


def points(one: Estimate) -> str:
    """A difference of shares in percentage points, with its sign."""
    if one.value is None:
        return one.note
    value, low, high = (
        f"{round(100 * bound) + 0:+d}" for bound in (one.value, one.low or 0.0, one.high or 0.0)
    )
    return f"{value} points [{low}, {high}] (n={one.n})"


def reveal_lines(report: Report) -> Iterator[str]:
    """Anchoring and the reveal, one line each."""
    found = report.reveal
    yield f"anchoring (agreement in view minus blind): {points(report.anchoring)}"
    yield (
        f"after the reveal {found.kept} of {found.n} answers were kept, {found.towards} moved "
        f"towards OmniScore, {found.away} away"
    )
    yield f"changed: {found.changed.told()}"
    yield f"pull of the reveal towards OmniScore: {points(found.pull)}"


def between(report: Report) -> Iterator[tuple[str, str]]:
    """Names and values of the agreement between people and with oneself."""
    found = report.consensus
    yield "pairs with answers of several people", str(found.pairs)
    yield "same answer", found.same.told()
    answers = f" ({found.fleiss_answers} answers per pair)" if found.fleiss_answers else ""
    yield f"Fleiss' kappa{answers}", found.fleiss.told(percent=False)
    yield "Krippendorff's alpha, nominal", found.nominal.told(percent=False)
    yield "Krippendorff's alpha, ordinal", found.ordinal.told(percent=False)
    for two in found.couples[:10]:
        kappa = "undefined" if two.kappa is None else decimals(two.kappa)
        yield (
            f"Cohen's kappa, {two.one} and {two.other}",
            f"{kappa}, same in {two.same:.0%} (n={two.pairs})",
        )
    yield "same answer when a pair comes back", report.repeats.same.overall.told()
    yield "of those that changed, moved with the side", str(report.repeats.same_side)
    yield "gold pairs answered rightly", report.gold.accuracy.overall.told()
    for kind, one in report.gold.kinds.items():
        yield f"gold of kind {kind}", one.told()
    yield "preferred the clip on the left", report.left.overall.told()


def people_rows(report: Report) -> Iterator[tuple[str, ...]]:
    """One row per annotator with enough votes: name, votes, reliability, left, repeats, gold."""
    for name, one in _busiest(report):
        yield (
            name,
            str(one.votes),
            f"{one.accuracy:.2f}" if one.shared >= FEW else f"n={one.shared}: too few",
            *(
                check.people[name].told() if name in check.people else ""
                for check in (report.left, report.repeats.same, report.gold.accuracy)
            ),
        )


def _busiest(report: Report) -> list[tuple[str, Reliability]]:
    """At most `PEOPLE` annotators with at least `FEW` votes, most votes first."""
    enough = [item for item in report.reliability.items() if item[1].votes >= FEW]
    return sorted(enough, key=lambda item: (-item[1].votes, item[0]))[:PEOPLE]


def others(report: Report) -> str:
    """Who is not in the table of annotators; empty where everybody is."""
    missing = len(report.reliability) - len(_busiest(report))
    return f"{missing} more annotators, with fewer votes, are not shown." if missing else ""


def rated_rows(rated: Ratings) -> Iterator[tuple[str, ...]]:
    """One row per item: its name, record, and strength under every model."""
    for one in rated.items:
        strengths = [found.told(percent=False) for found in one.strengths.values()]
        yield (one.item, f"{one.wins} / {one.ties} / {one.losses}", *strengths)


def _heading(text: str, body: str) -> str:
    return f"{text}\n{body}" if body else ""


def _with_score(report: Report) -> str:
    rows = []
    for name, label in EXPOSURES.items():
        tally = getattr(report.tallies, name)
        counts = (tally.confirmations, tally.overrides, tally.ties, tally.unusable, tally.skips)
        sided = report.sides[name].told() if name in report.sides else ""
        tied = report.with_ties[name].share.told() if name in report.with_ties else ""
        rows.append((label, *counts, sided, tied))
    head = ("votes", "confirmed", "overridden", "ties", "unusable", "skipped", "agree", "with ties")
    return table(head, rows)


def _margins(report: Report) -> str:
    rows = [(f"{one.low:.3f} to {one.high:.3f}", one.share.told()) for one in report.margins]
    return table(("margin", "agree"), rows) if rows else ""


def _dimensions(report: Report) -> str:
    rows = [(one.label, one.question, one.share.told(), one.equal) for one in report.dimensions]
    return table(("dimension", "question", "agree", "equal"), rows) if rows else ""


def _people(report: Report) -> str:
    rows = list(people_rows(report))
    head = ("annotator", "votes", "reliability", "left", "repeats", "gold")
    return "\n".join(part for part in (table(head, rows) if rows else "", others(report)) if part)


def _rated(rated: Ratings) -> str:
    head = ("item", "won / tied / lost", "Davidson", "Rao-Kupper", "half-wins")
    return table(head, rated_rows(rated)) if rated.items else ""

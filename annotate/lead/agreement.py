"""People and OmniScore, and people among themselves: the report of `data.agree` as a page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gradio as gr
from markupsafe import Markup

from annotate.lead import markup
from annotate.lead.frame import Site, Visit, block
from annotate.lead.markup import Column
from data.agree import QUOTED, Report
from data.bootstrap import Estimate
from data.errors import UserError
from data.ratings import Ratings


def page(site: Site, load: Callable[..., Any]) -> None:
    """Lay the page out: which campaign, and the report on it."""
    top = block()
    with gr.Row(elem_classes="ll-filters"):
        campaign = gr.Dropdown([], label="·")
    body = block()
    begun = site.on(load, opened, [], [top, campaign, body])
    site.on(begun.then, shown, [campaign], [body])
    site.on(campaign.input, shown, [campaign], [body])


def opened(visit: Visit) -> tuple[Any, ...]:
    """The page while the report is worked out, which takes a while where there are many votes."""
    words, wanted = visit.words, visit.query.get("campaign", "")
    names = list(visit.reading.campaigns)
    choices = [(words["all_campaigns"], ""), *((name, name) for name in names)]
    chosen = wanted if wanted in names else ""
    field = gr.Dropdown(choices=choices, value=chosen, label=words["campaign"])
    waiting = Markup("<p role=status class=ll-quiet>{}</p>").format(words["working"])
    return visit.top("agreement"), field, waiting


def shown(visit: Visit, campaign: str | None) -> Markup:
    """The report, part by part."""
    words = visit.words
    if not len(visit.reading.votes):
        return markup.empty(words["nobody_title"], words["nobody"])
    try:
        report = visit.reports.newest(campaign or None)
    except UserError as error:
        return markup.empty(words["none_title"], str(error))
    parts = [
        _headline(words, report), _with_score(words, report), _margins(words, report),
        _dimensions(words, report), _reveal(words, report), _between(visit, report),
        _people(visit, report), _rated(words, "generators", report.generators),
        _rated(words, "adapters", report.adapters),
    ]  # fmt: skip
    return markup.joined(parts)


def estimate(found: Estimate, *, middle: bool = True) -> Markup:
    """An estimated share with its interval and a bar; the reason where there is none."""
    if found.value is None:
        return Markup("<span class=ll-quiet>{}</span>").format(found.note or markup.DASH)
    return markup.estimate(found.value, found.low, found.high, found.n, middle=middle)


def _plain(found: Estimate) -> Markup:
    """An estimate that is no share, with two decimals."""
    return Markup("<span>{}</span>").format(found.told(percent=False) or markup.DASH)


def _points(found: Estimate) -> Markup:
    """A difference of shares, in percentage points."""
    if found.value is None or found.low is None or found.high is None:
        return Markup("<span class=ll-quiet>{}</span>").format(found.note or markup.DASH)
    return Markup("<b>{:+.0f}</b> <small>{:+.0f} … {:+.0f}, n = {}</small>").format(
        100 * found.value, 100 * found.low, 100 * found.high, found.n
    )


def _headline(words: Mapping[str, str], report: Report) -> Markup:
    counts = report.counts
    numbers = {
        words["agree_blind"]: estimate(report.sides["blind"]),
        words["agree_shown"]: estimate(report.sides["shown"]),
        words["anchoring"]: _points(report.anchoring),
        words["votes"]: f"{counts.votes:,}",
        words["people"]: f"{counts.people:,}",
    }
    told = [words["quote_blind"] if report.quoted == "blind" else words["quote_none"]]
    told.append(words["up_to"].format(vote=f"{report.snapshot:,}"))
    if counts.excluded:
        told.append(words["without"].format(count=len(counts.excluded)))
    said = Markup("<p class=ll-quiet>{}</p>").format(" ".join(told))
    return markup.figures(numbers) + said


def _with_score(words: Mapping[str, str], report: Report) -> Markup:
    columns = [
        Column(words["mode"]),
        Column(words["agree"]),
        Column(words["agree_ties"]),
        *(Column(words[key], number=True) for key in
          ("confirmed", "overridden", "ties", "unusable", "skips", "unscored_votes")),
    ]  # fmt: skip
    rows = []
    for name in QUOTED:
        tally, tied = getattr(report.tallies, name), report.with_ties[name].share
        counted = (tally.confirmations, tally.overrides, tally.ties, tally.unusable)
        row = (words[f"mode_{name}"], estimate(report.sides[name]), estimate(tied))
        rows.append((*row, *counted, tally.skips, tally.unscored))
    title = words["with_score"]
    table = markup.table(title, columns, rows)
    return markup.section(title, table, note=words["with_score_note"])


def _margins(words: Mapping[str, str], report: Report) -> Markup:
    if not report.margins:
        return Markup("")
    rows = [(f"{one.low:.3f} … {one.high:.3f}", estimate(one.share)) for one in report.margins]
    columns = [Column(words["margin"]), Column(words["agree"])]
    title = words["by_margin"]
    return markup.section(
        title, markup.table(title, columns, rows), note=words[f"from_{report.quoted}"]
    )


def _dimensions(words: Mapping[str, str], report: Report) -> Markup:
    if not report.dimensions:
        return Markup("")
    rows = [
        (one.label, _question(words, one.question), estimate(one.share), one.equal)
        for one in report.dimensions
    ]
    columns = [
        Column(words["dimension"]),
        Column(words["question"]),
        Column(words["agree"]),
        Column(words["equal"], number=True),
    ]
    title = words["by_dimension"]
    return markup.section(
        title, markup.table(title, columns, rows), note=words[f"from_{report.quoted}"]
    )


def _question(words: Mapping[str, str], key: str) -> str:
    return words.get(f"question_{key}", key)


def _reveal(words: Mapping[str, str], report: Report) -> Markup:
    found = report.reveal
    named: list[tuple[str, object]] = [
        (words["anchoring"], _points(report.anchoring)),
        (words["reveals"], f"{found.n:,}"),
        (words["kept"], f"{found.kept:,}"),
        (words["towards"], f"{found.towards:,}"),
        (words["away"], f"{found.away:,}"),
        (words["changed"], estimate(found.changed, middle=False)),
        (words["pull"], _points(found.pull)),
    ]
    return markup.section(words["seeing"], markup.facts(named), note=words["seeing_note"])


def _between(visit: Visit, report: Report) -> Markup:
    words, found = visit.words, report.consensus
    named: list[tuple[str, object]] = [
        (words["several"], f"{found.pairs:,}"),
        (words["same"], estimate(found.same)),
        (words["fleiss"], _plain(found.fleiss)),
        (words["alpha_nominal"], _plain(found.nominal)),
        (words["alpha_ordinal"], _plain(found.ordinal)),
        (words["repeats"], estimate(report.repeats.same.overall)),
        (words["gold"], estimate(report.gold.accuracy.overall)),
        (words["left_share"], estimate(report.left.overall)),
    ]
    named += [
        (f"{words['gold']}: {kind}", estimate(one)) for kind, one in report.gold.kinds.items()
    ]
    columns = [
        Column(words["people"]),
        Column(words["pairs"], number=True),
        Column(words["same"], number=True),
        Column(words["cohen"], number=True),
    ]
    rows = [
        (
            f"{visit.name(two.one)} · {visit.name(two.other)}",
            two.pairs,
            markup.percent(two.same),
            markup.DASH if two.kappa is None else f"{two.kappa:.2f}",
        )
        for two in found.couples
    ]
    table = markup.table(words["couples"], columns, rows) if rows else ""
    return markup.section(words["between"], markup.facts(named), table, note=words["between_note"])


def _people(visit: Visit, report: Report) -> Markup:
    words = visit.words
    columns = [
        Column(words["person"]),
        Column(words["votes"], number=True),
        Column(words["reliability"], number=True),
        Column(words["left_share"]),
        Column(words["repeats"]),
        Column(words["gold"]),
    ]
    checks = (report.left, report.repeats.same, report.gold.accuracy)
    rows = [
        (
            visit.name(name),
            one.votes,
            f"{one.accuracy:.2f}" if one.shared >= _ENOUGH else markup.DASH,
            *(_checked(check.people.get(name)) for check in checks),
        )
        for name, one in report.reliability.items()
    ]
    if not rows:
        return Markup("")
    title = words["each"]
    return markup.section(title, markup.table(title, columns, rows), note=words["each_note"])


_ENOUGH = 10
"""Votes shared with somebody else, below which reliability says nothing."""


def _checked(found: Estimate | None) -> Markup | str:
    return markup.DASH if found is None else estimate(found)


def _rated(words: Mapping[str, str], what: str, found: Ratings) -> Markup:
    if not found.items:
        return Markup("")
    models = list(dict.fromkeys(name for one in found.items for name in one.strengths))
    columns = [
        Column(words[what]),
        Column(words["record"], number=True),
        *(Column(words.get(f"model_{name}", name), number=True) for name in models),
    ]
    rows = [
        (one.item, f"{one.wins} / {one.ties} / {one.losses}", *_strengths(one.strengths, models))
        for one in found.items
    ]
    title = words[f"rated_{what}"]
    note = words["rated_note"]
    if len(found.parts) > 1:
        apart = " | ".join(", ".join(part) for part in found.parts)
        note = f"{words['apart'].format(parts=apart)} {note}"
    return markup.section(title, markup.table(title, columns, rows), note=note)


def _strengths(found: Mapping[Any, Estimate], models: Iterable[Any]) -> list[Markup | str]:
    return [_plain(found[name]) if name in found else markup.DASH for name in models]

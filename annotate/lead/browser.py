"""The browser: pairs, votes and clips by campaign, person, answer, exposure, state and text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
import polars as pl
from markupsafe import Markup

from annotate.lead import finding, markup
from annotate.lead.finding import Filters, Found
from annotate.lead.frame import Site, Visit, address, block
from annotate.lead.markup import Column
from annotate.lead.reading import totals

_FIELDS = ("view", "campaign", "person", "outcome", "exposure", "state", "text")


def page(site: Site, load: Callable[..., Any]) -> None:
    """Lay the page out: filters, what matches, and the way to the next page."""
    top = block()
    with gr.Row(elem_classes="ll-filters"):
        view = gr.Radio([], label="·", scale=2)
        chosen = [gr.Dropdown([], label="·", min_width=150) for _ in _FIELDS[1:-1]]
    with gr.Row(elem_classes="ll-filters"):
        text = gr.Textbox(label="·", scale=3, max_lines=1)
        number = gr.Number(label="·", value=1, minimum=1, precision=0, min_width=90)
    body = block()
    fields = [view, *chosen, text]
    site.on(load, opened, [], [top, *fields, number, body])
    for field in (view, *chosen):
        site.on(field.input, first, fields, [body, number])
    site.on(text.submit, first, fields, [body, number])
    site.on(text.blur, first, fields, [body, number])
    site.on(number.input, turned, [*fields, number], [body])


def opened(visit: Visit) -> tuple[Any, ...]:
    """The page as its address asks for it."""
    given = {name: visit.query.get(name, "") for name in _FIELDS}
    given["view"] = given["view"] if given["view"] in finding.VIEWS else "pairs"
    filters = _filters(given.values())
    options = _options(visit)
    fields = [
        gr.Dropdown(choices=options[name], value=given[name], label=visit.words[f"filter_{name}"])
        for name in _FIELDS[1:-1]
    ]
    view = gr.Radio(choices=options["view"], value=filters.view, label=visit.words["filter_view"])
    text = gr.Textbox(
        value=filters.text,
        label=visit.words["filter_text"],
        placeholder=visit.words["filter_text_how"],
    )
    number = gr.Number(value=1, label=visit.words["page"])
    return (visit.top("pairs"), view, *fields, text, number, shown(visit, filters))


def first(visit: Visit, *values: str | None) -> tuple[Markup, int]:
    """The first page of what the fields say."""
    return shown(visit, _filters(values)), 1


def turned(visit: Visit, *values: Any) -> Markup:
    """Another page of it."""
    *fields, number = values
    return shown(visit, _filters(fields, int(number or 1)))


def _filters(values: Any, number: int = 1) -> Filters:
    given = {name: str(value or "") for name, value in zip(_FIELDS, values, strict=True)}
    return Filters(**given, page=number)


def _options(visit: Visit) -> dict[str, list[tuple[str, str]]]:
    reading, words = visit.reading, visit.words
    any_of = (words["anything"], "")
    people = sorted(reading.votes["annotator"].unique())
    return {
        "view": [(words[f"view_{name}"], name) for name in finding.VIEWS],
        "campaign": [any_of, *((name, name) for name in reading.campaigns)],
        "person": [any_of, *((visit.name(who), who) for who in people)],
        "outcome": [any_of, *((words[f"outcome_{name}"], name) for name in finding.OUTCOMES)],
        "exposure": [any_of, *((words[f"mode_{name}"], name) for name in finding.EXPOSURES)],
        "state": [any_of, *((words[f"state_{name}"], name) for name in finding.STATES)],
    }


def shown(visit: Visit, filters: Filters) -> Markup:
    """What matches, as a table."""
    reading, words = visit.reading, visit.words
    if not len(reading.pairs if filters.view != "clips" else reading.clips):
        return visit.beginning()
    look, table = _VIEWS[filters.view if filters.view in _VIEWS else "pairs"]
    found = look(reading, filters)
    if not found.total:
        return markup.empty(words["none_title"], words["none"])
    counted = words["found"].format(total=f"{found.total:,}", page=found.page, pages=found.pages)
    return Markup("<p role=status class=ll-quiet>{}</p>{}").format(counted, table(visit, found))


def _pairs(visit: Visit, found: Found) -> Markup:
    words = visit.words
    votes = finding.votes_of(visit.reading, found.rows["pair"].to_list())
    columns = [
        Column(words["prompt"]),
        Column(words["campaign"]),
        Column(words["margin"], number=True),
        Column(words["answers"], number=True),
        Column(words["said"]),
        Column(words["newest"]),
    ]
    rows = [
        (
            markup.link(address("pair", id=row["pair"]), markup.words(row["text"] or "")),
            Markup("{} {}").format(row["campaign"], _check(words, row["strategy"])),
            markup.DASH if row["margin"] is None else f"{row['margin']:.3f}",
            row["answers"] or 0,
            _said(words, votes.get(row["pair"])),
            markup.moment(row["newest"] or 0),
        )
        for row in found.rows.iter_rows(named=True)
    ]
    return markup.table(words["view_pairs"], columns, rows)


def _check(words: Mapping[str, str], strategy: str) -> Markup | str:
    kind = strategy.partition(":")[0]
    known = kind in ("gold", "practice", "repeat")
    return markup.tag(words[f"check_{kind}"]) if known else ""


def _said(words: Mapping[str, str], votes: pl.DataFrame | None) -> Markup | str:
    """How many said what, in a line such as `2 with OmniScore, 1 tie`."""
    if votes is None:
        return markup.DASH
    counts: dict[str, int] = {}
    for row in votes.iter_rows(named=True):
        kind = verdict(row)
        counts[kind] = counts.get(kind, 0) + 1
    tags = [
        markup.tag(f"{count} {words[f'verdict_{kind}']}", "warn" if kind == "against" else "")
        for kind, count in sorted(counts.items())
    ]
    return Markup(" ").join(tags)


def verdict(row: Mapping[str, Any]) -> str:
    """What it said: `with` or `against` OmniScore, `side`, `tie`, `unusable`, `skip`, `undo`."""
    if row["outcome"] != "preference":
        return "unusable" if row["unusable"] else row["outcome"]
    if row["best"] is None:
        return "side"
    return "with" if row["preferred"] == row["best"] else "against"


def _votes(visit: Visit, found: Found) -> Markup:
    words = visit.words
    columns = [
        Column(words["when"]),
        Column(words["person"]),
        Column(words["answer"]),
        Column(words["mode"]),
        Column(words["seconds"], number=True),
        Column(words["prompt"]),
        Column(words["comment"]),
    ]
    rows = [_vote(visit, row) for row in found.rows.iter_rows(named=True)]
    return markup.table(words["view_votes"], columns, rows)


def _vote(visit: Visit, row: Mapping[str, Any]) -> tuple[object, ...]:
    words, kind = visit.words, verdict(row)
    gone = "" if row["stands"] or row["outcome"] == "undo" else markup.tag(words["replaced"])
    answer = markup.tag(words[f"verdict_{kind}"], "warn" if kind == "against" else "")
    person = address("pairs", view="votes", person=row["annotator"])
    return (
        markup.moment(row["time_ms"]),
        markup.link(person, visit.name(row["annotator"])),
        Markup("{} {}").format(answer, gone),
        words[f"mode_{row['mode'] or row['exposure']}"],
        markup.seconds(row["seconds"]),
        markup.link(address("pair", id=row["pair"]), markup.words(row["text"] or "", longest=80)),
        markup.words(row["reason"] or "", longest=120),
    )


def _clips(visit: Visit, found: Found) -> Markup:
    words = visit.words
    shas = found.rows["sha256"].to_list()
    scored = totals(visit.desk.store, shas)
    columns = [
        Column(words["prompt"]),
        Column(words["clip"]),
        Column(words["model"]),
        Column(words["seed"], number=True),
        Column("OmniScore", number=True),
        Column(words["size"], number=True),
    ]
    rows = [
        (
            markup.link(address("pairs", text=row["text"] or ""), markup.words(row["text"] or "")),
            markup.video(
                visit.clip(row["sha256"]),
                row["sha256"][:12],
                width=row["width"],
                height=row["height"],
            ),
            " / ".join(part for part in (row["model"], row["adapter"]) if part) or markup.DASH,
            markup.DASH if row["seed"] is None else row["seed"],
            scored.get(row["sha256"], markup.DASH),
            f"{row['width']}×{row['height']}, {row['frames']} @ {row['fps']:g}/s",
        )
        for row in found.rows.iter_rows(named=True)
    ]
    table = markup.table(words["view_clips"], columns, rows)
    return Markup('<div data-broken="{}">{}</div>').format(words["broken_short"], table)


_VIEWS: dict[str, tuple[Callable[..., Found], Callable[[Visit, Found], Markup]]] = {
    "pairs": (finding.pairs, _pairs),
    "votes": (finding.votes, _votes),
    "clips": (finding.clips, _clips),
}

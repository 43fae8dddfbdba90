"""Overview: how far the campaigns are, how fast people answer, and what each person did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from markupsafe import Markup

from annotate.lead import markup
from annotate.lead.frame import Site, Visit, address, block
from annotate.lead.markup import Column, seconds, share
from data.effort import MODES, Effort
from data.progress import Progress, days


def page(site: Site, load: Callable[..., Any]) -> None:
    """Lay the page out."""
    body = block()
    site.on(load, shown, [], [body])


def shown(visit: Visit) -> Markup:
    """The whole page."""
    reading = visit.reading
    if not len(reading.pairs):
        return visit.top("") + visit.beginning()
    parts = [_figures(visit), _campaigns(visit, reading.progress), _pace(visit)]
    parts += [_people(visit, reading.efforts), _days(visit)]
    return visit.top("") + markup.joined(parts)


def _figures(visit: Visit) -> Markup:
    reading, words = visit.reading, visit.words
    answers = sum(one.answers for one in reading.progress)
    full = sum(one.full for one in reading.progress)
    pairs = sum(one.pairs for one in reading.progress)
    return markup.figures(
        {
            words["answers"]: f"{answers:,}",
            words["pairs_full"]: f"{full:,} / {pairs:,}",
            words["people"]: str(len(reading.efforts)),
            words["left_out"]: str(len(reading.left_out)),
        }
    )


def _campaigns(visit: Visit, every: Iterable[Progress]) -> Markup:
    words, campaigns = visit.words, visit.reading.campaigns
    columns = [
        Column(words["campaign"]),
        Column(words["progress"]),
        Column(words["pairs"], number=True),
        Column(words["wanted"], number=True),
        Column(words["full"], number=True),
        Column(words["begun"], number=True),
        Column(words["split"], number=True),
        Column(words["answers"], number=True),
        Column(words["people"], number=True),
    ]
    rows = [
        (
            _campaign(visit, one.campaign, paused=campaigns[one.campaign].paused),
            _bar(one, words),
            f"{one.pairs:,}", one.wanted, f"{one.full:,}", f"{one.begun:,}",
            markup.link(address("pairs", campaign=one.campaign, state="split"), one.split)
            if one.split else 0,
            f"{one.answers:,}", one.people,
        )
        for one in every
    ]  # fmt: skip
    table = markup.table(words["campaigns"], columns, rows)
    return markup.section(words["campaigns"], table, note=words["campaigns_note"])


def _campaign(visit: Visit, name: str, *, paused: bool) -> Markup:
    mark = markup.tag(visit.words["paused"], "warn") if paused else ""
    return Markup("{} {}").format(markup.link(address("pairs", campaign=name), name), mark)


def _bar(one: Progress, words: dict[str, str]) -> Markup:
    done = one.full / one.pairs if one.pairs else 0.0
    return Markup(
        '<span class=ll-done role=img aria-label="{}"><i style="--at:{:.1f}%"></i></span> {}'
    ).format(f"{words['full']}: {markup.percent(done)}", 100 * done, markup.percent(done))


def _pace(visit: Visit) -> Markup:
    words, paces = visit.words, visit.reading.paces
    columns = [
        Column(words["mode"]),
        Column(words["answers"], number=True),
        Column(words["median"], number=True),
        Column(words["slow"], number=True),
    ]
    rows = [
        (words[f"mode_{mode}"], f"{paces[mode].answers:,}", seconds(paces[mode].median),
         seconds(paces[mode].slow))
        for mode in MODES
    ]  # fmt: skip
    table = markup.table(words["pace"], columns, rows)
    return markup.section(words["pace"], table, note=words["pace_note"])


def _days(visit: Visit) -> Markup:
    words, found = visit.words, days(visit.reading.rows)
    if not found:
        return Markup("")
    most = max(answers for _, answers, _ in found)
    bar = Markup(
        '<span class="ll-done ll-wide" aria-hidden=true><i style="--at:{:.1f}%"></i></span>'
    )
    once = Markup("<span class=ll-id>{}</span>")
    columns = [
        Column(words["day"]),
        Column(words["answers"], number=True),
        Column(words["people"], number=True),
        Column(""),
    ]
    rows = [
        (once.format(day), f"{answers:,}", people, bar.format(100 * answers / most))
        for day, answers, people in found
    ]
    table = markup.table(words["per_day"], columns, rows)
    return markup.section(words["per_day"], table, note=words["per_day_note"])


def _people(visit: Visit, every: Sequence[Effort]) -> Markup:
    words = visit.words
    columns = [
        Column(words["person"]),
        Column(words["answers"], number=True),
        Column(words["median"], number=True),
        Column(words["slow"], number=True),
        Column(words["ties"], number=True),
        Column(words["unusable"], number=True),
        Column(words["skips"], number=True),
        Column(words["newest"]),
    ]
    if not every:
        return markup.empty(words["nobody_title"], words["nobody"])
    did = markup.table(words["people"], columns, [_did(visit, one) for one in every])
    shares = ("agree_blind", "agree_shown", "hasty", "left_share", "gold", "repeats")
    columns = [Column(words["person"]), *(Column(words[name]) for name in shares)]
    said = markup.table(words["people_said"], columns, [_said(visit, one) for one in every])
    return markup.section(words["people"], did, said, note=words["people_note"])


def _did(visit: Visit, one: Effort) -> tuple[object, ...]:
    return (
        _person(visit, one),
        f"{one.answers:,}", seconds(one.pace.median), seconds(one.pace.slow),
        one.ties, one.unusable, one.skips, markup.moment(one.newest_ms),
    )  # fmt: skip


def _said(visit: Visit, one: Effort) -> tuple[object, ...]:
    return (
        _marked(visit, one),
        share(one.blind, middle=True), share(one.shown, middle=True), share(one.hasty),
        share(one.left, middle=True), share(one.gold), share(one.repeats),
    )  # fmt: skip


def _person(visit: Visit, one: Effort) -> Markup:
    name = visit.name(one.annotator)
    return markup.link(address("pairs", view="votes", person=one.annotator), name)


def _marked(visit: Visit, one: Effort) -> Markup:
    words = visit.words
    marks = [
        markup.tag(words["left_out_mark"], "warn") if not one.counts else "",
        markup.tag(words["rubber"], "warn") if one.rubber_stamps else "",
    ]
    return Markup("{} {}").format(visit.name(one.annotator), markup.joined(marks))

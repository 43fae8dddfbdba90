"""Decisions about the work: whose votes count, which campaign pauses, what is asked again.

Each is a new record, written by the same functions as by `python -m annotate.campaign`, with the
lead's name on it; nothing is deleted, and every one can be taken back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr
from markupsafe import Markup

from annotate import deciding
from annotate.lead import markup
from annotate.lead.frame import Site, Visit, block
from annotate.lead.markup import Column
from annotate.lead.reading import Reading
from data.errors import UserError
from data.records import Decision

_SHOWN = 30
"""Decisions in the list."""
_PEOPLE, _CAMPAIGNS = ("exclude", "include"), ("pause", "resume", "requeue")


def page(site: Site, load: Callable[..., Any]) -> None:
    """Lay the page out: people, campaigns, pairs, and what was decided before."""
    top, said = block(), block()
    people = block()
    with gr.Row(elem_classes="ll-filters"):
        who = gr.Dropdown([], label="·", scale=2)
        person_buttons = {name: gr.Button("·", min_width=160) for name in (*_PEOPLE, "again")}
    campaigns = block()
    with gr.Row(elem_classes="ll-filters"):
        name = gr.Dropdown([], label="·", scale=2)
        campaign_buttons = {act: gr.Button("·", min_width=160) for act in _CAMPAIGNS}
    pairs = block()
    with gr.Row(elem_classes="ll-filters"):
        pair = gr.Textbox(label="·", max_lines=1, scale=2)
        pair_button = gr.Button("·", min_width=160)
    past = block()
    buttons = [*person_buttons.values(), *campaign_buttons.values(), pair_button]
    changing = [said, people, campaigns, past]
    site.on(load, opened, [], [top, *changing, pairs, who, name, pair, *buttons])
    for act in _PEOPLE:
        site.on(person_buttons[act].click, _about_person(act), [who], changing)
    site.on(person_buttons["again"].click, ask_again_of_person, [name, who], changing)
    for act in _CAMPAIGNS:
        site.on(campaign_buttons[act].click, _about_campaign(act), [name], changing)
    site.on(pair_button.click, ask_again, [pair], changing)


def opened(visit: Visit) -> tuple[Any, ...]:
    """The page with what there is to choose from."""
    words, reading = visit.words, visit.reading
    everybody = sorted({*reading.votes["annotator"].unique(), *reading.left_out})
    names = list(reading.campaigns)
    who = gr.Dropdown(
        choices=[(visit.name(one), one) for one in everybody],
        value=None,
        label=words["person"],
    )
    name = gr.Dropdown(choices=names, value=names[0] if names else None, label=words["campaign"])
    pair = gr.Textbox(value=visit.query.get("pair", ""), label=words["pair_id"])
    labels = [*_PEOPLE, "again_person", *_CAMPAIGNS, "again_pair"]
    buttons = [gr.Button(value=words[f"do_{label}"]) for label in labels]
    heading = Markup("<h2>{}</h2><p class=ll-quiet>{}</p>").format(
        words["pairs"], words["again_note"]
    )
    _, people, campaigns, past = _state(visit, reading, "")
    return (visit.top("work"), "", people, campaigns, past, heading, who, name, pair, *buttons)


def _about_person(act: str) -> Callable[[Visit, str | None], tuple[Markup, ...]]:
    def decide(visit: Visit, who: str | None) -> tuple[Markup, ...]:
        if not who:
            return _refused(visit, visit.words["choose_person"])
        count = partial(deciding.count, who=who, counts=act == "include")
        return _decide(visit, f"done_{act}", visit.name(who), count)

    return decide


def _about_campaign(act: str) -> Callable[[Visit, str | None], tuple[Markup, ...]]:
    def decide(visit: Visit, name: str | None) -> tuple[Markup, ...]:
        if not name:
            return _refused(visit, visit.words["choose_campaign"])
        pause = partial(deciding.pause, name=name, paused=act == "pause")
        split = partial(deciding.requeue, name=name, split=True)
        return _decide(visit, f"done_{act}", name, split if act == "requeue" else pause)

    return decide


def ask_again_of_person(visit: Visit, name: str | None, who: str | None) -> tuple[Markup, ...]:
    """Ask one person more for every pair of a campaign that somebody answered."""
    if not who or not name:
        return _refused(visit, visit.words["choose_person"])
    return _decide(visit, "done_requeue", name, partial(deciding.requeue, name=name, who=who))


def ask_again(visit: Visit, pair: str) -> tuple[Markup, ...]:
    """Ask one person more for one pair."""
    found = visit.desk.store.pair(pair.strip()) if pair.strip() else None
    if found is None:
        return _refused(visit, visit.words["pair_none"])
    requeue = partial(deciding.requeue, name=found.campaign, pair=found.id)
    return _decide(visit, "done_requeue", found.campaign, requeue)


def _decide(
    visit: Visit, done: str, about: str, act: Callable[..., list[str]]
) -> tuple[Markup, ...]:
    store = visit.desk.store
    before = store.count("decisions")
    try:
        act(store, by=visit.person.id)
    except UserError as error:
        return _refused(visit, str(error))
    said = visit.words[done].format(about=about, number=store.count("decisions") - before)
    reading = visit.readings.newest(now=True)
    return _state(visit, reading, Markup("<p class=ll-told role=status>{}</p>").format(said))


def _refused(visit: Visit, why: str) -> tuple[Markup, ...]:
    said = Markup("<p class=ll-refused role=alert>{}</p>").format(why)
    return _state(visit, visit.reading, said)


def _state(visit: Visit, reading: Reading, said: Markup | str) -> tuple[Markup, ...]:
    return (
        Markup(said),
        _people(visit, reading),
        _campaigns(visit, reading),
        _past(visit, reading),
    )


def _people(visit: Visit, reading: Reading) -> Markup:
    words = visit.words
    out = [visit.name(who) for who in sorted(reading.left_out)]
    told = words["out_now"].format(people=", ".join(out)) if out else words["nobody_out"]
    return Markup("<h2>{}</h2><p class=ll-quiet>{}</p><p>{}</p>").format(
        words["people"], words["people_note_work"], told
    )


def _campaigns(visit: Visit, reading: Reading) -> Markup:
    words = visit.words
    columns = [
        Column(words["campaign"]),
        Column(words["state"]),
        Column(words["wanted"], number=True),
    ]
    columns += [Column(words[f"share_{one}"], number=True) for one in ("blind", "gold", "repeat")]
    columns += [Column(words["order"])]
    rows = [
        (
            one.name,
            markup.tag(words["paused"], "warn") if one.paused else words["open"],
            one.redundancy if one.most is None else f"{one.redundancy} … {one.most}",
            markup.percent(one.blind), markup.percent(one.gold), markup.percent(one.repeat),
            one.order,
        )
        for one in reading.campaigns.values()
    ]  # fmt: skip
    return markup.section(
        words["campaigns"],
        markup.table(words["campaigns"], columns, rows),
        note=words["campaigns_note_work"],
    )


def _past(visit: Visit, reading: Reading) -> Markup:
    words = visit.words
    columns = [Column(words["when"]), Column(words["what"]), Column(words["by"])]
    rows = [
        (markup.moment(one.time_ms), _decision(visit, one), visit.name(one.by))
        for one in reversed(reading.decisions[-_SHOWN:])
    ]
    if not rows:
        return markup.section(words["past"], Markup("<p>{}</p>").format(words["past_none"]))
    return markup.section(words["past"], markup.table(words["past"], columns, rows))


def _decision(visit: Visit, one: Decision) -> Markup:
    subject = visit.name(one.subject) if one.topic == "person" else one.subject
    small = {key: value for key, value in one.values.items() if value not in ("", [], None)}
    marks = []
    if one.topic == "person" and (counts := small.pop("counts", None)) is not None:
        marks = [visit.words["counted_mark" if counts else "left_out_mark"]]
    told = ", ".join([*marks, *(f"{key} {value}" for key, value in small.items())])
    topic = visit.words[f"topic_{one.topic}"]
    return Markup("<b>{} {}</b> {}").format(topic, subject, markup.words(told, longest=160))

"""One pair: both clips, what OmniScore says, and every vote on it with its history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import polars as pl
from markupsafe import Markup

from annotate.casting import comment_of
from annotate.lead import markup
from annotate.lead.browser import verdict
from annotate.lead.frame import Site, Visit, address, block
from annotate.lead.markup import Column
from annotate.lead.reading import opinion
from annotate.opinion import Bar, Opinion
from data.records import Candidate, Pair, Prompt, Vote

_TOGETHER = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-both]');
  if (!button) return;
  const clips = [...element.querySelectorAll('video')];
  const still = clips.every((clip) => clip.paused || clip.ended);
  for (const clip of clips) {
    if (!still) { clip.pause(); continue; }
    clip.currentTime = 0;
    clip.play();
  }
});
"""


def page(site: Site, load: Callable[..., Any]) -> None:
    """Lay the page out."""
    body = block(script=_TOGETHER)
    site.on(load, shown, [], [body])


def shown(visit: Visit) -> Markup:
    """The page of the pair that the address names."""
    words, wanted = visit.words, visit.query.get("id", "")
    store = visit.desk.store
    pair = store.pair(wanted) if wanted else None
    top = visit.top("pair")
    if pair is None:
        return top + markup.empty(words["pair_none_title"], words["pair_none"])
    prompt = store.get("prompts", pair.prompt)
    text = prompt.text if isinstance(prompt, Prompt) else pair.prompt
    said = Markup("<blockquote class=ll-prompt dir=auto>{}</blockquote>").format(text)
    parts = [said, _image(visit, pair), _clips(visit, pair), _score(visit, pair)]
    return top + markup.joined([*parts, _votes(visit, pair), _facts(visit, pair)])


def _image(visit: Visit, pair: Pair) -> Markup:
    """The image that both clips begin with, a link to it in full; nothing where there is none."""
    digest = visit.desk.beginnings.of(pair.a, pair.b)
    if digest is None:
        return Markup("")
    return Markup(
        '<div class=ll-first data-broken="{}"><a href="{}"><img src="{}" alt="{}"></a></div>'
    ).format(visit.words["image_gone"], *[visit.image(digest)] * 2, visit.words["image"])


def _clips(visit: Visit, pair: Pair) -> Markup:
    words = visit.words
    figures = [
        Markup("<figure><figcaption><b>{}</b> {}</figcaption>{}<p class=ll-quiet>{}</p></figure>")
        .format(letter, markup.tag(words["best"], "good") if clip == pair.best else "",
                _video(visit, clip, letter), _origin(visit, clip))
        for letter, clip in (("A", pair.a), ("B", pair.b))
    ]  # fmt: skip
    return Markup(
        '<section class=ll-clips data-broken="{}"><h2 class=ll-unseen>{}</h2><div>{}</div>'
        "<button type=button data-both>{}</button></section>"
    ).format(words["broken"], words["clips"], markup.joined(figures), words["play_both"])


def _video(visit: Visit, clip: str, letter: str) -> Markup:
    label = visit.words["clip_of"].format(letter=letter)
    known = visit.desk.store.get("candidates", clip)
    width, height = (known.width, known.height) if isinstance(known, Candidate) else (0, 0)
    return markup.video(visit.clip(clip), label, width=width, height=height)


def _origin(visit: Visit, sha256: str) -> str:
    clip = visit.desk.store.get("candidates", sha256)
    if not isinstance(clip, Candidate):
        return visit.words["clip_unknown"]
    made = [clip.model, clip.adapter, "" if clip.seed is None else f"seed {clip.seed}"]
    size = f"{clip.width}×{clip.height}, {clip.frames} @ {clip.fps:g}/s"
    return " · ".join(part for part in (*made, size) if part)


def _score(visit: Visit, pair: Pair) -> Markup:
    words = visit.words
    profile = visit.desk.campaign(pair.campaign).profile
    found = opinion(visit.desk.store, pair, profile=profile)
    if found is None:
        return markup.section("OmniScore", Markup("<p>{}</p>").format(words["unscored"]))
    columns = [
        Column(words["dimension"]),
        Column("A", number=True),
        Column("B", number=True),
        Column(words["raw_a"], number=True),
        Column(words["raw_b"], number=True),
        Column(words["range"], number=True),
    ]
    total = (words["total"], _number(found.left), _number(found.right), "", "", "")
    rows = [total, *(_bar(words, bar) for bar in found.bars)]
    return markup.section(
        "OmniScore", markup.table("OmniScore", columns, rows), note=_told(words, pair, found)
    )


def _told(words: dict[str, str], pair: Pair, found: Opinion) -> str:
    parts = [words["profile"].format(profile=found.profile)]
    if pair.margin is not None:
        parts.append(words["margin_is"].format(margin=f"{pair.margin:.3f}"))
    if found.probability is not None:
        parts.append(words["probability_is"].format(share=markup.percent(found.probability)))
    if found.heuristic:
        parts.append(words["heuristic"])
    return " ".join(parts)


def _bar(words: dict[str, str], bar: Bar) -> tuple[object, ...]:
    mark = markup.tag(words["heuristic_mark"]) if bar.heuristic else ""
    ends = markup.DASH if bar.low is None or bar.high is None else f"{bar.low:.3g} … {bar.high:.3g}"
    return (
        Markup("{} {}").format(bar.label, mark),
        _number(bar.left),
        _number(bar.right),
        _number(bar.raw_left),
        _number(bar.raw_right),
        ends,
    )


def _number(value: float | None) -> str:
    return markup.DASH if value is None else f"{value:.3f}"


def _votes(visit: Visit, pair: Pair) -> Markup:
    words, votes = visit.words, visit.desk.store.votes_on(pair.id)
    columns = [
        Column(words["person"]),
        Column(words["when"]),
        Column(words["answer"]),
        Column(words["mode"]),
        Column(words["seconds"], number=True),
        Column(words["left"]),
        Column(words["answers_by"]),
        Column(words["comment"]),
    ]
    rows = [_vote(visit, pair, vote, votes) for vote in _by_person(votes)]
    if not rows:
        return markup.section(words["votes"], Markup("<p>{}</p>").format(words["votes_none"]))
    return markup.section(
        words["votes"], markup.table(words["votes"], columns, rows), note=words["votes_note"]
    )


def _by_person(votes: Sequence[Vote]) -> Iterable[Vote]:
    """Each person's history together, oldest first; people in the order of their first vote."""
    order = {vote.annotator: place for place, vote in reversed(list(enumerate(votes)))}
    return sorted(votes, key=lambda vote: (order[vote.annotator], vote.time_order))


def _vote(visit: Visit, pair: Pair, vote: Vote, every: Sequence[Vote]) -> tuple[object, ...]:
    words = visit.words
    person = markup.link(
        address("pairs", view="votes", person=vote.annotator), visit.name(vote.annotator)
    )
    left_out = vote.annotator in visit.reading.left_out
    return (
        Markup("{} {}").format(
            person, markup.tag(words["left_out_mark"], "warn") if left_out else ""
        ),
        markup.moment(vote.time_ms),
        _answer(words, pair, vote, every),
        words[f"mode_{_mode(vote, every)}"],
        markup.seconds(vote.seconds),
        _letter(pair, vote.left),
        ", ".join(f"{key}: {said}" for key, said in vote.answers.items()) or markup.DASH,
        markup.words(comment_of(vote)),
    )


def _answer(words: dict[str, str], pair: Pair, vote: Vote, every: Sequence[Vote]) -> Markup:
    kind = verdict(
        {
            "outcome": vote.outcome,
            "unusable": vote.unusable,
            "best": pair.best,
            "preferred": vote.preferred,
        }
    )
    chosen = _letter(pair, vote.preferred) if vote.preferred else ""
    newer = next((other for other in every if other.revises == vote.id), None)
    gone = "" if newer is None else words["undone" if newer.outcome == "undo" else "replaced"]
    strength = words[f"strength_{vote.strength}"] if vote.strength else ""
    said = markup.tag(words[f"verdict_{kind}"], "warn" if kind == "against" else "")
    return Markup("<b>{}</b> {} {} {}").format(
        chosen, strength, said, markup.tag(gone) if gone else ""
    )


def _mode(vote: Vote, every: Sequence[Vote]) -> str:
    before = next((other for other in every if other.id == vote.revises), None)
    revealed = before is not None and before.exposure == "blind" and vote.exposure == "shown"
    return "reveal" if revealed else vote.exposure


def _letter(pair: Pair, clip: str) -> str:
    return "A" if clip == pair.a else "B"


def _facts(visit: Visit, pair: Pair) -> Markup:
    words, reading = visit.words, visit.reading
    known = reading.gold.get(pair.id)
    wanted = (
        reading.campaigns[pair.campaign].redundancy if pair.campaign in reading.campaigns else 1
    )
    tally = reading.tally.filter(pl.col("pair") == pair.id)
    named = [
        (words["pair_id"], Markup("<code>{}</code>").format(pair.id)),
        (words["campaign"], pair.campaign),
        (words["strategy"], pair.strategy or markup.DASH),
        (words["answers"], f"{tally['answers'].sum()} / {wanted}"),
    ]
    if known is not None:
        expected = words["tie"] if known.expected is None else _letter(pair, known.expected)
        named.append((words["expected"], f"{expected} ({known.kind})"))
    work = markup.link(address("work", pair=pair.id), words["requeue_this"])
    return markup.section(words["about_pair"], markup.facts(named), work)

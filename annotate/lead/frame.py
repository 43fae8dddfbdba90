"""What every page of a lead has: who is asking, the words, the way to the other pages.

A function that Gradio calls goes through `Site.event`, which refuses everybody but leads before it
does anything: hiding a page or a button protects nothing, because every event of Gradio answers to
a raw POST.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

import gradio as gr
from markupsafe import Markup

from annotate import rights
from annotate.desk import Desk
from annotate.idle import Counts, explain
from annotate.lead import markup, reading
from annotate.lead.markup import joined, link
from annotate.lead.reading import Reading, Readings
from annotate.lead.reports import Reports
from annotate.rights import Person
from annotate.words import Words, spoken
from data.store import places

Act = Callable[..., Any]
PAGES = ("", "agreement", "pairs", "work", "runs", "export")
"""Paths under `/lead/`, in the order of the navigation; their words are under `nav_<path>`."""


@dataclass(frozen=True)
class Visit:
    """One request of a lead."""

    desk: Desk
    readings: Readings
    reports: Reports
    person: Person
    language: Words
    """The visitor's."""
    query: dict[str, str]
    """Of the page's address."""

    @property
    def words(self) -> dict[str, str]:
        """The table LEAD of the visitor's language."""
        return self.language.LEAD

    @property
    def reading(self) -> Reading:
        """The database as it is, or was some seconds ago."""
        return self.readings.newest()

    def name(self, annotator: str) -> str:
        """How an annotator is called."""
        return self._names.get(annotator, annotator)

    @cached_property
    def _names(self) -> dict[str, str]:
        return reading.names(self.desk)

    def clip(self, sha256: str) -> str:
        """The address of a clip for this lead, from a page under `/lead/`."""
        return f"../clip/{self.desk.seal.token(self.person.id, sha256)}"

    def image(self, digest: str) -> str:
        """The address of a first image for this lead, from a page under `/lead/`."""
        return f"../image/{self.desk.seal.token(self.person.id, digest)}"

    def beginning(self) -> Markup:
        """What a page says of a database without pairs."""
        counts = Counts(
            candidates=len(self.reading.clips), scored=self.desk.store.count("scores"),
            pairs=0, other_campaigns=(), answered=0,
        )  # fmt: skip
        idle = explain(counts, db=self.db, campaign="", redundancy=1, words=self.language)
        steps = [(step.text, step.command) for step in idle.steps]
        return markup.empty(idle.title, idle.text, steps)

    @property
    def db(self) -> str:
        """The database's name for commands: nothing secret in it."""
        return places.spoken(self.desk.db)

    def top(self, page: str, *, title: str = "") -> Markup:
        """Navigation and heading of a page.

        Args:
            page: One of `PAGES`, which is marked; any other string marks none.
            title: The heading; the page's name in the navigation by default.
        """
        entries = [_entry(path, self.words[f"nav_{path}"], here=path == page) for path in PAGES]
        entries.append(link("../", self.words["nav_vote"]))
        return Markup(
            '<nav class=ll-nav aria-label="{}">{}</nav><h1 class=ll-title>{}</h1>'
        ).format(self.words["nav_label"], joined(entries), title or self.words[f"nav_{page}"])


def _entry(path: str, text: str, *, here: bool) -> Markup:
    current = Markup(" aria-current=page") if here else ""
    return Markup('<a href="./{}"{}>{}</a>').format(path, current, text)


def address(page: str, **query: str) -> str:
    """The address of a page with its query, relative to any page under `/lead/`."""
    filled = {key: value for key, value in query.items() if value}
    return f"./{quote(page)}" + (f"?{urlencode(filled)}" if filled else "")


_ALIVE = """
const alive = () => {
  const heading = element.querySelector('h1');
  if (heading) document.title = `${heading.textContent} · Second Look`;
};
watch('value', alive);
const near = new IntersectionObserver((seen) => {
  for (const { target } of seen.filter((one) => one.isIntersecting)) {
    near.unobserve(target);
    target.preload = 'metadata';
  }
}, { rootMargin: '300px' });
const list = () => {
  for (const clip of element.querySelectorAll('video[preload=none]')) near.observe(clip);
};
list();
watch('value', list);
element.addEventListener('error', (event) => {
  const note = event.target.closest('[data-broken]');
  if (note) {
    const gone = event.target.closest('a') ?? event.target;
    gone.replaceWith(Object.assign(document.createElement('p'), {
      textContent: note.dataset.broken, className: 'll-broken',
    }));
  }
}, true);
"""
"""The window is called like the heading; a clip is fetched, as far as its first frame, once it is
near the window, so that a page of many asks for few; what cannot be shown says so.
"""


def block(*, script: str = "") -> gr.HTML:
    """A part of a page that we write ourselves, without Gradio's rules for tables and links."""
    return gr.HTML(apply_default_css=False, padding=False, js_on_load=_ALIVE + script)


def _inner(request: gr.Request) -> Any:
    """Starlette's request in Gradio's."""
    return request.request


@dataclass(frozen=True)
class Site:
    """What the pages share."""

    desk: Desk
    readings: Readings
    reports: Reports

    def visit(self, request: gr.Request) -> Visit:
        """The visit of a lead.

        Raises:
            BarredError: it is somebody else.
        """
        person = rights.lead_only(request)
        query = {str(key): str(value) for key, value in (request.query_params or {}).items()}
        language = spoken(_inner(request))
        return Visit(self.desk, self.readings, self.reports, person, language, query)

    def event(self, act: Act, outputs: Sequence[Any]) -> Act:
        """`act(visit, *inputs)` as a function of its own for Gradio.

        Whoever is no lead gets the reason as the first output (an HTML component in all pages), and
        nothing else changes.
        """

        def called(request: gr.Request, *inputs: Any) -> Any:
            try:
                visit = self.visit(request)
            except rights.BarredError as barred:
                said = barred.said(spoken(_inner(request)))
                why = Markup('<p class=ll-refused role=alert>{} <a href="../">{}</a></p>').format(
                    said, "Second Look"
                )
                return why if len(outputs) == 1 else (why, *[gr.skip()] * (len(outputs) - 1))
            return act(visit, *inputs)

        called.__name__ = act.__name__.strip("_")
        return called

    def on(
        self, trigger: Callable[..., Any], act: Act, inputs: Sequence[Any], outputs: Sequence[Any]
    ) -> Any:
        """Call `act` when `trigger` (such as `button.click`) fires; what comes `then`.

        Any number of leads at once; the newest of several quick changes is the one that is shown.
        """
        return trigger(
            self.event(act, outputs),
            list(inputs),
            list(outputs),
            api_visibility="private",
            show_progress="hidden",
            trigger_mode="always_last",
            concurrency_limit=8,
        )

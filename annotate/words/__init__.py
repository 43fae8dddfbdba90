"""Every sentence that the app says to a person, by language: a translation is files like `de*.py`.

`words(language)` gives a language's tables; what the browser or the person asked for is matched by
`choose`. The tables of each language have the same names, keys and placeholders (a test holds them
to it). Commands shown to people are built in `annotate/idle.py` and are the same everywhere; texts
that come from the database (prompts, guidelines, names of people) are nobody's to translate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Protocol

from fastapi import Depends, Request

from annotate.words import de, en
from data.errors import UserError

Table = Mapping[str, str]


class Words(Protocol):
    """The tables of one language."""

    NAME: str
    """The language's own name for itself."""
    PAGE: dict[str, str]
    """Fills `static/page.html` on the server, and is handed to the script as data."""
    MISSING: dict[str, str]
    """Names of OmniScore's dimensions by key (the profile carries the English ones too)."""
    STAND_INS: dict[str, str]
    """Names of the classical measures that stand in for dimensions, by the dimension's key."""
    IDLE: dict[str, str]
    """What is said when there is no pair to show (`annotate/idle.py`)."""
    ERRORS: dict[str, str]
    """Why something was refused (`RefusedError`)."""
    QUESTIONS: dict[str, str]
    """Per question key (`annotate/questions.py`): its text; `<key>_name`, `<key>_rule`."""
    FLAGS: dict[str, str]
    """What can be marked on a pair, by key."""
    SKIPS: dict[str, str]
    """Why a pair can be skipped, by key."""
    LEAD: dict[str, str]
    """The lead's pages (`annotate/lead/`), in a file beside the language's own."""
    NOTICES: dict[str, str]
    """What is told in passing, by kind (`annotate/pauses.py`)."""


LANGUAGES: dict[str, Words] = {"en": en, "de": de}
ENGLISH: Words = en


def words(language: str) -> Words:
    """The tables of `language`, such as `de`; English for one that there is no table for."""
    return LANGUAGES.get(language, ENGLISH)


def choose(accepted: str | None, default: str = "en") -> str:
    """The best language for an `Accept-Language` header, such as `de-AT,de;q=0.9,en;q=0.8`.

    Unknown languages are passed over; equal weights keep the header's order; `default` where
    nothing fits.
    """
    wanted: list[tuple[float, str]] = []
    for part in (accepted or "").split(","):
        tag, _, weight = part.strip().partition(";q=")
        language = tag.partition("-")[0].lower()
        if language in LANGUAGES and (parsed := _weight(weight)) > 0:
            wanted.append((parsed, language))
    return max(wanted, key=lambda one: one[0], default=(0.0, default))[1]


def _weight(text: str) -> float:
    if not text:
        return 1.0
    return float(text) if text.replace(".", "", 1).isdigit() else 0.0


def spoken(request: Request) -> Words:
    """The words for this request: `?lang=`, else its `Accept-Language`.

    The page sends the language that it is shown in, which the app's `--language` may have set.
    """
    asked = request.query_params.get("lang")
    default = getattr(request.app.state, "language", "en")
    header = request.headers.get("accept-language")
    return words(asked if asked in LANGUAGES else choose(header, default))


Spoken = Annotated[Words, Depends(spoken)]
"""For a route's signature: the words in which it answers."""


class RefusedError(UserError):
    """A refusal by its key in `ERRORS`: reads in English, and can be said in every language."""

    def __init__(self, key: str, **values: object) -> None:
        self.key, self.values = key, values
        super().__init__(self.said(ENGLISH))

    def said(self, words: Words) -> str:
        """The same refusal in these words."""
        return words.ERRORS[self.key].format(**self.values)

"""What browser and server say to each other: every field that crosses the line, and no other.

Nothing about a blind pair leaves before its answer: a `ShownPair` is built field by field, so what
is not named here cannot leak.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from annotate.idle import Idle
from annotate.opinion import Opinion
from annotate.protocol import Answer, Progress


class Me(BaseModel):
    """Who the annotator says they are."""

    name: str = Field(max_length=1000)


class Known(BaseModel):
    """Whom the cookie names; nobody on a first visit."""

    annotator: str | None


class ShownPair(BaseModel):
    """A pair on the page. No score, model, seed, path or file name: URLs are opaque tokens."""

    ticket: str
    prompt: str
    left: str
    """Address of the clip, relative to the page."""
    right: str
    fps: float
    opinion: Opinion | None
    scored: bool
    """Whether there will be a score to see after the answer (or now)."""


class Page(BaseModel):
    """Everything that the browser needs to show what comes next."""

    annotator: str
    progress: Progress
    pair: ShownPair | None = None
    idle: Idle | None = None
    preload: list[str] = []
    """Addresses of the clips that probably come next."""


class Cast(BaseModel):
    """An answer. `id` is minted by the browser when the pair is shown, so a retry counts once."""

    id: UUID
    ticket: str = Field(max_length=2000)
    answer: Answer
    answers: dict[str, Literal["left", "right", "tie"]] = {}
    reason: str = Field(default="", max_length=2000)
    seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    watched: dict[str, float] = Field(default={}, max_length=20)


class Reveal(BaseModel):
    """What a blind answer is followed by: the score, and the right to keep or change."""

    ticket: str
    answer: Answer
    opinion: Opinion


class Taken(BaseModel):
    """A vote that is on the disk."""

    status: Literal["stored", "duplicate"]
    reveal: Reveal | None = None
    page: Page


class Undo(BaseModel):
    """Take back `vote`; `id` is minted by the browser."""

    id: UUID
    vote: UUID

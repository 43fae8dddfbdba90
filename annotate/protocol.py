"""The words of one annotator's work: how a campaign is asked, what is shown, what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from annotate.opinion import AUTO, Opinion
from data.records import Exposure, Pair

Answer = Literal["left", "right", "tie", "unusable", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How a campaign is annotated."""

    campaign: str = "default"
    blind: float = 0.2
    """Share of pairs that are answered before the score is seen, in [0, 1]."""
    redundancy: int = 1
    """People per pair, at least 1."""
    profile: str = AUTO
    """OmniScore profile on the page; `auto` takes the pair's own."""
    order: str = "unvoted-first"
    """A name in `annotate.order.ORDERS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """A pair as one annotator sees it."""

    pair: Pair
    prompt: str
    left: str
    """Hash of the clip on the left."""
    right: str
    fps: float
    """Of the faster clip: one step of the frame keys is one of its frames."""
    exposure: Exposure
    opinion: Opinion | None
    """None on a blind pair and on one without scores: there is nothing in here to leak."""
    scored: bool
    """Whether there is a score: here already, or to come after a blind answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """An answer as it came from the browser, with what its ticket says."""

    id: str
    """The browser's UUID."""
    pair: str
    exposure: Exposure
    revises: str | None = None
    """The blind vote that this keeps or changes."""
    answer: Answer
    answers: Mapping[str, str] = field(default_factory=dict)
    """Per question key (`annotate/questions.py`), besides the overall one."""
    reason: str = ""
    seconds: float = 0.0
    watched: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where one annotator stands in the campaign."""

    done: int
    """Pairs answered or skipped."""
    left: int
    """Pairs that they could still be asked."""
    today: int
    """Of the done ones, those since midnight (the server's)."""
    newest: str | None
    """Id of the vote that undo would take back."""

"""The words of one annotator's work: how a campaign is asked, what is shown, what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from annotate.opinion import Opinion
from data.records import Exposure, Pair, Strength, Vote

Answer = Literal["left", "right", "tie", "unusable", "skip"]
Verdict = Literal["left", "right", "tie"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """What the app was started with; None leaves what is stored for the campaign."""

    campaign: str = "default"
    """The campaign that one works in unless one switches."""
    blind: float | None = None
    """Share of pairs that are answered before the score is seen, in [0, 1]."""
    redundancy: int | None = None
    """People per pair, at least 1."""
    profile: str | None = None
    """OmniScore profile on the page; `auto` takes the pair's own."""


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
    practice: bool = False
    """The answer is told afterwards."""
    revises: Vote | None = None
    """The vote that stands and is being edited."""


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
    strength: Strength | None = None
    flags: tuple[str, ...] = ()
    skip: str = ""
    """Key of the reason for a skip."""
    comment: str = ""
    reason: str = ""
    """`keep` or `change` after a reveal."""
    seconds: float = 0.0
    watched: Mapping[str, Any] = field(default_factory=dict)
    hold: bool = False
    """Keep the score back until it is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What is told after a practice answer."""

    right: bool
    expected: Verdict
    why: str
    after: Practice
    """The round that it belongs to, with this answer in it."""
    passed: bool
    """Of a finished round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Something to tell in passing, by its key in the words, with what stands in its sentence."""

    kind: Literal["warning", "break", "paused"]
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Practice:
    """Where one annotator stands in the practice round that comes before the work."""

    done: int
    """Pairs answered in this round."""
    of: int
    """Pairs of a round."""
    right: int
    """Of the answered ones, those answered as expected."""
    needed: int
    """Right answers with which the round is passed."""
    tries_left: int
    """Rounds that may still be begun, this one counted; 0 after the last one failed."""


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
    undoable: int = 0
    """How many times undo goes back from here, 0 to 10."""
    practice: Practice | None = None
    """None before and after practice, and where the campaign has none."""

"""What browser and server say to each other: every field that crosses the line, and no other.

Nothing about a blind pair leaves before its answer: a `ShownPair` is built field by field, so what
is not named here cannot leak. Nor does anything here tell gold and repeated pairs from others.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from annotate.idle import Idle
from annotate.opinion import Opinion
from annotate.protocol import Answer, Progress, Verdict
from data.records import Exposure, Strength

Role = Literal["annotator", "lead", "admin"]
LONG = 2000
"""Most characters of a comment."""


class Message(BaseModel):
    """What crosses the line; the words beside a field are its description in OpenAPI."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Me(Message):
    """Who the annotator says they are."""

    name: str = Field(max_length=1000)


class Known(Message):
    """Whom the cookie names; nobody on a first visit."""

    annotator: str | None
    """Name for display."""
    role: Role | None = None
    accounts: bool = False
    """Whether people sign in; without accounts a name is enough."""


class Asked(Message):
    """One question of the campaign; the answer is stored under `key`."""

    key: str
    text: str
    rule: str = ""
    """What decides when criteria conflict."""


class Choice(Message):
    """A flag or a skip reason: what is stored, and what is read."""

    key: str
    text: str


class ShownExample(Message):
    """A worked example of the guideline."""

    prompt: str
    better: str
    """What is right: the side, or any words."""
    why: str
    left: str | None = None
    """Address of the clip, where the example has one."""
    right: str | None = None


class Elsewhere(Message):
    """A campaign that one can switch to."""

    name: str
    title: str
    left: int | None = None
    """Answers that wait there for this person; null where they have not been yet."""


class ShownCampaign(Message):
    """How this campaign is asked: what the page needs to know of it."""

    name: str
    title: str = ""
    guideline: str = ""
    """Plain text: paragraphs by blank lines, lists by lines that begin with `- `."""
    examples: list[ShownExample] = []
    questions: list[Asked] = []
    """In the order of asking; `overall`, which is the vote itself, comes last."""
    strength: bool = False
    comments: bool = True
    flags: list[Choice] = []
    skips: list[Choice] = []
    gate: bool = False
    """Answers other than a skip are taken once both clips have played through."""
    campaigns: list[Elsewhere] = []
    """Every campaign with pairs, this one too."""


class Earlier(Message):
    """The answer that stands on a pair that was opened again."""

    answer: Answer
    strength: Strength | None = None
    answers: dict[str, Verdict] = {}
    comment: str = ""
    flags: list[str] = []


class ShownPair(Message):
    """A pair on the page. No score, model, seed, path or file name: URLs are opaque tokens."""

    ticket: str
    """The right to answer this pair; an answer carries it."""
    prompt: str
    left: str
    """Address of the clip, relative to the page."""
    right: str
    image: str | None = None
    """Address of the image that both clips begin with (image-to-video); null where none is."""
    fps: float
    opinion: Opinion | None
    scored: bool
    """Whether there will be a score to see after the answer (or now)."""
    practice: bool = False
    """The answer is known, is told after the vote, and counts for nothing else."""
    previous: Earlier | None = None
    """Set where an earlier vote is edited; answering replaces it."""


class Due(Message):
    """A blind answer whose score waits for `POST /api/reveal`; until then undo is a slip's own."""

    vote: UUID
    answer: Answer


class Notice(Message):
    """Something to tell in passing, never an obstacle; only a paused campaign has no pair."""

    kind: Literal["warning", "break", "paused"]
    text: str


class Page(Message):
    """Everything that the browser needs to show what comes next."""

    annotator: str
    """Name for display."""
    role: Role = "annotator"
    accounts: bool = False
    """Whether people sign in; without accounts a name is enough."""
    progress: Progress
    campaign: ShownCampaign = ShownCampaign(name="default")
    pair: ShownPair | None = None
    idle: Idle | None = None
    """Why there is no pair."""
    due: Due | None = None
    """The newest answer was blind, and keep or change is still open (after a reload, for one)."""
    preload: list[str] = []
    """Addresses of the clips that probably come next, and of the image that they begin with."""
    notice: Notice | None = None


class Cast(Message):
    """An answer. `id` is minted by the browser when the pair is shown, so a retry counts once."""

    id: UUID
    ticket: str = Field(max_length=2000)
    answer: Answer
    strength: Strength | None = None
    answers: dict[str, Verdict] = Field(default={}, max_length=20)
    """Per question key, without `overall`: that is `answer`."""
    comment: str = Field(default="", max_length=LONG)
    flags: list[str] = Field(default=[], max_length=20)
    skip: str = Field(default="", max_length=40)
    """Key of the reason, where `answer` is `skip`."""
    reason: str = Field(default="", max_length=LONG)
    """`keep` or `change`, where the ticket came with a reveal."""
    seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """From showing the pair to this answer."""
    watched: dict[str, float] = Field(default={}, max_length=20)
    """`left` and `right`: share of the clip that was played, 0 to 1; `replays`; `speed`."""
    hold: bool = False
    """Keep the score of a blind pair back until `POST /api/reveal`, so that undo before it leaves
    the pair blind. Without it the answer brings the reveal at once."""


class Reveal(Message):
    """What a blind answer is followed by: the score, and the right to keep or change."""

    ticket: str
    answer: Answer
    opinion: Opinion
    vote: UUID
    """The blind vote."""
    pair: ShownPair | None = None
    """The pair itself; from `POST /api/reveal` only, for a page that was loaded again."""


class AskReveal(Message):
    """Ask for the score behind one's own blind vote."""

    vote: UUID


class Round(Message):
    """How a practice round ended."""

    passed: bool
    right: int
    of: int
    tries_left: int


class Feedback(Message):
    """What is told after a practice answer."""

    right: bool
    expected: Verdict
    why: str
    round: Round | None = None
    """Set with the last answer of a round."""


class Taken(Message):
    """A vote that is on the disk."""

    status: Literal["stored", "duplicate"]
    reveal: Reveal | None = None
    feedback: Feedback | None = None
    page: Page
    """Without a pair while a reveal is open (`reveal`, or `page.due` where it is held)."""


class Undo(Message):
    """Take back `vote`; `id` is minted by the browser."""

    id: UUID
    vote: UUID


class Reopen(Message):
    """Open one's own earlier vote for editing."""

    vote: UUID


class Revision(Message):
    """An answer that a later one replaced."""

    answer: Answer
    exposure: Exposure
    time_ms: int


class PastVote(Message):
    """One of one's own answers, as the history lists it."""

    vote: UUID
    prompt: str
    image: str | None = None
    """As in `ShownPair`."""
    answer: Answer
    strength: Strength | None
    answers: dict[str, Verdict]
    comment: str
    flags: list[str] = []
    exposure: Exposure
    time_ms: int
    """UTC epoch milliseconds."""
    revisions: list[Revision]
    """What was answered before, oldest first."""
    editable: bool
    """Whether `POST /api/reopen` opens it."""


class Switch(Message):
    """The campaign to work in from now on."""

    name: str = Field(max_length=1000)


class Left(Message):
    """Whether a pair was being held, and is free again."""

    released: bool

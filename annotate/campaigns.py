"""A campaign: which pairs are asked, how, of how many people, and in what order.

Stored as decisions (topic `campaign`, subject the name): the newest one holds, every earlier one
stays readable. A campaign that nobody decided about is asked with the values below. The command
that decides is `annotate/campaign.py`; the app's options override what is stored for that start.

Pure: no IO, no clock.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from annotate.opinion import AUTO
from annotate.order import STAGES, Plan
from annotate.questions import FLAGS, OVERALL, QUESTIONS, known
from data.calibration import PREFIX as CALIBRATED
from data.decisions import newest
from data.errors import UserError
from data.omniscore import PROFILES
from data.proceedings import Topic
from data.records import Decision

DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A worked example of the guideline."""

    prompt: str
    better: str
    """The right answer: `left`, `right`, `tie`, or in words."""
    why: str
    left: str = ""
    """Hash of the clip on the left; empty where the words are enough."""
    right: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """How the pairs of one campaign are annotated."""

    name: str = DEFAULT
    title: str = ""
    """For people; the name where empty."""
    guideline: str = ""
    """Plain text: paragraphs by blank lines, lists by lines that begin with `- `."""
    examples: tuple[Example, ...] = ()
    questions: tuple[str, ...] = (OVERALL,)
    """Keys of `annotate.questions.QUESTIONS`; `overall` always, and last."""
    strength: bool = False
    """Whether one can say slightly or clearly."""
    comments: bool = True
    flags: tuple[str, ...] = FLAGS
    redundancy: int = 1
    """People per pair, at least 1."""
    most: int | None = None
    """People per pair at most, where they disagree; None asks `redundancy` people, agreed or not.

    With it a pair is done as soon as its leading answer is `redundancy` ahead of the second.
    """
    blind: float = 0.2
    """Share of pairs that are answered before the score is seen, in [0, 1]."""
    gold: float = 0.0
    """Share of answers that go to pairs whose answer is known, in [0, 1)."""
    repeat: float = 0.0
    """Share of answers that go to pairs that the person has answered before, in [0, 1)."""
    order: str = "unvoted-first"
    """A name in `annotate.order.STAGES`."""
    stratum: float = 0.2
    """Share of pairs asked in random order in the orders `uncertain` and `split`, in [0, 1]."""
    gate: bool = False
    """Whether answers other than a skip wait until both clips have played through."""
    practice: int = 0
    """Pairs of a practice round; 0 for none."""
    practice_pass: float = 0.8
    """Share of a round that must be right, in [0, 1]."""
    practice_tries: int = 2
    """Rounds that a person may try."""
    gold_warn: float = 0.7
    """Share of gold answers below which a person is warned, in [0, 1]."""
    paused: bool = False
    profile: str = AUTO
    """OmniScore profile on the page; `auto` takes the pair's own."""
    lease_seconds: float = 1800.0
    """How long a pair waits for its annotator before somebody else may get its last slot."""
    break_minutes: float = 30.0
    """Minutes without a pause after which a break is proposed."""

    def __post_init__(self) -> None:
        """Refuse what cannot be asked; the message names the field."""
        _shares(self)
        _counts(self)
        asked = known("question", self.questions, QUESTIONS)
        if asked[-1:] != (OVERALL,):
            raise UserError(f"questions are {', '.join(asked) or 'none'}; the last is {OVERALL!r}")
        known("flag", self.flags, FLAGS)
        known("order", (self.order,), STAGES)
        if not self.profile.startswith(CALIBRATED):
            known("profile", (self.profile,), (AUTO, *PROFILES))
        if not self.name.strip():
            raise UserError("A campaign needs a name")

    @property
    def plan(self) -> Plan:
        """How pairs are handed out."""
        return Plan(
            redundancy=self.redundancy, most=self.most, order=self.order, stratum=self.stratum
        )


def _shares(campaign: Campaign) -> None:
    names = ("blind", "gold", "repeat", "stratum", "gold_warn", "practice_pass")
    for name in names:
        value = getattr(campaign, name)
        if not 0.0 <= value <= 1.0:
            raise UserError(f"{name} is {value}; it is a share, from 0 to 1")
    if campaign.gold + campaign.repeat > 0.9:
        raise UserError(
            f"gold {campaign.gold} and repeat {campaign.repeat} leave too few answers for the work;"
            " together they may be 0.9 at most (0.05 to 0.1 each is usual)"
        )


def _counts(campaign: Campaign) -> None:
    least = {
        "redundancy": 1,
        "practice": 0,
        "practice_tries": 1,
        "lease_seconds": 10,
        "break_minutes": 1,
    }
    for name, lowest in least.items():
        if not lowest <= getattr(campaign, name) < float("inf"):
            raise UserError(f"{name} is {getattr(campaign, name)}; it must be {lowest} or more")
    if campaign.most is not None and campaign.most < campaign.redundancy:
        raise UserError(
            f"most is {campaign.most}, less than the redundancy of {campaign.redundancy}"
        )


def stored(decisions: Iterable[Decision]) -> dict[str, Campaign]:
    """The campaigns that were decided about, by name.

    One that cannot be asked (other rooms decide too, and cannot check it) is paused until it is
    decided anew, and the others go on; `read` says what is wrong with it.
    """
    found: dict[str, Campaign] = {}
    for name, values in newest(decisions, "campaign").items():
        try:
            found[name] = read(name, values)
        except UserError:
            found[name] = Campaign(name=name, paused=True)
    return found


def read(name: str, values: Mapping[str, Any]) -> Campaign:
    """A campaign from a decision's values, which need not be all.

    Fields that this program does not know are passed over.

    Raises:
        UserError: a value that cannot be asked.
    """
    fields = {field.name for field in dataclasses.fields(Campaign)}
    kept: dict[str, Any] = {key: value for key, value in values.items() if key in fields}
    for key in ("questions", "flags"):
        if key in kept:
            kept[key] = tuple(kept[key])
    kept["examples"] = tuple(_example(one) for one in kept.get("examples", ()))
    return Campaign(**{**kept, "name": name})


def _example(values: Mapping[str, Any]) -> Example:
    needed = [field.name for field in dataclasses.fields(Example)]
    unknown = [key for key in values if key not in needed]
    if unknown or not {"prompt", "better", "why"} <= values.keys():
        raise UserError(
            f"An example has {', '.join(map(repr, values)) or 'nothing'}; it needs prompt, better "
            "and why, and may have left and right (hashes of clips)"
        )
    return Example(**values)


def decided(campaign: Campaign, *, by: str, now_ms: int) -> Decision:
    """The decision that makes `campaign` hold from now on."""
    values = dataclasses.asdict(campaign)
    return _decision("campaign", campaign.name, values, by=by, now_ms=now_ms)


def amended(
    decisions: Iterable[Decision],
    topic: Topic,
    subject: str,
    changes: Mapping[str, Any],
    *,
    by: str,
    now_ms: int,
) -> Decision:
    """A decision that keeps what holds about `subject` and changes some of it.

    The newest decision counts as a whole: whoever says only `counts` would forget `tries`.
    """
    before = newest(decisions, topic).get(subject, {})
    return _decision(topic, subject, {**before, **changes}, by=by, now_ms=now_ms)


def _decision(
    topic: Topic, subject: str, values: Mapping[str, Any], *, by: str, now_ms: int
) -> Decision:
    return Decision(
        id=str(uuid.uuid4()), topic=topic, subject=subject, values=values, by=by, time_ms=now_ms
    )

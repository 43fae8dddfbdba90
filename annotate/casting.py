"""From what the browser sent to the vote that is stored, and why it is not taken.

Everything that a raw script could get wrong is refused here, with what is allowed. Pure: no IO.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping

from annotate.campaigns import Campaign
from annotate.protocol import Answer, Ballot
from annotate.questions import FLAGS, OVERALL, SKIPS, answers_of, flags_of, packed
from annotate.track import SLIP
from annotate.words import RefusedError
from data.records import Outcome, Vote

WATCHED = 0.95
"""Share of a clip that counts as played through: the browser samples, and rounds."""
_SECOND = ("keep", "change")
_DECIDED = ("left", "right", "tie")


def check(ballot: Ballot, campaign: Campaign) -> None:
    """Refuse what this campaign does not ask, and what it asks and is not there.

    Raises:
        RefusedError: says which key, and which ones there are.
    """
    questions = [key for key in campaign.questions if key != OVERALL]
    _within("question", ballot.answers, questions)
    _within("flag", ballot.flags, campaign.flags or FLAGS)
    _within("skip", [ballot.skip] if ballot.skip else [], SKIPS)
    _within("reason", [ballot.reason] if ballot.revises and ballot.reason else [], _SECOND)
    if ballot.revises is not None:
        return
    if ballot.answer in _DECIDED:
        missing = [key for key in questions if key not in ballot.answers]
        if missing:
            raise RefusedError("unanswered", keys=", ".join(missing))
    if campaign.gate and ballot.answer != "skip":
        _gate(ballot.watched)


def _within(what: str, keys: Iterable[str], allowed: Collection[str]) -> None:
    unknown = [key for key in keys if key not in allowed]
    if unknown:
        there = ", ".join(allowed) or "-"
        raise RefusedError("unknown_key", what=what, unknown=unknown[0], keys=there)


def _gate(watched: Mapping[str, float]) -> None:
    shares = [watched.get(side, 0.0) for side in ("left", "right")]
    if min(shares) < WATCHED:
        raise RefusedError("gate", least=f"{min(shares):.0%}")


def as_vote(ballot: Ballot, annotator: str, sides: tuple[str, str], earlier: Vote | None) -> Vote:
    """The vote; what a keep or change does not say anew it takes from the `earlier` one."""
    left, right = sides
    preferred = {"left": left, "right": right}.get(ballot.answer)
    outcome: Outcome = "skip" if ballot.answer == "skip" else "tie"
    answers, flags, strength = dict(ballot.answers), ballot.flags, ballot.strength
    if earlier is not None and ballot.reason in _SECOND:
        answers = answers or dict(answers_of(earlier.answers))
        flags = flags or tuple(flags_of(earlier.answers))
        same = earlier.preferred == preferred
        strength = strength or (earlier.strength if same else None)
    return Vote(
        id=ballot.id,
        pair=ballot.pair,
        annotator=annotator,
        left=left,
        right=right,
        outcome="preference" if preferred else outcome,
        preferred=preferred,
        strength=strength if preferred else None,
        unusable=ballot.answer == "unusable",
        answers=packed(answers, flags, ballot.skip),
        exposure=ballot.exposure,
        revises=ballot.revises,
        reason="\n".join(text for text in (ballot.reason, ballot.comment) if text),
        seconds=ballot.seconds,
        watched=ballot.watched,
    )


def undoing(vote: Vote, row_id: str, *, slip: bool) -> Vote:
    """The newer row that takes a vote back; a `slip` came before the score had been sent."""
    return dataclasses.replace(
        vote,
        id=row_id,
        outcome="undo",
        preferred=None,
        revises=vote.id,
        seconds=0.0,
        strength=None,
        unusable=False,
        answers={},
        reason=SLIP if slip else "",
        watched={},
        time_ms=0,
    )


def answer_of(vote: Vote) -> Answer:
    """What was answered, as the page says it."""
    if vote.outcome == "preference":
        return "left" if vote.preferred == vote.left else "right"
    if vote.outcome == "skip":
        return "skip"
    return "unusable" if vote.unusable else "tie"


def comment_of(vote: Vote) -> str:
    """The free comment, without the keep or change in front of it."""
    first, _, rest = vote.reason.partition("\n")
    return rest if first in _SECOND else vote.reason

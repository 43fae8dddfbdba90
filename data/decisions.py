"""What was decided about the work, read from the decisions: the newest one of a subject counts.

- `campaign`, subject its name: the settings (`annotate.campaigns` says which).
- `person`, subject the annotator: `{"counts": false}` takes all of that person's votes out of
  labels, slots and statistics, and `{"counts": true}` brings them back; no vote is touched.
- `pair`, subject a pair: `{"again": n}` asks n people more than the campaign does.
- `gold`, subject a pair: the answer that it should get (`Gold`).
- `calibration`, subject a profile: `{"use": id}`, or `{"use": ""}` for the default weights; a fit
  itself stands beside it where one was made (`data.calibration`).

Pure: no IO, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from data.proceedings import Topic
from data.records import Decision, Vote

GoldUse = Literal["gold", "practice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gold:
    """What is known about a pair that checks people."""

    pair: str
    """`Pair.id`."""
    expected: str | None
    """Hash of the clip that a careful person prefers; None where the answer is a tie."""
    kind: str
    """How it was made, such as `frozen`."""
    use: GoldUse
    """Silently among the others, or in the practice round with feedback."""
    why: str = ""
    """What is told to a person who answered it wrongly in practice."""


def newest(decisions: Iterable[Decision], topic: Topic) -> dict[str, Mapping[str, Any]]:
    """The values that hold per subject; of equal times the one that comes last in the store.

    By time and not by place: merging two databases puts one's decisions after the other's.
    """
    in_time = sorted(decisions, key=lambda one: one.time_ms)
    return {one.subject: one.values for one in in_time if one.topic == topic}


def excluded(decisions: Iterable[Decision]) -> frozenset[str]:
    """Annotators whose votes do not count now."""
    people = newest(decisions, "person")
    return frozenset(who for who, values in people.items() if not values.get("counts", True))


def counted(votes: Iterable[Vote], decisions: Iterable[Decision]) -> list[Vote]:
    """The votes of people whose votes count, in the same order."""
    out = excluded(decisions)
    return [vote for vote in votes if vote.annotator not in out]


def asked_again(decisions: Iterable[Decision]) -> dict[str, int]:
    """How many people more than the campaign says a pair is to be asked, by pair."""
    return {pair: int(values.get("again", 0)) for pair, values in newest(decisions, "pair").items()}


def gold(decisions: Iterable[Decision]) -> dict[str, Gold]:
    """The pairs whose answer is known, by pair."""
    return {pair: Gold(pair=pair, **values) for pair, values in newest(decisions, "gold").items()}

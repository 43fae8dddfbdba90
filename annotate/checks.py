"""Pairs that check people: which answers go to them, and what came out.

The n-th answer of an annotator in a campaign is a gold pair, or a repeat of a pair that they have
answered before, by a seeded draw: the same after a reload, a restart, on every replica. A repeat is
another pair of the same two clips, with the sides swapped against the first time, at the earliest
`APART` answers later. Practice comes before the work, in rounds, with the answer told after each.

None of it may become a label (`Pair.trains`). Pure: no IO, no clock.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from annotate.campaigns import Campaign
from annotate.exposure import uniform
from annotate.protocol import Practice
from annotate.track import Track
from data.decisions import Gold
from data.records import Pair, Vote

APART = 8
"""A repeat comes at least so many answers after the first time."""
_COUNTED = 2000
_AMONG = 200
"""The newest answers that a repeat is drawn from."""
WARN_FROM = 5
"""Gold answers before which nobody is warned."""
WARN_OVER = 20
"""The newest gold answers that a warning looks at, so that somebody who improved is not warned."""


def drawn(campaign: Campaign, annotator: str, number: int) -> Literal["gold", "repeat"] | None:
    """Whether this annotator's answer with this number (from 0) checks them, and how."""
    if uniform("gold", campaign.name, annotator, str(number)) < campaign.gold:
        return "gold"
    again = uniform("repeat", campaign.name, annotator, str(number)) < campaign.repeat
    return "repeat" if again else None


@functools.lru_cache(maxsize=4096)
def answers_in_all(campaign: Campaign, annotator: str, work: int, gold: int) -> int:
    """How many answers it takes until `work` pairs are done, with `gold` pairs and repeats between.

    Goes through the draws one by one; for very much work it is the expected number.
    """
    if work > _COUNTED:
        repeats = (1.0 - campaign.gold) * campaign.repeat  # what is drawn gold is no repeat
        endless = work / (1.0 - campaign.gold - repeats)
        return round(min(endless, (work + gold) / (1.0 - repeats)))
    is_work: list[bool] = []
    early = repeats = used = 0
    while work > len(is_work) - used - repeats:
        early += is_work[-APART] if len(is_work) >= APART else False
        kind = drawn(campaign, annotator, len(is_work))
        again = kind == "repeat" and early > repeats
        known = kind == "gold" and used < gold
        repeats, used = repeats + again, used + known
        is_work.append(not (again or known))
    return len(is_work)


def next_gold(campaign: Campaign, annotator: str, gold: Iterable[str], track: Track) -> str | None:
    """The next gold pair that this annotator has never answered, in an order of their own."""
    unseen = [pair for pair in gold if not track.on(pair)]
    order = {pair: uniform("gold-order", campaign.name, annotator, pair) for pair in unseen}
    return min(order, key=order.__getitem__, default=None)


def next_repeated(
    campaign: Campaign, annotator: str, track: Track, pair_of: Callable[[str], Pair | None]
) -> Pair | None:
    """The repeat to ask: of a pair answered (not skipped) at least `APART` answers ago, and once.

    Args:
        campaign: whose share of repeats was drawn.
        annotator: who is asked.
        track: what they have answered.
        pair_of: the pair with an id.
    """
    early = track.answered(_AMONG)[: -(APART - 1)]
    order = {
        vote.pair: uniform("repeat-order", campaign.name, annotator, vote.pair)
        for vote in early
        if track.kind(vote.pair) == "work" and vote.outcome in ("preference", "tie")
    }
    known = (pair_of(pair) for pair in sorted(order, key=order.__getitem__))
    repeats = (repeat_of(pair) for pair in known if pair is not None)
    return next((repeat for repeat in repeats if not track.on(repeat.id)), None)


def repeat_of(pair: Pair) -> Pair:
    """The pair that asks for the same two clips again."""
    return dataclasses.replace(pair, strategy=f"repeat:{pair.id}")


def is_right(vote: Vote, gold: Gold) -> bool:
    """Whether a vote is the answer that the pair should get; a skip is not."""
    if gold.expected is None:
        return vote.outcome == "tie"
    return vote.preferred == gold.expected


def results(track: Track, gold: Mapping[str, Gold]) -> list[bool]:
    """This annotator's standing answers to gold pairs, oldest first: right or not."""
    standing = (chain.standing for chain in track.chains("gold"))
    return [is_right(vote, gold[vote.pair]) for vote in standing if vote and vote.pair in gold]


def too_often_wrong(results: Sequence[bool], least: float) -> bool:
    """Whether the newest gold answers are right less often than `least` (a share)."""
    newest = results[-WARN_OVER:]
    return len(newest) >= WARN_FROM and sum(newest) / len(newest) < least


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """Where somebody stands in practice, after all of their answers so far."""

    now: Practice
    """The round that is on, or the one that was failed last."""
    passed: bool
    failed: bool
    """The last try is used up."""


def rounds(
    right: Sequence[bool], *, of: int, share: float, tries: int, last: bool = False
) -> Rounds:
    """Practice answers, oldest first, in rounds of `of` pairs, `share` of which must be right.

    Gives the round that is on: the first that was passed, the one that was failed with the last
    try, or else the one that the next answer belongs to; with `last`, the newest answer's.
    """
    needed = math.ceil(share * of - 1e-9)
    number, passed = 0, False
    while True:
        answers = right[number * of : (number + 1) * of]
        whole, correct = len(answers) == of, sum(answers)
        passed = whole and correct >= needed
        ended = last and len(right) <= (number + 1) * of
        if passed or not whole or number + 1 == tries or ended:
            break
        number += 1
    now = Practice(
        done=len(answers), of=of, right=correct, needed=needed, tries_left=tries - number - whole
    )
    return Rounds(now=now, passed=passed, failed=whole and not passed and number + 1 == tries)


def practice_pair(
    campaign: Campaign, annotator: str, practice: Sequence[str], answered: int
) -> str | None:
    """The practice pair for somebody who has given `answered` practice answers.

    An order of their own, gone through again from the start where the rounds need more pairs.
    """
    order = {pair: uniform("practice-order", campaign.name, annotator, pair) for pair in practice}
    ordered = sorted(order, key=order.__getitem__)
    return ordered[answered % len(ordered)] if ordered else None


def answered_in_practice(track: Track) -> list[Vote]:
    """Every practice answer, oldest first: an answer in a later round does not hide the first."""
    answers = (vote for chain in track.chains("practice") for vote in chain.votes)
    return sorted(answers, key=lambda vote: vote.time_order)

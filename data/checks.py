"""What the checks say about people: sides, repeated pairs, and pairs whose answer is known.

- Left: of the votes that preferred a clip, the share for the one that stood on the left. Sides are
  drawn by hash, so an interval that leaves out 1/2 is a bias of the person (or of the screen).
- Repeats: a pair with the strategy `repeat:<pair>` shows the same two clips again, sides swapped.
  Same: the same person gave the same answer about the clips. Same side: the answer moved with the
  side, the sign of somebody who presses one key.
- Gold: pairs whose answer is known (`data.decisions.Gold`); a tie is right only where a tie is
  expected. Practice pairs are not gold: everybody repeats those until they pass.

Skips never count; an answer that was revised counts as it stands. The intervals of everybody
together draw whole prompts, those of one person are Wilson's, since one person sees a pair once.
Left out on purpose: any verdict about a person; `annotate` warns, and a lead decides.
Pure: no IO.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.bootstrap import FEW, Estimate, generator, share, too_few, wilson_bounds
from data.decisions import Gold
from data.raters import said
from data.records import Pair, Vote
from data.votes import live_votes

_Row = tuple[str, str, bool]
"""Annotator, what the interval draws (prompt, or gold pair), and whether it was so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A share of everybody's answers, and of each person's."""

    overall: Estimate
    people: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """Self-consistency on pairs that came back with the sides swapped."""

    same: Check
    """Share with the same answer about the clips."""
    same_side: int
    """Answers that moved with the side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldCheck:
    """Accuracy on pairs whose answer is known."""

    accuracy: Check
    kinds: Mapping[str, Estimate]
    """The same by kind of gold, such as `frozen`."""


def left(votes: Iterable[Vote], pairs: Mapping[str, Pair], *, seed: int) -> Check:
    """Share of preferences for the clip on the left, on pairs that train."""
    rows = [
        (vote.annotator, pairs[vote.pair].prompt, vote.preferred == vote.left)
        for vote in live_votes(votes)
        if vote.outcome == "preference" and vote.pair in pairs and pairs[vote.pair].trains
    ]
    return _check(rows, seed, "left")


def repeats(votes: Iterable[Vote], pairs: Mapping[str, Pair], *, seed: int) -> Repeats:
    """Answers to repeated pairs against the same person's answers to the first ones."""
    standing = {(vote.pair, vote.annotator): vote for vote in live_votes(votes)}
    rows: list[_Row] = []
    moved = 0
    for (name, person), again in standing.items():
        pair = pairs.get(name)
        if pair is None or not pair.strategy.startswith("repeat:"):
            continue
        first = standing.get((pair.strategy.partition(":")[2], person))
        if first is None or said(first, pair) is None or said(again, pair) is None:
            continue
        rows.append((person, pair.prompt, said(first, pair) == said(again, pair)))
        sides = {_side(first), _side(again)}
        moved += len(sides) == 1 and sides < {"left", "right"} and not rows[-1][2]
    return Repeats(same=_check(rows, seed, "repeats"), same_side=moved)


def gold(votes: Iterable[Vote], known: Mapping[str, Gold], *, seed: int) -> GoldCheck:
    """Answers to pairs whose answer is known, by person and by kind; practice is left out."""
    rows: list[_Row] = []
    kinds: dict[str, list[bool]] = {}
    for vote in live_votes(votes):
        answer = known.get(vote.pair)
        if answer is None or answer.use != "gold" or vote.outcome not in ("preference", "tie"):
            continue
        right = vote.preferred == answer.expected  # both None where a tie is expected and given
        rows.append((vote.annotator, vote.pair, right))
        kinds.setdefault(answer.kind, []).append(right)
    return GoldCheck(
        accuracy=_check(rows, seed, "gold"),
        kinds={kind: _wilson(kinds[kind]) for kind in sorted(kinds)},
    )


def _side(vote: Vote) -> str:
    if vote.outcome == "tie":
        return "tie"
    return "left" if vote.preferred == vote.left else "right"


def _check(rows: Sequence[_Row], seed: int, what: str) -> Check:
    mine: dict[str, list[bool]] = {}
    for person, _, hit in rows:
        mine.setdefault(person, []).append(hit)
    hits = np.array([hit for _, _, hit in rows], dtype=bool)
    return Check(
        overall=share([where for _, where, _ in rows], hits, generator(seed, what)),
        people={person: _wilson(mine[person]) for person in sorted(mine)},
    )


def _wilson(hits: Sequence[bool]) -> Estimate:
    if len(hits) < FEW:
        return too_few(len(hits))
    low, high = wilson_bounds(sum(hits), len(hits))
    return Estimate(value=sum(hits) / len(hits), low=low, high=high, n=len(hits))

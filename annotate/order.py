"""In which order pairs are asked, and when a pair has been asked enough: pure arithmetic on arrays.

An order is a *stage* per pair, 0 to 253, lower first; among pairs of one stage every annotator has
a shuffle of their own. A stage depends on the pair alone (its answers so far, its margin), so that
one array serves everybody; the shuffle is a hash of pair and annotator, so that it costs
nothing to keep and is the same after a restart, whatever is added to the database.

- `random`: one stage.
- `unvoted-first`: as many stages as answers: every pair gets its first before any gets its second.
- `uncertain`: small margin of OmniScore first (where a calibration is in use, of the calibrated
  one: its probability is nearest 1/2). Pairs without a margin come last. 250 steps of the square
  root, so that near 0, where it matters, they are finest: a margin of 0.0001 is step 2.
- `split`: pairs whose answers so far disagree first, then as `unvoted-first`.

Into the last two goes a random stratum (`from_stratum`): a share of what is asked, so that figures
can be quoted from pairs that nothing selected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, UInt8, UInt64

from annotate.exposure import uniform
from data.records import digest

OrderName = Literal["random", "unvoted-first", "uncertain", "split"]
LAST = 253
"""The last stage of an open pair."""
CLOSED = 255
"""The stage of a pair that is not to be asked."""
_STEPS = 250
_BITS = np.uint64(56)
_LOW = np.uint64(2**56 - 1)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the pairs of a campaign are handed out."""

    redundancy: int = 1
    """People per pair, at least 1."""
    most: int | None = None
    """People per pair at most, where the first ones disagree; None: `redundancy`, whatever they
    say."""
    order: str = "unvoted-first"
    """A key of `STAGES`."""
    stratum: float = 0.2
    """Share of random pairs in `uncertain` and `split`, in [0, 1]."""


People = int | Int[np.ndarray, " n"]


def wanted(
    tally: Int[np.ndarray, "n 3"], redundancy: People, most: People | None
) -> Int[np.ndarray, " n"]:
    """How many people each pair needs at least, after the answers (a, b, tie) that it has.

    First `redundancy`. Then, with `most`, more for as long as the leading answer is less than
    `redundancy` ahead of the second, and as many as it takes to get there; never above `most`.
    A pair with as many answers as this is settled.
    """
    count = tally.sum(axis=1)
    if most is None:
        return np.broadcast_to(np.asarray(redundancy), count.shape)
    ranked = np.sort(tally, axis=1)
    lacks = np.asarray(redundancy) - (ranked[:, 2] - ranked[:, 1])
    more = np.minimum(np.maximum(most, redundancy), count + np.maximum(lacks, 0))
    return np.where(count < redundancy, redundancy, np.maximum(more, 1))


def settled(counts: Sequence[int], redundancy: int, most: int | None) -> bool:
    """Whether a pair with so many answers (a, b, tie) needs no further one."""
    return bool(sum(counts) >= wanted(np.array([counts]), redundancy, most)[0])


Stages = Callable[
    [Int[np.ndarray, "n 3"], Float[np.ndarray, " n"]],
    UInt8[np.ndarray, " n"],
]


def _one_stage(tally: np.ndarray, _margin: np.ndarray) -> np.ndarray:
    return np.zeros(len(tally), np.uint8)


def _unvoted_first(tally: np.ndarray, _margin: np.ndarray) -> np.ndarray:
    return np.minimum(tally.sum(axis=1), LAST).astype(np.uint8)


def _uncertain(_tally: np.ndarray, margin: np.ndarray) -> np.ndarray:
    place = np.floor(_STEPS * np.sqrt(np.clip(np.abs(margin), 0.0, 1.0)))
    return np.where(np.isnan(margin), LAST, np.nan_to_num(place)).astype(np.uint8)


def _split(tally: np.ndarray, _margin: np.ndarray) -> np.ndarray:
    disagree = np.count_nonzero(tally, axis=1) > 1
    count = np.minimum(1 + tally.sum(axis=1), LAST)
    return np.where(disagree, 0, count).astype(np.uint8)


STAGES: dict[str, Stages] = {
    "random": _one_stage,
    "unvoted-first": _unvoted_first,
    "uncertain": _uncertain,
    "split": _split,
}
"""Stage of every pair from its answers (a, b, tie) so far and its margin (NaN where unscored)."""
MIXED = frozenset({"uncertain", "split"})
"""Orders that a random stratum is mixed into: they choose pairs by what is known of them."""


def seed(campaign: str, annotator: str) -> np.uint64:
    """What makes the shuffle of this annotator in this campaign."""
    return np.uint64(int(digest("order", campaign, annotator)[:16], 16))


def shuffled(keys: UInt64[np.ndarray, " n"], seed: np.uint64) -> UInt64[np.ndarray, " n"]:
    """A number per pair that places it in an annotator's shuffle: smaller first.

    `key XOR seed`, of which the first 8 bits stay (`bucket`) and the other 56 are mixed with the
    constants of splitmix64 (Steele, Lea and Flood 2014). Every step can be undone, so that this is
    a permutation of the 64-bit numbers: different keys have different places.

    Args:
        keys: the first 64 bits of each pair's id.
        seed: see `seed`.
    """
    places = keys ^ seed
    low = places & _LOW
    for shift, factor in ((28, _FIRST), (27, _SECOND)):
        low ^= low >> np.uint64(shift)
        low *= factor
        low &= _LOW
    low ^= low >> np.uint64(29)
    return (places & ~_LOW) | low


def bucket(keys: UInt64[np.ndarray, " n"]) -> UInt8[np.ndarray, " n"]:
    """The first 8 bits of each key: pairs of one bucket are neighbours in every shuffle."""
    return (keys >> _BITS).astype(np.uint8)


def first(
    stage: UInt8[np.ndarray, " n"],
    keys: UInt64[np.ndarray, " n"],
    seed: np.uint64,
    *,
    count: int,
    skip: Int[np.ndarray, " k"] | None = None,
    buckets: UInt8[np.ndarray, " n"] | None = None,
    waiting: Int[np.ndarray, " stages"] | None = None,
) -> Int[np.ndarray, " m"]:
    """The first `count` pairs of an annotator's order (fewer where there are no more), as indices.

    By stage, then by the annotator's shuffle, without `CLOSED` ones and those to `skip`. Only pairs
    of the stages that are needed are looked at, and of those only the buckets in front: with what
    may be known already, a million pairs take a millisecond or two.

    Args:
        stage: of every pair.
        keys: of every pair.
        seed: see `seed`.
        count: how many.
        skip: indices to leave out, none twice.
        buckets: `bucket(keys)`, if that is known.
        waiting: how many pairs are in each stage (`skip` not left out), if that is known.
    """
    waiting = np.bincount(stage, minlength=256) if waiting is None else waiting
    usable = stage
    if skip is not None and len(skip):
        waiting = waiting - np.bincount(stage[skip], minlength=256)
        usable = stage.copy()
        usable[skip] = CLOSED
    enough = np.flatnonzero(np.cumsum(waiting[:CLOSED]) >= count)
    last = int(enough[0]) if len(enough) else CLOSED - 1
    before = np.flatnonzero(usable < last)
    level = usable == last
    share = 2 * (count - len(before)) / max(int(waiting[last]), 1)
    if share < 0.5:  # twice as many buckets as will be needed, nearly always
        near = bucket(keys) if buckets is None else buckets
        some = level & ((near ^ bucket(np.array([seed]))) <= np.uint8(256 * share))
        if np.count_nonzero(some) >= count - len(before):
            level = some
    rows = np.concatenate([before, np.flatnonzero(level)])
    return rows[np.lexsort((shuffled(keys[rows], seed), stage[rows]))[:count]]


def from_stratum(campaign: str, annotator: str, number: int, *, stratum: float) -> bool:
    """Whether this annotator's `number`-th pair of the campaign is drawn at random."""
    return uniform("stratum", campaign, annotator, str(number)) < stratum

"""Who may still answer which pair: standing votes and leases, in the owner's memory.

A pair has `redundancy` slots. A slot is filled by an annotator whose vote stands (a skip fills
none, but its annotator is not asked again), and kept by an open lease of somebody else. All of it
can be rebuilt: votes from the table, and leases are free again after a restart. A vote that comes
after its lease has expired is kept; it over-covers the pair.

Votes that stood when they were loaded lie in columns sorted by pair: about 20 bytes per vote,
so that five millions take 100 MB. Pairs that were touched since are kept beside them, by id. A pair
is found by the first 64 bits of its id; two of a million pairs share those with a chance of 3e-8,
and then count as one here and nowhere else.

No SQL and no clock here: the owner brings them.
"""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
import polars as pl

from data.records import Vote

_Result = TypeVar("_Result")
Redundancy = int | Callable[[str], int]
"""People wanted per pair: one number for all, or a function from a pair's id to its number."""


def people_wanted(redundancy: Redundancy, pair: str) -> int:
    """How many people are wanted for `pair`."""
    return redundancy(pair) if callable(redundancy) else redundancy


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A pair that is kept for one annotator for a while."""

    id: str
    pair: str
    annotator: str
    expires_ms: int
    """UTC epoch milliseconds."""


class Standing(NamedTuple):
    """A vote that nothing revises."""

    annotator: str
    seq: int
    answers: bool


class _Loaded:
    """The standing votes of one moment, in columns sorted by pair."""

    def __init__(self, standing: pl.DataFrame) -> None:
        standing = standing.sort("key", maintain_order=True)
        names = standing["annotator"].unique().sort()
        self._names: list[str] = names.to_list()
        self._keys = standing["key"].to_numpy()
        self._who = standing["annotator"].cast(pl.Enum(names)).to_physical().to_numpy()
        self._seq = standing["seq"].to_numpy()
        self._answers = standing["answers"].to_numpy()

    def about(self, pair: str) -> list[Standing]:
        """The standing votes about `pair`, oldest first."""
        key = np.uint64(int(pair[:16], 16))
        first, last = np.searchsorted(self._keys, key), np.searchsorted(self._keys, key, "right")
        return [
            Standing(self._names[self._who[row]], int(self._seq[row]), bool(self._answers[row]))
            for row in range(first, last)
        ]


NOTHING = pl.DataFrame(
    schema={
        "key": pl.UInt64,
        "annotator": pl.String,
        "seq": pl.Int64,
        "answers": pl.Boolean,
    }
)
"""The columns of `Slots.load`: `key` is a pair's first 64 bits, `seq` a vote's number."""


class Slots:
    """Standing votes per pair, and open leases. Not thread-safe: see `SharedSlots`."""

    def __init__(self) -> None:
        self._loaded = _Loaded(NOTHING)
        self._touched: dict[str, list[Standing]] = {}
        self._leases: dict[str, Lease] = {}

    def load(self, standing: pl.DataFrame) -> None:
        """Take every standing vote, with the columns of `NOTHING`; keep the leases."""
        self._loaded = _Loaded(standing)
        self._touched = {}

    def _standing(self, pair: str) -> list[Standing]:
        touched = self._touched.get(pair)
        return self._loaded.about(pair) if touched is None else touched

    def note(self, vote: Vote, seq: int, *, revised: int | None) -> None:
        """A vote was stored: it fills or frees a slot, and ends its annotator's lease.

        Args:
            vote: The vote.
            seq: Its number.
            revised: The number of the vote that it revises.
        """
        others = [one for one in self._standing(vote.pair) if one.seq != revised]
        if vote.outcome != "undo":
            others.append(Standing(vote.annotator, seq, vote.outcome != "skip"))
        self._touched[vote.pair] = others
        held = self._leases.get(vote.annotator)
        if held is not None and held.pair == vote.pair:
            del self._leases[vote.annotator]

    def claim(
        self,
        annotator: str,
        ranked: Iterable[str],
        *,
        redundancy: Redundancy,
        ms: int,
        now_ms: int,
        ignoring: Collection[str] = (),
    ) -> Lease | None:
        """The annotator's open lease, prolonged; else a lease on the first pair with a free slot.

        Args:
            annotator: Who asks.
            ranked: Pair ids, the most wanted first; read only as far as needed.
            redundancy: Annotators wanted per pair, 1 or more.
            ms: How long the lease holds, milliseconds.
            now_ms: The present, UTC epoch milliseconds.
            ignoring: Annotators whose votes and leases fill no slot.
        """
        self._expire(now_ms)
        held = self._leases.get(annotator)
        if held is not None:
            held = replace(held, expires_ms=now_ms + ms)
            self._leases[annotator] = held
            return held
        kept = Counter(
            lease.pair for lease in self._leases.values() if lease.annotator not in ignoring
        )
        for pair in ranked:
            standing = self._standing(pair)
            if any(one.annotator == annotator for one in standing):
                continue
            answered = {one.annotator for one in standing if one.answers}
            if len(answered.difference(ignoring)) + kept[pair] < people_wanted(redundancy, pair):
                lease = Lease(
                    id=uuid.uuid4().hex, pair=pair, annotator=annotator, expires_ms=now_ms + ms
                )
                self._leases[annotator] = lease
                return lease
        return None

    def release(self, lease_id: str) -> bool:
        """Give a lease back; False where it is not open (any more)."""
        for annotator, lease in self._leases.items():
            if lease.id == lease_id:
                del self._leases[annotator]
                return True
        return False

    def open_leases(self, now_ms: int) -> list[Lease]:
        """The leases that have not expired."""
        self._expire(now_ms)
        return list(self._leases.values())

    def _expire(self, now_ms: int) -> None:
        for annotator, lease in list(self._leases.items()):
            if lease.expires_ms <= now_ms:
                del self._leases[annotator]


class SharedSlots:
    """`Slots` for many threads, filled before the first look and again after `forget`.

    Whoever asks for a pair does not wait while votes are written, only while this is filled.
    """

    def __init__(self, fill: Callable[[], None]) -> None:
        """`fill` calls `load`, on the one thread that calls `note` and `forget` too."""
        self._slots, self._gate, self._known = Slots(), threading.Lock(), False
        self._fill = fill

    def look(self, act: Callable[[Slots], _Result]) -> _Result:
        """What `act` makes of the slots; nobody else looks meanwhile."""
        while True:
            with self._gate:
                if self._known:
                    return act(self._slots)
            self._fill()

    def load(self, standing: Callable[[], pl.DataFrame]) -> None:
        """Fill them, unless they are; `standing` gives what `Slots.load` takes."""
        if not self._known:
            rows = standing()
            with self._gate:
                self._slots.load(rows)
                self._known = True

    def note(self, stored: Iterable[tuple[Vote, int, int | None]]) -> None:
        """Votes were stored: each with its number and that of the vote that it revises."""
        with self._gate:
            for vote, seq, revised in stored if self._known else ():
                self._slots.note(vote, seq, revised=revised)

    def forget(self) -> None:
        """What is known may be wrong: fill again before the next look. Leases stay."""
        with self._gate:
            self._known = False

"""Who may still answer which pair: standing votes and leases, in the owner's memory.

A pair has `redundancy` slots. A slot is filled by an annotator whose vote stands (a skip fills
none, but its annotator is not asked again), and kept by an open lease of somebody else. All of it
can be rebuilt: votes from the table, and leases are free again after a restart. A vote that comes
after its lease has expired is kept; it over-covers the pair.

No SQL and no clock here: the owner thread passes both in.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from data.records import Vote


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
    vote: str
    answers: bool


class Slots:
    """Standing votes per pair, and open leases. Not thread-safe: for the owner thread alone."""

    def __init__(self) -> None:
        self._standing: dict[str, list[Standing]] = {}
        self._leases: dict[str, Lease] = {}

    def load(self, standing: Iterable[tuple[str, str, str, bool]]) -> None:
        """Take (pair, annotator, vote id, is an answer) of every standing vote; keep the leases."""
        self._standing = {}
        for pair, annotator, vote, answers in standing:
            self._standing.setdefault(pair, []).append(Standing(annotator, vote, answers))

    def note(self, vote: Vote) -> None:
        """A vote was stored: it fills or frees a slot, and ends its annotator's lease."""
        others = [one for one in self._standing.get(vote.pair, []) if one.vote != vote.revises]
        if vote.outcome != "undo":
            others.append(Standing(vote.annotator, vote.id, vote.outcome != "skip"))
        self._standing[vote.pair] = others
        held = self._leases.get(vote.annotator)
        if held is not None and held.pair == vote.pair:
            del self._leases[vote.annotator]

    def claim(
        self, annotator: str, ranked: Iterable[str], *, redundancy: int, ms: int, now_ms: int
    ) -> Lease | None:
        """The annotator's open lease, prolonged; else a lease on the first pair with a free slot.

        Args:
            annotator: Who asks.
            ranked: Pair ids, the most wanted first; read only as far as needed.
            redundancy: Annotators wanted per pair, 1 or more.
            ms: How long the lease holds, milliseconds.
            now_ms: The present, UTC epoch milliseconds.
        """
        self._expire(now_ms)
        held = self._leases.get(annotator)
        if held is not None:
            held = replace(held, expires_ms=now_ms + ms)
            self._leases[annotator] = held
            return held
        kept: dict[str, int] = {}
        for lease in self._leases.values():
            kept[lease.pair] = kept.get(lease.pair, 0) + 1
        for pair in ranked:
            standing = self._standing.get(pair, ())
            if any(one.annotator == annotator for one in standing):
                continue
            filled = len({one.annotator for one in standing if one.answers})
            if filled + kept.get(pair, 0) < redundancy:
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

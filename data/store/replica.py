"""One replica of the app on PostgreSQL: what `Owner` is on a file, and any number at once.

The server decides what the owner's thread decides there: it locks the slots (`postgres_slots`),
numbers the votes (`postgres_votes`) and flushes them to its disk before a vote is acknowledged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial
from typing import Self

from data.errors import UserError
from data.records import Vote
from data.store import postgres_slots, postgres_sql, postgres_votes
from data.store.owner import Clock, Owner
from data.store.postgres import PostgresStore, migrated
from data.store.postgres_link import Cursor, Link
from data.store.slots import Lease, Redundancy
from data.store.voting import Receipt


class Replica(PostgresStore, Owner):
    """One replica of the app, always of the present, plus votes and leases. Thread-safe."""

    def __init__(self, link: Link, clock: Clock | None) -> None:
        """For `own`; use that."""
        super().__init__(link, None)
        self._given_clock = clock

    def _seen(self, cursor: Cursor) -> postgres_sql.Marks:
        return postgres_sql.marks(cursor)

    def _clocked(self, cursor: Cursor) -> int:
        return super()._clocked(cursor) if self._given_clock is None else self._given_clock()

    def vote(self, vote: Vote) -> Receipt:
        """As `Owner.vote`: returns when it is on the server's disk and read back."""
        mine: set[str] = set()

        def task(cursor: Cursor) -> None:
            postgres_votes.store_new(cursor, [vote], now_ms=self._clocked(cursor), mine=mine)

        self._link.attempt(task)
        return self._link.attempt(
            lambda cursor: postgres_votes.receipts(cursor, [vote], mine),
        )[0]

    def claim(
        self,
        annotator: str,
        ranked: Iterable[str],
        *,
        redundancy: Redundancy,
        seconds: float,
        ignoring: Collection[str] = (),
        now: int | None = None,
    ) -> Lease | None:
        """As `Owner.claim`, over all replicas. A pair that another one is claiming comes later."""
        wish = postgres_slots.Wish(
            annotator=annotator,
            redundancy=redundancy,
            ignoring=ignoring,
            ms=int(seconds * 1000),
            now=self._clocked if now is None else lambda _: now,
        )
        return postgres_slots.claim(self._link, wish, ranked)

    def release(self, lease_id: str) -> bool:
        """As `Owner.release`."""
        return self._link.attempt(lambda cursor: postgres_slots.release(cursor, lease_id))

    def leases(self, *, now: int | None = None) -> list[Lease]:
        """As `Owner.leases`, over all replicas."""

        def task(cursor: Cursor) -> list[Lease]:
            return postgres_slots.open_leases(cursor, self._clocked(cursor) if now is None else now)

        return self._link.attempt(task)

    def publish_snapshot(self) -> None:
        """Refused: there is no file to publish.

        Raises:
            UserError: always; `python -m data.pull` makes a file.
        """
        raise UserError(
            f"{self._link.name} has no snapshot file; make a database file of it with "
            "`python -m data.pull --from URL --db prefs.duckdb`"
        )

    def __enter__(self) -> Self:
        return self


def own(url: str, *, clock: Clock | None = None) -> Replica:
    """See `Store.own`; made where it is absent. Any number of replicas at once."""
    link = Link(url)
    try:
        link.attempt(partial(migrated, link.name))
    except BaseException:
        link.close()
        raise
    return Replica(link, clock)

"""The owner: one process at a time writes, on one thread.

`Owner` holds the lock for life. Votes run on its own thread, so that what a check saw is still true
when it writes; votes that wait are written together (`turns`). Other records come in bulk, on a
cursor of their own beside the votes, and reads and claims wait for nobody.
With a socket (the app), other processes hand over records and ask for snapshots; without one (a
command that writes), it owns the database for a moment.

If DuckDB fails after the journal was written, the file is opened again, which replays the journal,
and the work is tried once more: everything here is idempotent by id.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TypeVar, cast

import duckdb
import polars as pl
import pyarrow as pa

from data.errors import UserError
from data.records import Record, Vote
from data.store import reading, snapshot, voting, wire, writing
from data.store.database import Database, disk_trouble
from data.store.journal import Journal
from data.store.lock import Lock
from data.store.places import Places
from data.store.recovery import catch_up, open_files
from data.store.rows import by_kind, to_votes
from data.store.slots import Lease, Redundancy, SharedSlots
from data.store.store import Store
from data.store.turns import Turns
from data.store.voting import Receipt

Clock = Callable[[], int]
_Result = TypeVar("_Result")


def system_clock() -> int:
    """The present, UTC epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Owner(Store):
    """Everything of `Store`, always of the present, plus votes and leases. Thread-safe."""

    def __init__(
        self, places: Places, lock: Lock, *, clock: Clock | None = None, serve: bool = False
    ) -> None:
        """For `Store.own`; use that. Takes over `lock`, and releases it if it cannot start."""
        super().__init__(places)
        self._lock, self._clock = lock, clock or system_clock
        self._database: Database | None = None
        self._journal: Journal | None = None
        self._slots = SharedSlots(lambda: self._do(self._load_slots))
        self._behind = False
        self._server: wire.Server | None = None
        self._publishing, self._adding = threading.Lock(), threading.Lock()
        self._published: snapshot.Published | None = None
        self._newest_ms, self._time_gate = 0, threading.Lock()
        self._turns = Turns(places.database, take=self._take, end=self._let_go)
        try:
            self._do(self._ready)
            if serve:
                self._turns.soon(lambda: self._attempt(self._load_slots))
                self._server = wire.Server(places.socket, self._answer)
                lock.announce(socket=str(places.socket))
        except BaseException:
            self.close()
            raise

    # Votes and leases

    def vote(self, vote: Vote) -> Receipt:
        """Store one vote; returns when it is in the journal, committed and read back.

        `Vote.time_ms` 0 becomes the owner's clock. The same id again is a `duplicate`.

        Raises:
            UserError: an unknown pair, other clips than the pair's, a revised vote that is unknown
                or somebody else's, an id that another vote has. Nothing was stored.
        """
        return self._turns.vote(vote)

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
        """Keep the first pair of `ranked` that has a free slot for `annotator`.

        Free: standing votes of distinct annotators (skips do not count) and open leases of others
        are together fewer than `redundancy`. A pair on which the annotator has a standing vote is
        passed over. Whoever has an open lease gets it back, prolonged; a vote on its pair ends it.

        Args:
            annotator: Who asks.
            ranked: Pair ids, the most wanted first; read only as far as needed.
            redundancy: Annotators wanted per pair, or a function that says so for a pair's id; it
                must be quick and must not ask the store, since everybody else waits meanwhile.
            seconds: How long the lease holds.
            ignoring: Annotators whose votes and leases fill no slot (those who do not count).
            now: The present, UTC epoch milliseconds; the clock's by default.
        """
        present = self._now() if now is None else now
        ms = int(seconds * 1000)
        return self._slots.look(
            lambda slots: slots.claim(
                annotator,
                ranked,
                redundancy=redundancy,
                ms=ms,
                now_ms=present,
                ignoring=ignoring,
            )
        )

    def release(self, lease_id: str) -> bool:
        """Give a lease back; False where it is not open (any more)."""
        return self._slots.look(lambda slots: slots.release(lease_id))

    def leases(self, *, now: int | None = None) -> list[Lease]:
        """The open leases."""
        present = self._now() if now is None else now
        return self._slots.look(lambda slots: slots.open_leases(present))

    def _load_slots(self) -> None:
        self._slots.load(lambda: reading.standing_votes(self._ready().writer))

    # Records

    def add(self, records: Iterable[Record]) -> int:
        """As `Store.add`."""
        return self.add_tables(by_kind(records))

    def add_tables(self, tables: dict[str, pa.Table]) -> int:
        """`add` for records that are Arrow tables already (see `data.store.rows`)."""
        mine: set[str] = set()
        with self._adding:  # of these, only one call at a time numbers new rows
            if "votes" in tables:
                return self._do(lambda: self._insert(tables, mine))
            return self._look(lambda cursor: writing.insert_beside(cursor, tables))

    def publish_snapshot(self) -> None:
        """Bring `prefs.snapshot.duckdb` up to the present, while votes keep flowing.

        Raises:
            UserError: it cannot be written (disk full); the one before is still there.
        """
        with self._publishing:
            self._published = self._look(
                lambda cursor: snapshot.publish(
                    cursor, self._places, self._published, now_ms=self._clock()
                )
            )

    def close(self) -> None:
        """Finish what was asked, close the files, let go of the lock. Twice is no error."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._turns.close():
            self._lock.release()

    # The owner thread

    def _do(self, task: Callable[[], _Result]) -> _Result:
        return self._turns.do(lambda: self._attempt(task))

    def _attempt(self, task: Callable[[], _Result]) -> _Result:
        """Do it; if DuckDB fails, open the file again, which replays the journal, and once more."""
        with disk_trouble(self.path):
            try:
                self._ready()
                return task()
            except duckdb.Error:
                self._let_go()
                self._ready()
                return task()

    def _ready(self) -> Database:
        """The open database, with every vote that the journal holds."""
        database = self._opened()
        if self._behind:
            catch_up(database, cast(Journal, self._journal))
            self._behind = False
        return database

    def _opened(self) -> Database:
        """The open database; with a full disk it may lack votes that nobody was promised."""
        if self._database is None:
            with disk_trouble(self.path):
                opened = open_files(self._places, now_ms=self._clock())
            self._database, self._journal = opened
            self._behind = True
        return self._database

    def _let_go(self, given_up: Database | None = None) -> None:
        """Close the files; with `given_up` only if that one is still in use."""
        database, journal = self._database, self._journal
        if database is not None and journal is not None and given_up in (None, database):
            self._slots.forget()
            self._database = self._journal = None
            database.close()
            journal.close()

    def _now(self) -> int:
        """The clock, which never steps back while we own the database."""
        with self._time_gate:
            self._newest_ms = max(self._newest_ms, self._clock())
            return self._newest_ms

    def _take(self, votes: Sequence[Vote], mine: set[str]) -> list[Receipt]:
        def task() -> list[Receipt]:
            with self._writing() as (cursor, journal):
                new = voting.store_new(cursor, journal, votes, mine=mine, now_ms=self._now())
            return self._acknowledge(votes, new, mine)

        return self._attempt(task)

    def _insert(self, tables: dict[str, pa.Table], mine: set[str]) -> int:
        votes = to_votes(cast(pl.DataFrame, pl.from_arrow(tables["votes"])))
        with self._writing() as (cursor, journal):
            count = writing.insert_others(cursor, tables)
            new = voting.store_new(cursor, journal, votes, mine=mine, now_ms=self._now())
        self._acknowledge(votes, new, mine)
        return count + len(mine)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, Journal]]:
        """A transaction; if it fails after the journal was written, the next task opens again."""
        database, journal = self._ready(), cast(Journal, self._journal)
        before = journal.seq
        try:
            with database.transaction() as cursor:
                yield cursor, journal
        except BaseException:
            if journal.seq != before:
                self._let_go()
            raise

    def _acknowledge(
        self, votes: Sequence[Vote], new: Sequence[Vote], mine: set[str]
    ) -> list[Receipt]:
        writer = self._ready().writer
        made = voting.receipts(writer, votes, mine)
        older = [vote.revises for vote in new if vote.revises is not None]
        before = {
            id: row[0] for id, row in reading.rows_by_id(writer, "votes", older, ("seq",)).items()
        }
        numbers = {vote.id: one.sequence for vote, one in zip(votes, made, strict=True)}
        self._slots.note((vote, numbers[vote.id], before.get(vote.revises or "")) for vote in new)
        return made

    # Reading, and other processes

    @contextlib.contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        database = self._database or self._turns.do(self._opened)
        try:
            with database.reading() as cursor:
                yield cursor
        except duckdb.FatalException:  # DuckDB has given the instance up: open it again
            self._turns.do(lambda: self._let_go(database))
            raise

    def _look(self, question: Callable[[duckdb.DuckDBPyConnection], _Result]) -> _Result:
        """Ask; once more if DuckDB gave its instance up, or closed it, in the meantime."""
        with disk_trouble(self.path):
            try:
                return super()._look(question)
            except (duckdb.FatalException, duckdb.ConnectionException):
                return super()._look(question)

    def _answer(self, heading: wire.Heading, body: bytes) -> wire.Heading:
        if heading["ask"] == "snapshot":
            self.publish_snapshot()
            return {}
        if heading["ask"] == "add":
            return {"new": self.add_tables(wire.unpack(heading["tables"], body))}
        raise UserError(f"The owner does not know the request {heading['ask']!r}; update it")

"""The owner: one process at a time writes, on one thread.

`Owner` holds the lock for life. Every change runs on its own thread, one after another, so that
what a check saw is still true when it writes. Reads use cursors of their own and wait for nobody.
With a socket (the app), other processes hand over records and ask for snapshots; without one (a
command that writes), it owns the database for a moment.

If DuckDB fails after the journal was written, the file is opened again, which replays the journal,
and the work is tried once more: everything here is idempotent by id.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar, cast

import duckdb
import polars as pl
import pyarrow as pa

from data.errors import UserError
from data.records import KINDS, Record, Vote
from data.store import reading, snapshot, voting, wire, writing
from data.store.database import Database
from data.store.journal import Journal
from data.store.lock import Lock, holder
from data.store.places import Places
from data.store.recovery import open_live
from data.store.rows import by_kind, to_votes
from data.store.slots import Lease, Slots
from data.store.store import PATIENCE_S, Store
from data.store.voting import Receipt

Clock = Callable[[], int]
_Result = TypeVar("_Result")
_Task = tuple[Callable[[], Any], "Future[Any]"]


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
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._database: Database | None = None
        self._journal: Journal | None = None
        self._slots = Slots()
        self._slots_known = False
        self._server: wire.Server | None = None
        self._publishing = threading.Lock()
        self._published: snapshot.Published | None = None
        self._newest_ms = 0
        self._thread = threading.Thread(target=self._work, name="store-owner", daemon=True)
        self._thread.start()
        try:
            self._do(self._ready)
            if serve:
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
        mine: set[str] = set()
        return self._do(lambda: self._take([vote], mine))[0]

    def claim(
        self,
        annotator: str,
        ranked: Iterable[str],
        *,
        redundancy: int,
        seconds: float,
        now: int | None = None,
    ) -> Lease | None:
        """Keep the first pair of `ranked` that has a free slot for `annotator`.

        Free: standing votes of distinct annotators (skips do not count) and open leases of others
        are together fewer than `redundancy`. A pair on which the annotator has a standing vote is
        passed over. Whoever has an open lease gets it back, prolonged; a vote on its pair ends it.

        Args:
            annotator: Who asks.
            ranked: Pair ids, the most wanted first; read only as far as needed.
            redundancy: Annotators wanted per pair.
            seconds: How long the lease holds.
            now: The present, UTC epoch milliseconds; the clock's by default.
        """

        def task() -> Lease | None:
            present = self._now() if now is None else now
            slots, ms = self._standing(), int(seconds * 1000)
            return slots.claim(annotator, ranked, redundancy=redundancy, ms=ms, now_ms=present)

        return self._do(task)

    def release(self, lease_id: str) -> bool:
        """Give a lease back; False where it is not open (any more)."""
        return self._do(lambda: self._standing().release(lease_id))

    def leases(self, *, now: int | None = None) -> list[Lease]:
        """The open leases."""
        return self._do(lambda: self._standing().open_leases(self._now() if now is None else now))

    # Records

    def add(self, records: Iterable[Record]) -> int:
        """As `Store.add`."""
        return self.add_tables(by_kind(records))

    def add_tables(self, tables: dict[str, pa.Table]) -> int:
        """`add` for records that are Arrow tables already (see `data.store.rows`)."""
        mine: set[str] = set()
        return self._do(lambda: self._insert(tables, mine))

    def publish_snapshot(self) -> None:
        """Bring `prefs.snapshot.duckdb` up to the present, while votes keep flowing."""
        with self._publishing, self._reading() as cursor:
            self._published = snapshot.publish(
                cursor, self._places, self._published, now_ms=self._clock()
            )

    def close(self) -> None:
        """Finish what was asked, close the files, let go of the lock. Twice is no error."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._thread.is_alive():
            self._tasks.put(None)
            self._thread.join()
            self._lock.release()

    # The owner thread

    def _work(self) -> None:
        while (asked := self._tasks.get()) is not None:
            task, future = asked
            try:
                future.set_result(self._attempt(task))
            except BaseException as error:  # noqa: BLE001 - raised again at the caller
                future.set_exception(error)
        self._let_go()

    def _do(self, task: Callable[[], _Result]) -> _Result:
        if not self._thread.is_alive():
            raise UserError(f"{self.path}: this owner is closed")
        future: Future[_Result] = Future()
        self._tasks.put((task, future))
        return future.result()

    def _attempt(self, task: Callable[[], _Result]) -> _Result:
        self._ready()
        try:
            return task()
        except duckdb.Error:
            self._let_go()
            self._ready()
            return task()

    def _ready(self) -> Database:
        """The open database, with every vote that the journal holds."""
        if self._database is None:
            self._database, self._journal = open_live(self._places, now_ms=self._clock())
        return self._database

    def _let_go(self) -> None:
        if self._database is not None and self._journal is not None:
            self._database.close()
            self._journal.close()
            self._database = self._journal = None
            self._slots_known = False

    def _now(self) -> int:
        """The clock, which never steps back while we own the database."""
        self._newest_ms = max(self._newest_ms, self._clock())
        return self._newest_ms

    def _standing(self) -> Slots:
        if not self._slots_known:
            self._slots.load(reading.standing_votes(self._ready().writer))
            self._slots_known = True
        return self._slots

    def _take(self, votes: list[Vote], mine: set[str]) -> list[Receipt]:
        with self._writing() as (cursor, journal):
            new = voting.store_new(cursor, journal, votes, mine=mine, now_ms=self._now())
        return self._acknowledge(votes, new, mine)

    def _insert(self, tables: dict[str, pa.Table], mine: set[str]) -> int:
        votes = _votes(tables)
        with self._writing() as (cursor, journal):
            others = [kind for kind in KINDS if kind in tables and kind != "votes"]
            count = sum(writing.insert_new(cursor, kind, tables[kind]) for kind in others)
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

    def _acknowledge(self, votes: list[Vote], new: list[Vote], mine: set[str]) -> list[Receipt]:
        if self._slots_known:
            for vote in new:
                self._slots.note(vote)
        return voting.receipts(self._ready().writer, votes, mine)

    # Reading, and other processes

    @contextlib.contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        database = self._database or self._do(self._ready)
        try:
            with database.reading() as cursor:
                yield cursor
        except duckdb.FatalException:  # DuckDB has given the instance up: open it again
            self._do(lambda: self._renew(database))
            raise

    def _renew(self, given_up: Database) -> None:
        if self._database is given_up:
            self._let_go()

    def _answer(self, heading: wire.Heading, body: bytes) -> wire.Heading:
        if heading["ask"] == "snapshot":
            self.publish_snapshot()
            return {}
        if heading["ask"] == "add":
            return {"new": self.add_tables(wire.unpack(heading["tables"], body))}
        raise UserError(f"The owner does not know the request {heading['ask']!r}; update it")


def _votes(tables: dict[str, pa.Table]) -> list[Vote]:
    if "votes" not in tables:
        return []
    return to_votes(cast(pl.DataFrame, pl.from_arrow(tables["votes"])))


def own(places: Places, *, clock: Clock | None = None) -> Owner:
    """Own the database and listen for other processes; see `Store.own`."""
    give_up = time.monotonic() + PATIENCE_S
    while (lock := Lock.take(places)) is None:
        there = holder(places)
        if there.socket or time.monotonic() > give_up:
            raise UserError(
                f"{places.database} is owned by process {there.pid}. One app at a time: use that "
                "one, or end it first"
            )
        time.sleep(0.02)
    return Owner(places, lock, clock=clock, serve=True)

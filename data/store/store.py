"""`Store`: the database as every command sees it. Who writes to it, and how: `owner.py`."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast, overload

import duckdb
import polars as pl
import pyarrow as pa

from data.errors import UserError
from data.records import Candidate, Pair, Prompt, Record, Run, Score, Vote
from data.store import reading, snapshot, wire
from data.store.lock import Lock, holder
from data.store.places import Places
from data.store.rows import by_kind, known_kind, to_records, to_votes
from data.store.schema import check_version

if TYPE_CHECKING:
    from data.store.owner import Clock, Owner

PATIENCE_S = 30.0
"""How long to wait for a command that owns the database for a moment."""
_Result = TypeVar("_Result")


class Store:
    """Read and add records. `Store.open` for any process, `Store.own` for the app.

    A handle shows the database as it was when it was opened, however long it is kept and whatever
    others write; after an `add` of its own, the next read moves it on to the present. It holds no
    lock, so that a notebook left open stops nobody. All methods may be called from several threads.
    """

    def __init__(self, places: Places) -> None:
        """For `Store.open`; use that."""
        self._places = places
        self._view: duckdb.DuckDBPyConnection | None = None
        self._turn = threading.Lock()
        self._closed = False
        self._behind = False  # own additions that the view does not show yet

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, create: bool = False) -> Store:
        """Open a database from any process at any time.

        If somebody owns it (the app runs), the owner is asked for a snapshot of this moment;
        otherwise the snapshot is brought up to date here. A file that does not exist is created by
        `create`, or by the first `add`; reading it before is an error.

        Raises:
            UserError: not a database, written by a newer program, or its owner does not answer.
        """
        store = cls(Places.of(path))
        if create or store._exists():
            store._refresh()
        return store

    @classmethod
    def own(cls, path: str | os.PathLike[str], *, clock: Clock | None = None) -> Owner:
        """Own the database until closed: for the one app. Created where it is absent.

        Args:
            path: The database file.
            clock: The present in UTC epoch milliseconds; the system's by default.

        Raises:
            UserError: another process owns it (the message names its PID), or it is damaged.
        """
        from data.store.owner import own

        return own(Places.of(path), clock=clock)

    @property
    def path(self) -> Path:
        """The database file, absolute, links followed."""
        return self._places.database

    def _exists(self) -> bool:
        return self._places.database.exists() or self._places.journal.exists()

    def _refresh(self) -> None:
        """Look at the present through a snapshot of it."""
        with_owner(
            self._places,
            ask=lambda socket: wire.ask(socket, {"ask": "snapshot"}),
            act=lambda owner: owner.publish_snapshot(),
        )
        view = snapshot.open_view(self._places.snapshot)
        check_version(view, self._places.snapshot)
        self._view, before, self._behind = view, self._view, False
        if before is not None:
            before.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._turn:  # one reader at a time per handle: connections are not to be shared
            if self._closed:
                raise UserError(f"This handle of {self.path} is closed; open another one")
            if self._behind:
                self._refresh()
            if self._view is None:
                raise UserError(
                    f"{self.path} does not exist. Make clips first (`python -m train.sample` or "
                    "`python -m data.ingest`, with the same --db), or check --db"
                )
            yield self._view

    def add(self, records: Iterable[Record]) -> int:
        """Add records of any kinds, all or none; how many were new.

        The same identity again is not new and no error: the first prompt, candidate, pair and vote
        stays, the newest score and run counts from then on. Votes are journalled, and refused like
        by `Owner.vote`; one without a time gets the present.

        Raises:
            UserError: a vote that does not fit, or the owner does not answer. Nothing was added.
        """
        tables = by_kind(records)
        if not tables:
            return 0
        new = _hand_over(self._places, tables)
        self._behind = True
        return new

    def frame(self, kind: str) -> pl.DataFrame:
        """Records of one kind as a Polars frame, one column per field, in insertion order.

        Kinds: prompts candidates scores pairs votes runs. Mappings are JSON text; `prompts` and
        `pairs` have their identity in a first column `id`. Of scores and runs only the newest of
        each identity; votes all of them, in the order of their sequence numbers.
        """
        with self._reading() as cursor:
            return reading.frame(cursor, known_kind(kind))

    @overload
    def all(self, kind: Literal["prompts"]) -> list[Prompt]: ...
    @overload
    def all(self, kind: Literal["candidates"]) -> list[Candidate]: ...
    @overload
    def all(self, kind: Literal["scores"]) -> list[Score]: ...
    @overload
    def all(self, kind: Literal["pairs"]) -> list[Pair]: ...
    @overload
    def all(self, kind: Literal["votes"]) -> list[Vote]: ...
    @overload
    def all(self, kind: Literal["runs"]) -> list[Run]: ...
    @overload
    def all(self, kind: str) -> list[Any]: ...
    def all(self, kind: str) -> list[Any]:
        """The same as `frame`, as records."""
        return to_records(kind, self.frame(kind))

    def get(self, kind: str, identity: str) -> Record | None:
        """One record by its id, or None. Quick on the owner (a key); a scan elsewhere.

        Not for scores, which have no key: use `frame("scores")`.
        """
        if known_kind(kind) == "scores":
            raise UserError("Scores are not looked up one by one; use frame('scores')")
        with self._reading() as cursor:
            return reading.get(cursor, kind, identity)

    def pair(self, identity: str) -> Pair | None:
        """The pair with that id, or None."""
        return cast("Pair | None", self.get("pairs", identity))

    def votes_of(self, annotator: str) -> list[Vote]:
        """All votes of one annotator, revised ones and undos too, oldest first."""
        with self._reading() as cursor:
            found = reading.frame_where(cursor, "votes", "annotator", annotator)
        return to_votes(found)

    def votes_on(self, pair: str) -> list[Vote]:
        """All votes about one pair, revised ones and undos too, oldest first."""
        with self._reading() as cursor:
            found = reading.frame_where(cursor, "votes", "pair", pair)
        return to_votes(found)

    def count(self, kind: str) -> int:
        """How many records of that kind `frame` would give."""
        with self._reading() as cursor:
            return reading.count(cursor, known_kind(kind))

    @property
    def sequence(self) -> int:
        """Sequence number of the newest vote in view; 0 where there is none."""
        with self._reading() as cursor:
            return reading.sequence(cursor)

    def digest(self, kind: str = "votes") -> str:
        """SHA-256 of the records of that kind in view, whatever order they came in."""
        with self._reading() as cursor:
            return reading.digest(cursor, known_kind(kind))

    def close(self) -> None:
        """Let go of the view. Closing twice is no error."""
        with self._turn:
            self._closed = True
            if self._view is not None:
                self._view.close()
                self._view = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def add(path: str | os.PathLike[str], records: Iterable[Record]) -> int:
    """`Store.add` without looking at the database first: for a command that only writes."""
    tables = by_kind(records)
    return _hand_over(Places.of(path), tables) if tables else 0


def _hand_over(places: Places, tables: dict[str, pa.Table]) -> int:
    def ask(socket: str) -> int:
        lengths, body = wire.pack(tables)
        return wire.ask(socket, {"ask": "add", "tables": lengths}, body)["new"]

    return with_owner(places, ask=ask, act=lambda owner: owner.add_tables(tables))


def with_owner(
    places: Places, *, ask: Callable[[str], _Result], act: Callable[[Owner], _Result]
) -> _Result:
    """`ask` the owner through its socket, or own the database for the moment and `act`.

    If the owner dies before it has answered, the next round owns the database and does it itself;
    everything that is asked for may be done twice without harm.
    """
    from data.store.owner import Owner

    give_up = time.monotonic() + PATIENCE_S
    while True:
        lock = Lock.take(places)
        if lock is not None:
            with Owner(places, lock) as owner:
                return act(owner)
        there = holder(places)
        if there.socket:
            with contextlib.suppress(OSError):  # it has just ended, or is just beginning
                return ask(there.socket)
        if time.monotonic() > give_up:
            raise UserError(
                f"{places.database} is held by process {there.pid}, which has not answered for "
                f"{PATIENCE_S:.0f} s. Wait for it to finish, or end it; nothing is lost by that"
            )
        time.sleep(0.02)

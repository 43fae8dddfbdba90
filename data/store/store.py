"""`Store`: the database as every command sees it. Who writes to it, and how: `owner.py`."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast, overload

import duckdb
import polars as pl
import pyarrow as pa

from data.errors import UserError
from data.records import Candidate, Pair, Prompt, Record, Run, Score, Vote
from data.store import elsewhere, labelling, reading, snapshot, values
from data.store.asking import ask_for_snapshot, hand_over, own
from data.store.lock import NotWritableError
from data.store.places import Places, is_url
from data.store.rows import by_kind, known_columns, known_kind, to_records, to_votes
from data.store.schema import check_version

if TYPE_CHECKING:
    from data.store.columns import Question
    from data.store.owner import Clock, Owner
    from data.store.postgres import PostgresStore

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
        if is_url(path):
            from data.store import postgres

            return postgres.open_view(os.fspath(path), create=create)
        store = cls(Places.of(path))
        if create or store._places.exist:
            store._refresh()
        return store

    @classmethod
    def own(cls, path: str | os.PathLike[str], *, clock: Clock | None = None) -> Owner:
        """Own the database until closed: for the one app. Created where it is absent.

        Args:
            path: The database file, or the URL of a PostgreSQL database, which any number of
                replicas may own at once.
            clock: The present in UTC epoch milliseconds; the system's by default.

        Raises:
            UserError: another process owns it (the message names its PID), or it is damaged.
        """
        if is_url(path):
            from data.store import replica

            return replica.own(os.fspath(path), clock=clock)
        return own(Places.of(path), clock=clock)

    @property
    def path(self) -> Path:
        """The database file, absolute, links followed."""
        return self._places.database

    def _refresh(self) -> None:
        """Look at the present through a snapshot of it."""
        try:
            ask_for_snapshot(self._places)
            view = snapshot.open_view(self._places.snapshot)
        except NotWritableError:
            view = elsewhere.open_view(self._places)
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
        new = hand_over(self._places, tables)
        self._behind = True
        return new

    def _look(self, question: Callable[[duckdb.DuckDBPyConnection], _Result]) -> _Result:
        with self._reading() as cursor:
            return question(cursor)

    def frame(self, kind: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Records of one kind as a Polars frame, one column per field, in insertion order.

        Kinds: those of `data.records.KINDS`. Mappings are JSON text; `prompts` and
        `pairs` have their identity in a first column `id`. Of scores and runs only the newest of
        each identity; votes all of them, in the order of their sequence numbers.

        Args:
            kind: One of the kinds.
            columns: Only these, in this order; all by default. A few narrow columns of a large
                database take a tenth of the time and memory of all of them.

        Raises:
            UserError: an unknown kind or column.
        """
        wanted = known_columns(known_kind(kind), columns)
        return self._look(lambda cursor: reading.frame(cursor, kind, wanted))

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
        return self._look(lambda cursor: reading.get(cursor, kind, identity))

    def pair(self, identity: str) -> Pair | None:
        """The pair with that id, or None."""
        return cast("Pair | None", self.get("pairs", identity))

    def votes_of(self, annotator: str) -> list[Vote]:
        """All votes of one annotator, revised ones and undos too, oldest first."""
        return to_votes(
            self._look(lambda cursor: reading.frame_where(cursor, "votes", "annotator", annotator))
        )

    def votes_on(self, pair: str) -> list[Vote]:
        """All votes about one pair, revised ones and undos too, oldest first."""
        return to_votes(
            self._look(lambda cursor: reading.frame_where(cursor, "votes", "pair", pair))
        )

    def scores_of(self, candidates: Sequence[str]) -> list[Score]:
        """The newest scores of a few clips, by their hashes."""
        few = list(candidates)
        return to_records(
            "scores",
            self._look(lambda cursor: reading.frame_among(cursor, "scores", "candidate", few)),
        )

    def votes_after(self, sequence: int) -> list[Vote]:
        """The votes with a higher sequence number, in order: what others have cast since."""
        return to_votes(self._look(lambda cursor: reading.votes_after(cursor, sequence)))

    def heads(self) -> dict[str, int]:
        """The newest row's number per kind; quick. Where it is the same, nothing was added."""
        return self._look(reading.heads)

    def labels(self, source: str) -> pl.DataFrame:
        """Labels of all pairs by a rule of `data.labels`, "auto" (as stored) or "human".

        Columns pair, prompt, chosen, rejected, probability, in the order of the pairs.
        """
        return self._look(lambda cursor: labelling.labels(cursor, source))

    def left_out(self, source: str) -> dict[str, int]:
        """How many pairs `labels` leaves out, by reason."""
        return self._look(lambda cursor: labelling.left_out(cursor, source))

    def evidence(self) -> pl.DataFrame:
        """Columns pair and votes: ids of the votes behind its `human` label, by time."""
        return self._look(labelling.evidence)

    def values(self, wanted: Sequence[tuple[str, str]]) -> pl.DataFrame:
        """The newest raw values of (scorer, dimension)s, a column each, a row per clip.

        Columns `candidate` and `scorer/dimension`s; of several versions the one scored last.
        """
        return self._look(lambda cursor: values.values(cursor, wanted))

    def agreement(self) -> pl.DataFrame:
        """How often people prefer the clip with the higher raw value, per dimension.

        Columns scorer, dimension, version, agreed, opposed, equal (votes on equal values), share.
        """
        return self._look(values.agreement)

    def ask(self, question: Question) -> pl.DataFrame:
        """The answer to one of the questions of `data.store.columns`."""
        return self._look(lambda cursor: reading.ask(cursor, question))

    def count(self, kind: str) -> int:
        """How many records of that kind `frame` would give."""
        known_kind(kind)
        return self._look(lambda cursor: reading.count(cursor, kind))

    @property
    def sequence(self) -> int:
        """Sequence number of the newest vote in view; 0 where there is none."""
        return self._look(reading.sequence)

    def digest(self, kind: str = "votes") -> str:
        """SHA-256 of the records of that kind in view, whatever order they came in."""
        known_kind(kind)
        return self._look(lambda cursor: reading.digest(cursor, kind))

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
    return add_tables(path, by_kind(records))


def add_tables(path: str | os.PathLike[str], tables: dict[str, pa.Table]) -> int:
    """`add` for records that are Arrow tables already (see `data.store.rows`)."""
    if not tables:
        return 0
    if is_url(path):
        with Store.open(path, create=True) as store:
            return cast("PostgresStore", store).add_tables(tables)
    return hand_over(Places.of(path), tables)

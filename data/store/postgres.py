"""The store on PostgreSQL: the same interface for several replicas of the app on several machines.

    Store.open("postgresql://user@host/name")     # a view of the moment, as with a file
    Store.own("postgresql://user@host/name")      # a replica (`replica.py`); any number at once

The server is the one that decides: it locks the slots, numbers the votes and flushes them to its
disk before a vote is acknowledged. There is no lock file, no journal beside it (the chain is in the
table) and no snapshot: a view is a sequence number per kind. Left out on purpose: training from it
directly. `python -m data.pull` brings it into a `prefs.duckdb`, from which everything else reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import duckdb
import polars as pl
import pyarrow as pa

from data.errors import UserError
from data.records import KINDS, Record, Score, Vote
from data.store import (
    labelling,
    postgres_schema,
    postgres_sql,
    postgres_votes,
    values,
)
from data.store.columns import Question
from data.store.postgres_link import Cursor, Link, run
from data.store.reading import digest_of
from data.store.rows import (
    IDENTITY,
    by_kind,
    known_columns,
    known_kind,
    to_records,
    to_votes,
)
from data.store.store import Store

_Result = TypeVar("_Result")
_FOR_LABELS = {
    "prompts": ["id"],
    "candidates": ["sha256"],
    "pairs": [],
    "votes": [],
    "decisions": [],
}
"""What labels are made of: these columns, or all of them."""


class PostgresStore(Store):
    """Records on PostgreSQL, as they were when this was opened; see `Store`."""

    def __init__(self, link: Link, marks: postgres_sql.Marks | None) -> None:
        """For `open_view` and `Replica`; use those."""
        self._link = link
        self._marks = marks
        self._behind = False  # own additions that the view does not show yet

    @property
    def path(self) -> Path:
        """A name for messages, without password; there is no file."""
        return Path(self._link.name)

    def _seen(self, cursor: Cursor) -> postgres_sql.Marks:
        """The newest sequence number in view, per kind."""
        if self._behind or self._marks is None:
            if not postgres_schema.check_version(cursor, self._link.name):
                raise postgres_schema.not_ready(cursor, self._link.name)
            self._marks, self._behind = postgres_sql.marks(cursor), False
        return self._marks

    def _read(self, task: Callable[[Cursor, postgres_sql.Marks], Any]) -> Any:
        return self._link.attempt(lambda cursor: task(cursor, self._seen(cursor)))

    def _table(
        self,
        kind: str,
        where: str = "true",
        parameters: tuple[Any, ...] = (),
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        def task(cursor: Cursor, view: postgres_sql.Marks) -> pa.Table:
            upto, values = f"seq <= %s AND ({where})", (view[kind], *parameters)
            return postgres_sql.table(cursor, kind, upto, values, columns=columns)

        return _frame(self._read(task))

    def _where(self, kind: str, column: str, value: str) -> pl.DataFrame:
        return self._table(kind, f'"{column}" = %s', (value,))

    def add(self, records: Iterable[Record]) -> int:
        """As `Store.add`."""
        return self.add_tables(by_kind(records))

    def add_tables(self, tables: dict[str, pa.Table]) -> int:
        """`add` for records that are Arrow tables already (see `data.store.rows`)."""
        if not tables:
            return 0
        mine: set[str] = set()
        votes = to_votes(_frame(tables["votes"])) if "votes" in tables else []
        others = {kind: tables[kind] for kind in KINDS if kind in tables and kind != "votes"}

        def task(cursor: Cursor) -> int:
            if not postgres_schema.check_version(cursor, self._link.name):
                postgres_schema.migrate(cursor, self._link.name)
            for kind, rows in others.items():
                postgres_sql.load(cursor, kind, rows)
            new = sum(postgres_sql.insert_new(cursor, kind) for kind in others)
            postgres_votes.store_new(cursor, votes, now_ms=self._clocked(cursor), mine=mine)
            return new

        new = self._link.attempt(task)
        self._link.attempt(lambda cursor: postgres_votes.receipts(cursor, votes, mine))
        self._behind = True
        return new + len(mine)

    def _clocked(self, cursor: Cursor) -> int:
        """The server's clock, UTC epoch milliseconds: replicas agree on it."""
        clock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
        return run(cursor, clock).fetchall()[0][0]

    def frame(self, kind: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """As `Store.frame`."""
        return self._table(kind, columns=known_columns(known_kind(kind), columns))

    def newer(self, kind: str, after: int, *, limit: int) -> tuple[pa.Table, int]:
        """Rows in view numbered from `after` + 1 to `after` + `limit`, and the last number asked.

        Of scores and runs the newest of each identity within that stretch. For `data.pull`.
        """

        def task(cursor: Cursor, view: postgres_sql.Marks) -> tuple[pa.Table, int]:
            last = min(view[kind], after + limit)
            between = "seq > %s AND seq <= %s"
            return postgres_sql.table(cursor, kind, between, (after, last)), last

        return self._read(task)

    def scores_of(self, candidates: Sequence[str]) -> list[Score]:
        """As `Store.scores_of`."""
        return to_records(
            "scores", self._table("scores", "candidate = ANY(%s)", (list(candidates),))
        )

    def spool(
        self, kind: str, columns: Sequence[str], file: Path, use: Callable[[Any], _Result]
    ) -> _Result:
        """What `use` makes of all records of one kind, handed to it piece by piece as Arrow."""

        def task(cursor: Cursor, view: postgres_sql.Marks) -> _Result:
            spool = file.with_name(f".{file.name}.csv")
            with postgres_sql.spooled(cursor, kind, columns, view[kind], spool) as rows:
                return use(rows)

        return self._read(task)

    def chain(self) -> str:
        """The chain value of the newest vote in view; empty where there is none."""
        wanted = 'SELECT "chain" FROM votes WHERE seq = %s'

        def task(cursor: Cursor, view: postgres_sql.Marks) -> str:
            return next(iter(run(cursor, wanted, [view["votes"]]).fetchall()), ("",))[0]

        return self._read(task)

    def votes_after(self, sequence: int) -> list[Vote]:
        """As `Store.votes_after`."""
        return to_votes(self._table("votes", "seq > %s", (sequence,)))

    def heads(self) -> dict[str, int]:
        """As `Store.heads`."""
        return self._read(lambda _, view: dict(view))

    def identity(self) -> str:
        """A random name that this database got when its tables were made."""
        return self._fact("database")

    def secret(self) -> bytes:
        """What the replicas sign cookies with: random, made with the tables, never pulled."""
        return self._fact("secret").encode()

    def _fact(self, key: str) -> str:
        wanted = 'SELECT "value" FROM meta WHERE "key" = %s'
        return self._read(lambda cursor, _: run(cursor, wanted, [key]).fetchall()[0][0])

    def get(self, kind: str, identity: str) -> Record | None:
        """As `Store.get`."""
        if known_kind(kind) == "scores":
            raise UserError("Scores are not looked up one by one; use frame('scores')")
        found = to_records(kind, self._where(kind, IDENTITY[kind][0], identity))
        return found[0] if found else None

    def votes_of(self, annotator: str) -> list[Vote]:
        """As `Store.votes_of`."""
        return to_votes(self._where("votes", "annotator", annotator))

    def votes_on(self, pair: str) -> list[Vote]:
        """As `Store.votes_on`."""
        return to_votes(self._where("votes", "pair", pair))

    def labels(self, source: str) -> pl.DataFrame:
        """As `Store.labels`; pairs and votes are read into memory for it."""
        return self._label(lambda cursor: labelling.labels(cursor, source))

    def left_out(self, source: str) -> dict[str, int]:
        """As `Store.left_out`."""
        return self._label(lambda cursor: labelling.left_out(cursor, source))

    def _label(
        self, question: Callable[[duckdb.DuckDBPyConnection], Any], *, scores: bool = False
    ) -> Any:
        def task(cursor: Cursor, view: postgres_sql.Marks) -> dict[str, pa.Table]:
            return {
                kind: postgres_sql.table(
                    cursor, kind, "seq <= %s", (view[kind],), columns=columns or None
                )
                for kind, columns in {**_FOR_LABELS, **({"scores": []} if scores else {})}.items()
            }

        return postgres_sql.beside(self._read(task), question)

    def ask(self, question: Question) -> pl.DataFrame:
        """As `Store.ask`."""
        sql, values = question.sql.replace("?", "%s"), list(question.values)
        rows = self._read(lambda cursor, _: run(cursor, sql, values).fetchall())
        return pl.DataFrame(rows, schema=question.schema, orient="row")

    def evidence(self) -> pl.DataFrame:
        """As `Store.evidence`."""
        return self._label(labelling.evidence)

    def values(self, wanted: Sequence[tuple[str, str]]) -> pl.DataFrame:
        """As `Store.values`; all scores are read into memory for it."""
        return self._label(lambda cursor: values.values(cursor, wanted), scores=True)

    def agreement(self) -> pl.DataFrame:
        """As `Store.agreement`; all scores are read into memory for it."""
        return self._label(values.agreement, scores=True)

    def count(self, kind: str) -> int:
        """As `Store.count`."""
        known_kind(kind)
        return self._read(lambda cursor, view: postgres_sql.count(cursor, kind, view[kind]))

    @property
    def sequence(self) -> int:
        """As `Store.sequence`."""
        return self._read(lambda _, view: view["votes"])

    def digest(self, kind: str = "votes") -> str:
        """As `Store.digest`: equal to a file's for equal content."""
        return digest_of(self.frame(kind))

    def close(self) -> None:
        """Let go of the connections. Closing twice is no error."""
        self._link.close()


def _frame(rows: pa.Table) -> pl.DataFrame:
    return cast(pl.DataFrame, pl.from_arrow(rows))


def open_view(url: str, *, create: bool = False) -> PostgresStore:
    """See `Store.open`."""
    link = Link(url)
    store = PostgresStore(link, None)
    try:
        if create:
            link.attempt(partial(migrated, link.name))
        if link.attempt(lambda cursor: postgres_schema.check_version(cursor, link.name)):
            store.heads()  # the view is of this moment
    except BaseException:
        link.close()
        raise
    return store


def migrated(name: str, cursor: Cursor) -> None:
    """Bring the tables to the newest version if they are not there yet."""
    if not postgres_schema.check_version(cursor, name):
        postgres_schema.migrate(cursor, name)

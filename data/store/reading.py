"""Questions to the tables, and the conditions that questions elsewhere in this package share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pyarrow as pa
from polars import selectors

from data.records import NEVER_TRAINS, Record
from data.store.rows import IDENTITY, REPLACING, SCHEMAS, json_text, to_records

if TYPE_CHECKING:
    from data.store.columns import Question

STANDING = """votes ANTI JOIN (SELECT revises FROM votes WHERE revises IS NOT NULL) AS newer
  ON votes.id = newer.revises"""
"""Votes that nothing revises; `undo` rows are still among them, and several of one annotator."""
CHECKS_PEOPLE = "split_part(strategy, ':', 1) IN ({})".format(
    ", ".join(f"'{word}'" for word in NEVER_TRAINS)
)
"""Condition: the pair checks people (not `Pair.trains`)."""
_FEW = 256
"""Up to so many ids, a lookup by the key is faster than a join with the whole table."""


def quoted(names: Sequence[str]) -> str:
    """Column names as SQL: `left` and `right` are words of the language."""
    return ", ".join(f'"{name}"' for name in names)


def newest(kind: str) -> str:
    """The end of a SELECT of the rows that count: of replacing kinds the newest of an identity."""
    if kind not in REPLACING:
        return ""
    same = quoted(IDENTITY[kind])
    return f" QUALIFY row_number() OVER (PARTITION BY {same} ORDER BY seq DESC) = 1"


def select(
    kind: str, where: str = "true", *, extra: str = "", columns: Sequence[str] | None = None
) -> str:
    """Rows that count, in insertion order; of replacing kinds the newest of each identity."""
    names = SCHEMAS[kind].names if columns is None else columns
    rows = f"SELECT {quoted(names)}{extra} FROM {kind} WHERE {where}"
    return f"{rows}{newest(kind)} ORDER BY seq"


def frame(
    cursor: duckdb.DuckDBPyConnection, kind: str, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """All rows of one kind that count, one column per field, in insertion order."""
    return cursor.sql(select(kind, columns=columns)).pl()


def frame_where(
    cursor: duckdb.DuckDBPyConnection, kind: str, column: str, value: str
) -> pl.DataFrame:
    """The rows of one kind whose `column` is `value`, in insertion order."""
    return cursor.sql(select(kind, f'"{column}" = ?'), params=[value]).pl()


def frame_among(
    cursor: duckdb.DuckDBPyConnection, kind: str, column: str, values: Sequence[str]
) -> pl.DataFrame:
    """The rows of one kind whose `column` is one of a few `values`, in insertion order."""
    marks = ", ".join("?" * len(values)) or "NULL"
    return cursor.sql(select(kind, f'"{column}" IN ({marks})'), params=list(values)).pl()


def get(cursor: duckdb.DuckDBPyConnection, kind: str, identity: str) -> Record | None:
    """The record with that id, or None. Not for scores: their identity has four columns."""
    column = IDENTITY[kind][0]
    found = to_records(kind, frame_where(cursor, kind, column, identity))
    return found[0] if found else None


def count(cursor: duckdb.DuckDBPyConnection, kind: str) -> int:
    """How many records of one kind count."""
    if kind not in REPLACING:
        return cursor.execute(f"SELECT count(*) FROM {kind}").fetchall()[0][0]
    distinct = f"SELECT DISTINCT {quoted(IDENTITY[kind])} FROM {kind}"
    return cursor.execute(f"SELECT count(*) FROM ({distinct})").fetchall()[0][0]


def sequence(cursor: duckdb.DuckDBPyConnection) -> int:
    """Sequence number of the newest vote; 0 where there is none."""
    return cursor.execute("SELECT coalesce(max(seq), 0) FROM votes").fetchall()[0][0]


def newest_vote(cursor: duckdb.DuckDBPyConnection) -> tuple[int, int, str, int]:
    """How many votes, the newest sequence number, its chain value ("" for none), its time."""
    total, newest = cursor.execute("SELECT count(*), coalesce(max(seq), 0) FROM votes").fetchall()[
        0
    ]
    last = cursor.execute('SELECT "chain", time_ms FROM votes WHERE seq = ?', [newest]).fetchall()
    chain, time_ms = last[0] if last else ("", 0)
    return total, newest, chain, time_ms


def rows_by_id(
    cursor: duckdb.DuckDBPyConnection, kind: str, ids: Sequence[str], columns: Sequence[str]
) -> dict[str, tuple[Any, ...]]:
    """The wanted columns of those of `ids` that exist."""
    key, wanted = IDENTITY[kind][0], quoted(columns)
    unique = list(dict.fromkeys(ids))
    rows: list[tuple[Any, ...]] = []
    if len(unique) <= _FEW:
        marks = ", ".join("?" * len(unique))
        lookup = f'SELECT "{key}", {wanted} FROM {kind} WHERE "{key}" IN ({marks})'
        rows = cursor.execute(lookup, unique).fetchall() if unique else []
    else:
        cursor.register("wanted_ids", pa.table({"wanted": pa.array(unique, pa.string())}))
        join = f'SELECT "{key}", {wanted} FROM {kind} JOIN wanted_ids ON "{key}" = wanted'
        rows = cursor.execute(join).fetchall()
        cursor.unregister("wanted_ids")
    return {row[0]: row[1:] for row in rows}


def heads(cursor: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """The newest `seq` of every kind; rows are numbered from 1."""
    newest = [f"SELECT '{kind}', coalesce(max(seq), 0) FROM {kind}" for kind in SCHEMAS]
    return dict(cursor.execute(" UNION ALL ".join(newest)).fetchall())


def votes_after(cursor: duckdb.DuckDBPyConnection, after: int) -> pl.DataFrame:
    """Votes with `seq` above `after`, in order, with the columns that the journal needs too."""
    where = f"seq > {int(after)}"
    return cursor.sql(select("votes", where, extra=', seq, salt, "chain"')).pl()


def votes_between(cursor: duckdb.DuckDBPyConnection, after: int, upto: int) -> pl.DataFrame:
    """As `votes_after`, up to `upto`: a long table need not fit into memory."""
    where = f"seq > {int(after)} AND seq <= {int(upto)}"
    return cursor.sql(select("votes", where, extra=', seq, salt, "chain"')).pl()


def ask(cursor: duckdb.DuckDBPyConnection, question: Question) -> pl.DataFrame:
    """The answer to a question of `data.store.columns`."""
    rows = cursor.sql(question.sql, params=list(question.values)).pl()
    return rows.cast(dict(question.schema))


def standing_votes(cursor: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Every vote that nothing revises, in order: key, annotator, seq, answers.

    `key` is the first 64 bits of the pair's id. A skip stands, but `answers` nothing.
    """
    return cursor.sql(
        "SELECT CAST('0x' || left(pair, 16) AS UBIGINT) AS \"key\", annotator, seq, "
        f"outcome <> 'skip' AS answers FROM {STANDING} WHERE outcome <> 'undo' ORDER BY seq"
    ).pl()


def digest(cursor: duckdb.DuckDBPyConnection, kind: str) -> str:
    """SHA-256 over the rows of one kind, whatever order they came in, 64 hex digits."""
    return digest_of(frame(cursor, kind))


def digest_of(rows: pl.DataFrame) -> str:
    """SHA-256 over the rows of a frame of any engine, whatever order they came in."""
    rows = rows.with_columns(selectors.float().replace(-0.0, 0.0))  # one engine loses the sign
    hashes = sorted(hashlib.sha256(json_text(row).encode()).digest() for row in rows.iter_rows())
    return hashlib.sha256(b"".join(hashes)).hexdigest()


def stored_sequences(cursor: duckdb.DuckDBPyConnection) -> set[int]:
    """The sequence numbers of all votes in the table."""
    return set(cursor.sql("SELECT seq FROM votes").pl()["seq"])

"""New rows into the tables, numbered on from the last, inside a transaction of the caller."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import duckdb
import pyarrow as pa

from data.records import KINDS, Vote
from data.store.database import transaction
from data.store.journal import Entry
from data.store.reading import newest, quoted
from data.store.rows import IDENTITY, REPLACING, SCHEMAS, payloads_table, to_table, vote_row

_VOTE_COLUMNS = [*SCHEMAS["votes"].names, "seq", "salt", "chain"]
_FEW = 32
"""Up to so many rows, a plain statement is faster than registering an Arrow table."""


def insert_beside(cursor: duckdb.DuckDBPyConnection, tables: dict[str, pa.Table]) -> int:
    """`insert_others` in a transaction of its own, on a cursor beside the one that takes votes."""
    with transaction(cursor):
        return insert_others(cursor, tables)


def insert_others(cursor: duckdb.DuckDBPyConnection, tables: dict[str, pa.Table]) -> int:
    """Every kind but the votes, in the order of `KINDS`; how many were new."""
    others = [kind for kind in KINDS if kind in tables and kind != "votes"]
    return sum(insert_new(cursor, kind, tables[kind]) for kind in others)


def insert_new(cursor: duckdb.DuckDBPyConnection, kind: str, table: pa.Table) -> int:
    """Append the rows that the table lacks; the number of identities that are new.

    Of `REPLACING` kinds (scores, runs) a row that differs from the newest of its identity is
    appended too, and counts from then on, but is not new. Not for votes: they are journalled.
    """
    key = IDENTITY[kind]
    same = " AND ".join(f'known."{name}" = incoming."{name}"' for name in key)
    keep = "DESC" if kind in REPLACING else "ASC"
    places = pa.array(range(table.num_rows), pa.int64())
    cursor.register("arrived", table.append_column("place", places))
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE incoming AS SELECT * FROM arrived "
        f"QUALIFY row_number() OVER (PARTITION BY {quoted(key)} ORDER BY place {keep}) = 1"
    )
    cursor.unregister("arrived")
    absent = f"NOT EXISTS (SELECT 1 FROM {kind} AS known WHERE {same})"
    counted = f"SELECT count(*) FROM incoming WHERE {absent}"
    new = cursor.execute(counted).fetchall()[0][0]
    wanted = _differs(kind) if kind in REPLACING else absent
    append(cursor, kind, f"incoming WHERE {wanted}", order="place")
    cursor.execute("DROP TABLE incoming")
    return new


def append(cursor: duckdb.DuckDBPyConnection, kind: str, rows: str, *, order: str) -> None:
    """Append `rows` (what stands after FROM) in the order of a column, numbered on."""
    columns = quoted(SCHEMAS[kind].names)
    cursor.execute(
        f"INSERT INTO {kind} (seq, {columns}) "
        f"SELECT (SELECT coalesce(max(seq), 0) FROM {kind}) + "
        f"row_number() OVER (ORDER BY {order}), {columns} FROM {rows} ORDER BY {order}"
    )


def _differs(kind: str) -> str:
    """Condition: no row of the same identity that is newest and equal in every column."""
    key = IDENTITY[kind]
    values = [name for name in SCHEMAS[kind].names if name not in key]
    same = " AND ".join(f'newest."{name}" = incoming."{name}"' for name in key)
    equal = " AND ".join(
        f'newest."{name}" IS NOT DISTINCT FROM incoming."{name}"' for name in values
    )
    return (
        f"NOT EXISTS (SELECT 1 FROM (SELECT * FROM {kind} "
        f'WHERE "{key[0]}" IN (SELECT "{key[0]}" FROM incoming){newest(kind)}) AS newest '
        f"WHERE {same} AND {equal})"
    )


def insert_votes(
    cursor: duckdb.DuckDBPyConnection, votes: Sequence[Vote], entries: Sequence[Entry]
) -> None:
    """Append journalled votes with their place in the journal."""
    if len(votes) > _FEW:
        _append(cursor, to_table("votes", votes), entries)
        return
    rows = [
        [*vote_row(vote), entry.seq, entry.salt, entry.chain]
        for vote, entry in zip(votes, entries, strict=True)
    ]
    marks = f"({', '.join('?' * len(_VOTE_COLUMNS))})"
    values = ", ".join([marks] * len(rows))
    statement = f"INSERT INTO votes ({quoted(_VOTE_COLUMNS)}) VALUES {values}"
    cursor.execute(statement, list(itertools.chain.from_iterable(rows)))


def insert_entries(cursor: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> None:
    """`insert_votes` of many from the journal's lines alone."""
    _append(cursor, payloads_table([entry.payload for entry in entries]), entries)


def _append(cursor: duckdb.DuckDBPyConnection, table: pa.Table, entries: Sequence[Entry]) -> None:
    table = table.append_column("seq", pa.array([entry.seq for entry in entries], pa.int64()))
    table = table.append_column("salt", pa.array([entry.salt for entry in entries], pa.string()))
    table = table.append_column("chain", pa.array([entry.chain for entry in entries], pa.string()))
    columns = quoted(_VOTE_COLUMNS)
    cursor.register("arrived", table)
    cursor.execute(f"INSERT INTO votes ({columns}) SELECT {columns} FROM arrived ORDER BY seq")
    cursor.unregister("arrived")

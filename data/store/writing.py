"""Rows into the tables, inside a transaction of the caller. Every INSERT of records is here."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from data.records import Vote
from data.store.journal import Entry
from data.store.reading import quoted
from data.store.rows import IDENTITY, REPLACING, SCHEMAS, to_table, vote_row

_FEW = 32
"""Up to so many rows, plain statements are faster than registering an Arrow table."""


def insert_new(cursor: duckdb.DuckDBPyConnection, kind: str, table: pa.Table) -> int:
    """Append the rows that the table lacks; the number of identities that are new.

    Of `REPLACING` kinds (scores, runs) a row that differs from the newest of its identity is
    appended too, and counts from then on, but is not new. Not for votes: they are journalled.
    """
    key, columns = IDENTITY[kind], quoted(SCHEMAS[kind].names)
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
    cursor.execute(
        f"INSERT INTO {kind} (seq, {columns}) "
        f"SELECT (SELECT coalesce(max(seq), 0) FROM {kind}) + row_number() OVER (ORDER BY place), "
        f"{columns} FROM incoming WHERE {wanted} ORDER BY place"
    )
    cursor.execute("DROP TABLE incoming")
    return new


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
        f'WHERE "{key[0]}" IN (SELECT "{key[0]}" FROM incoming) QUALIFY row_number() '
        f"OVER (PARTITION BY {quoted(key)} ORDER BY seq DESC) = 1) AS newest "
        f"WHERE {same} AND {equal})"
    )


def insert_votes(
    cursor: duckdb.DuckDBPyConnection, votes: list[Vote], entries: list[Entry]
) -> None:
    """Append journalled votes with their place in the journal."""
    columns = quoted([*SCHEMAS["votes"].names, "seq", "salt", "chain"])
    if len(votes) <= _FEW:
        marks = ", ".join("?" * (len(SCHEMAS["votes"]) + 3))
        statement = f"INSERT INTO votes ({columns}) VALUES ({marks})"
        for vote, entry in zip(votes, entries, strict=True):
            cursor.execute(statement, [*vote_row(vote), entry.seq, entry.salt, entry.chain])
        return
    table = to_table("votes", votes)
    table = table.append_column("seq", pa.array([entry.seq for entry in entries], pa.int64()))
    table = table.append_column("salt", pa.array([entry.salt for entry in entries], pa.string()))
    table = table.append_column("chain", pa.array([entry.chain for entry in entries], pa.string()))
    cursor.register("arrived", table)
    cursor.execute(f"INSERT INTO votes ({columns}) SELECT {columns} FROM arrived ORDER BY seq")
    cursor.unregister("arrived")

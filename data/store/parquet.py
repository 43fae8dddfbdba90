"""One kind of records as a Parquet file, streamed: memory does not grow with the table."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from data.records import KINDS
from data.store.database import disk_trouble
from data.store.reading import select, sequence
from data.store.rows import SCHEMAS, known_kind
from data.store.schema import NEWEST, check_version, meta
from data.store.store import Store

COLUMNS: dict[str, tuple[str, ...]] = {
    kind: (*(["seq"] if kind == "votes" else []), *SCHEMAS[kind].names) for kind in KINDS
}
"""The columns of every file, in order; docs/data.md explains them."""


def write_parquet(store: Store, kind: str, file: Path) -> int:
    """Write the records of one kind that count, in insertion order; how many.

    The same records give the same bytes (with the same DuckDB). Votes have their sequence number
    as a first column.
    """
    from data.store.postgres import PostgresStore  # here: its driver takes a moment to import

    if isinstance(store, PostgresStore):
        return store.spool(known_kind(kind), COLUMNS[kind], file, partial(_write, file=file))
    rows = select(kind, columns=COLUMNS[known_kind(kind)])
    with disk_trouble(file), store._reading() as cursor:
        return _copy(cursor, rows, file)


def _copy(cursor: duckdb.DuckDBPyConnection, query: str, file: Path) -> int:
    path = str(file).replace("'", "''")
    written = cursor.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
    return written.fetchall()[0][0]


def _write(rows: pa.RecordBatchReader | pa.Table, *, file: Path) -> int:
    with disk_trouble(file), contextlib.closing(duckdb.connect()) as cursor:
        cursor.register("arrived", rows)
        return _copy(cursor, "FROM arrived", file)


def origin(store: Store) -> dict[str, Any]:
    """Which database it is, and at which vote: its identity, schema, sequence number and chain."""
    from data.store.postgres import PostgresStore

    if isinstance(store, PostgresStore):
        return {
            "database": store.identity(),
            "schema": NEWEST,
            "sequence": store.sequence,
            "chain": store.chain(),
        }
    with store._reading() as cursor:
        facts = meta(cursor)
        return {
            "database": facts["database"],
            "schema": check_version(cursor, store.path),
            "sequence": sequence(cursor),
            "chain": facts.get("chain", ""),
        }

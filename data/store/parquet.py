"""One kind of records as a Parquet file, streamed: memory does not grow with the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data.records import KINDS
from data.store.database import disk_trouble
from data.store.reading import quoted, sequence
from data.store.rows import IDENTITY, REPLACING, SCHEMAS, known_kind
from data.store.schema import check_version, meta
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
    columns = quoted(COLUMNS[known_kind(kind)])
    rows = f"SELECT {columns}, seq AS place FROM {kind}"
    if kind in REPLACING:
        same = quoted(IDENTITY[kind])
        rows += f" QUALIFY row_number() OVER (PARTITION BY {same} ORDER BY seq DESC) = 1"
    path = str(file).replace("'", "''")
    with disk_trouble(file), store._reading() as cursor:
        written = cursor.execute(
            f"COPY (SELECT * EXCLUDE (place) FROM ({rows}) ORDER BY place) TO '{path}' "
            "(FORMAT parquet, COMPRESSION zstd)"
        )
        return written.fetchall()[0][0]


def origin(store: Store) -> dict[str, Any]:
    """Which database it is, and at which vote: its identity, schema, sequence number and chain."""
    with store._reading() as cursor:
        facts = meta(cursor)
        return {
            "database": facts["database"],
            "schema": check_version(cursor, store.path),
            "sequence": sequence(cursor),
            "chain": facts.get("chain", ""),
        }

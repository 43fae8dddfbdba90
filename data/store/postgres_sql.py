"""Rows in and out of PostgreSQL, inside a transaction of the caller. CSV by COPY both ways.

A view is a number per kind: tables only grow and their `seq` becomes visible in order, so that
`seq <= mark` is the same set of rows for ever, without a transaction being held open for it.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyarrow import csv

from data.store.postgres_link import Cursor, run
from data.store.reading import quoted
from data.store.rows import IDENTITY, REPLACING, SCHEMAS

Marks = dict[str, int]
_LARGEST_ROW = 1 << 26
"""Bytes of one CSV block, 64 MiB: a row must fit into it."""


def marks(cursor: Cursor) -> Marks:
    """The newest `seq` of every kind, all of one moment."""
    return dict(run(cursor, "SELECT kind, newest FROM heads").fetchall())


def counting(kind: str, columns: Sequence[str], where: str) -> str:
    """SELECT of the rows that count, in insertion order; the newest of each where they replace."""
    wanted = quoted(columns)
    if kind not in REPLACING:
        return f"SELECT {wanted} FROM {kind} WHERE {where} ORDER BY seq"
    key = quoted(IDENTITY[kind])
    newest = f"SELECT DISTINCT ON ({key}) * FROM {kind} WHERE {where} ORDER BY {key}, seq DESC"
    return f"SELECT {wanted} FROM ({newest}) AS newest ORDER BY seq"


def table(
    cursor: Cursor,
    kind: str,
    where: str = "true",
    parameters: Sequence[Any] = (),
    *,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Rows of one kind that count, as Arrow: the columns asked for, or those of `SCHEMAS`."""
    names = SCHEMAS[kind].names if columns is None else columns
    statement = f"COPY ({counting(kind, names, where)}) TO STDOUT (FORMAT csv)"
    with cursor.copy(statement.encode(), parameters or None) as copy:
        text = b"".join(bytes(block) for block in copy)
    schema = _schema(kind, names)
    if not text:
        return schema.empty_table()
    return csv.read_csv(io.BytesIO(text), **_options(schema, min(len(text) + 1, _LARGEST_ROW)))


def _schema(kind: str, names: Sequence[str]) -> pa.Schema:
    fields = {**{field.name: field for field in SCHEMAS[kind]}, "seq": pa.field("seq", pa.int64())}
    return pa.schema([fields[name] for name in names])


def _options(schema: pa.Schema, block: int) -> dict[str, Any]:
    """How PostgreSQL's CSV is read: nothing at all is NULL, "" is an empty text."""
    return {
        "read_options": csv.ReadOptions(column_names=schema.names, block_size=block),
        "parse_options": csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        "convert_options": csv.ConvertOptions(
            column_types=schema,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    }


@contextlib.contextmanager
def spooled(
    cursor: Cursor, kind: str, columns: Sequence[str], upto: int, file: Path
) -> Iterator[pa.RecordBatchReader | pa.Table]:
    """The rows of one kind that count, up to a number, read back from `file` piece by piece.

    The file lies there while the block runs: memory does not grow with the table.
    """
    statement = f"COPY ({counting(kind, columns, 'seq <= %s')}) TO STDOUT (FORMAT csv)"
    try:
        with cursor.copy(statement.encode(), [upto]) as copy, file.open("wb") as out:
            for block in copy:
                out.write(block)
        schema = _schema(kind, columns)
        if file.stat().st_size:
            yield csv.open_csv(file, **_options(schema, _LARGEST_ROW))
        else:
            yield schema.empty_table()
    finally:
        file.unlink(missing_ok=True)


def beside(tables: dict[str, pa.Table], question: Callable[..., Any]) -> Any:
    """Ask DuckDB, in memory, a question about these kinds, each in its order."""
    with contextlib.closing(duckdb.connect()) as memory:
        for kind, rows in tables.items():
            places = pa.array(range(1, rows.num_rows + 1), pa.int64())
            memory.register(kind, rows.append_column("seq", places))
        return question(memory)


def count(cursor: Cursor, kind: str, mark: int) -> int:
    """How many records of one kind count, up to `mark`."""
    if kind not in REPLACING:
        return mark  # numbered from 1 without a gap
    distinct = f"SELECT DISTINCT {quoted(IDENTITY[kind])} FROM {kind} WHERE seq <= %s"
    return run(cursor, f"SELECT count(*) FROM ({distinct}) AS found", [mark]).fetchall()[0][0]


def rows_by_id(
    cursor: Cursor, kind: str, ids: Sequence[str], columns: Sequence[str]
) -> dict[str, tuple[Any, ...]]:
    """The wanted columns of those of `ids` that exist."""
    if not ids:
        return {}
    key = IDENTITY[kind][0]
    statement = f'SELECT "{key}", {quoted(columns)} FROM {kind} WHERE "{key}" = ANY(%s)'
    return {row[0]: row[1:] for row in run(cursor, statement, [list(ids)]).fetchall()}


def load(cursor: Cursor, kind: str, rows: pa.Table) -> None:
    """Put rows into the temporary table `arrived_<kind>`, with their `place`."""
    columns = quoted([*SCHEMAS[kind].names, "place"])
    run(
        cursor,
        f"CREATE TEMP TABLE arrived_{kind} ON COMMIT DROP AS "
        f"SELECT {quoted(SCHEMAS[kind].names)}, seq AS place FROM {kind} LIMIT 0",
    )
    placed = rows.append_column("place", pa.array(range(rows.num_rows), pa.int64()))
    sink = io.BytesIO()
    csv.write_csv(placed, sink, csv.WriteOptions(include_header=False))
    statement = f"COPY arrived_{kind} ({columns}) FROM STDIN (FORMAT csv)"
    with cursor.copy(statement.encode()) as copy:
        copy.write(sink.getvalue())
    run(cursor, f"ANALYZE arrived_{kind}")


def insert_new(cursor: Cursor, kind: str) -> int:
    """Append what was loaded and the table lacks; the number of identities that are new.

    As `data.store.writing.insert_new`. The head of the kind is locked, so that of two replicas that
    add the same at once one waits and finds it there.
    """
    newest = run(cursor, "SELECT newest FROM heads WHERE kind = %s FOR UPDATE", [kind])
    start = newest.fetchall()[0][0]
    key, columns = quoted(IDENTITY[kind]), quoted(SCHEMAS[kind].names)
    keep = "DESC" if kind in REPLACING else "ASC"
    run(
        cursor,
        f"CREATE TEMP TABLE once_{kind} ON COMMIT DROP AS SELECT incoming.*, "
        f"known.seq IS NULL AS is_new FROM (SELECT DISTINCT ON ({key}) * FROM arrived_{kind} "
        f"ORDER BY {key}, place {keep}) AS incoming LEFT JOIN (SELECT DISTINCT ON ({key}) * "
        f"FROM {kind} JOIN (SELECT DISTINCT {key} FROM arrived_{kind}) AS asked USING ({key}) "
        f"ORDER BY {key}, seq DESC) AS known ON {_equal(IDENTITY[kind], '=')} "
        f"WHERE known.seq IS NULL OR {_changed(kind)}",
    )
    inserted = run(
        cursor,
        f"INSERT INTO {kind} (seq, {columns}) SELECT %s + row_number() OVER (ORDER BY place), "
        f"{columns} FROM once_{kind} ORDER BY place",
        [start],
    ).rowcount
    run(cursor, "UPDATE heads SET newest = newest + %s WHERE kind = %s", [inserted, kind])
    new = run(cursor, f"SELECT count(*) FROM once_{kind} WHERE is_new")
    return new.fetchall()[0][0]


def _equal(names: Sequence[str], how: str) -> str:
    return " AND ".join(f'known."{name}" {how} incoming."{name}"' for name in names)


def _changed(kind: str) -> str:
    """Condition: a record that replaces says something else than the newest."""
    if kind not in REPLACING:
        return "false"
    values = [name for name in SCHEMAS[kind].names if name not in IDENTITY[kind]]
    return f"NOT ({_equal(values, 'IS NOT DISTINCT FROM')})"

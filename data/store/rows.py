"""Records to Arrow tables and back.

A table has one column per field of the record, in the record's order; mappings are JSON text with
sorted keys. `prompts` and `pairs`, whose identity is derived, carry it as a first column `id`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import polars as pl
import pyarrow as pa

from data.errors import UserError
from data.records import KINDS, Record, Vote

_TEXT, _WHOLE, _REAL, _FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()


def _fields(text: str, **others: pa.DataType) -> list[tuple[str, pa.DataType]]:
    return [(name, others.get(name, _TEXT)) for name in text.split()]


SCHEMAS: dict[str, pa.Schema] = {
    "prompts": pa.schema(_fields("id text split source")),
    "candidates": pa.schema(
        _fields(
            "sha256 prompt path model adapter seed settings fps frames width height",
            seed=_WHOLE,
            fps=_REAL,
            frames=_WHOLE,
            width=_WHOLE,
            height=_WHOLE,
        )
    ),
    "scores": pa.schema(_fields("candidate scorer version dimension value", value=_REAL)),
    "pairs": pa.schema(
        _fields("id prompt a b best profile margin strategy campaign", margin=_REAL)
    ),
    "votes": pa.schema(
        _fields(
            "id pair annotator left right outcome preferred strength unusable answers exposure "
            "revises reason seconds watched time_ms",
            unusable=_FLAG,
            seconds=_REAL,
            time_ms=_WHOLE,
        )
    ),
    "runs": pa.schema(
        _fields(
            "id kind config code snapshot labels folder started_ms finished_ms metrics",
            snapshot=_WHOLE,
            started_ms=_WHOLE,
            finished_ms=_WHOLE,
        )
    ),
    "decisions": pa.schema(_fields("id topic subject values by time_ms", time_ms=_WHOLE)),
}
"""Columns of every kind, in the order of `KINDS`."""

IDENTITY: dict[str, tuple[str, ...]] = {
    "prompts": ("id",),
    "candidates": ("sha256",),
    "scores": ("candidate", "scorer", "version", "dimension"),
    "pairs": ("id",),
    "votes": ("id",),
    "runs": ("id",),
    "decisions": ("id",),
}
"""The columns that make a record the same record."""

REPLACING = frozenset({"scores", "runs"})
"""Kinds of which the newest of one identity counts; of the others the first one stays."""

_JSON = frozenset({"settings", "answers", "watched", "config", "metrics", "values"})
_DERIVED = frozenset({"prompts", "pairs"})


def known_kind(kind: str) -> str:
    """`kind` itself.

    Raises:
        UserError: where the store holds no such kind.
    """
    if kind not in KINDS:
        raise UserError(f"The store holds no {kind!r}; it holds {', '.join(KINDS)}")
    return kind


def known_columns(kind: str, columns: Sequence[str] | None) -> Sequence[str]:
    """The columns to read: those asked for, or all of that kind.

    Raises:
        UserError: where the kind has no such column.
    """
    names = SCHEMAS[kind].names
    unknown = set(columns or ()) - set(names)
    if unknown:
        raise UserError(f"{kind} have no column {min(unknown)!r}; they have {', '.join(names)}")
    return names if columns is None else columns


def kind_of(record: Record) -> str:
    """The name of the record's kind, such as `votes`."""
    for kind, record_type in KINDS.items():
        if isinstance(record, record_type):
            return kind
    raise TypeError(f"{record!r} is no record of the store; allowed are {', '.join(KINDS)}")


def json_text(value: object) -> str:
    """JSON with sorted keys and no spaces: equal mappings have equal text."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _column(name: str, records: Sequence[Record]) -> list[Any]:
    values = [getattr(record, name) for record in records]
    if name in _JSON:
        return [json_text(dict(value)) for value in values]
    return values


def to_table(kind: str, records: Sequence[Record]) -> pa.Table:
    """Records of one kind as Arrow.

    Raises:
        UserError: where a value cannot be stored (a whole number beyond 64 bits, half of a
            surrogate pair in a text).
    """
    schema = SCHEMAS[kind]
    columns = []
    for field in schema:
        try:
            columns.append(pa.array(_column(field.name, records), type=field.type))
        except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
            raise UserError(
                f"The column {field.name!r} of these {kind} cannot be stored as {field.type}: "
                f"{error}"
            ) from error
    return pa.table(columns, schema=schema)


def by_kind(records: Iterable[Record]) -> dict[str, pa.Table]:
    """Mixed records as one Arrow table per kind, in the order of `KINDS` (votes after pairs)."""
    sorted_out: dict[str, list[Record]] = {kind: [] for kind in KINDS}
    for record in records:
        sorted_out[kind_of(record)].append(record)
    return {kind: to_table(kind, some) for kind, some in sorted_out.items() if some}


def to_records(kind: str, frame: pl.DataFrame) -> list[Any]:
    """A frame as `Store.frame` gives it, as records in the same order."""
    build = cast(Callable[..., Record], KINDS[kind])
    if kind in _DERIVED:
        frame = frame.drop("id")
    mappings = [name for name in frame.columns if name in _JSON]
    records = []
    for row in frame.iter_rows(named=True):
        for name in mappings:
            row[name] = json.loads(row[name])
        records.append(build(**row))
    return records


def to_votes(frame: pl.DataFrame) -> list[Vote]:
    """`to_records` of votes, from a frame that may have further columns."""
    return to_records("votes", frame.select(SCHEMAS["votes"].names))


def vote_row(vote: Vote) -> list[Any]:
    """The values of a vote in the order of its columns."""
    return [_column(field.name, [vote])[0] for field in SCHEMAS["votes"]]


def vote_payload(vote: Vote) -> str:
    """What the journal keeps of a vote: all its fields as JSON with sorted keys."""
    fields = {field.name: getattr(vote, field.name) for field in SCHEMAS["votes"]}
    return json_text(
        {
            name: dict(value) if isinstance(value, Mapping) else value
            for name, value in fields.items()
        }
    )


def vote_of_payload(payload: str) -> Vote:
    """The inverse of `vote_payload`."""
    return Vote(**json.loads(payload))


def payloads_table(payloads: Iterable[str]) -> pa.Table:
    """Votes as Arrow straight from what the journal keeps: no record per vote, for millions."""
    schema = SCHEMAS["votes"]
    rows = [json.loads(payload) for payload in payloads]
    columns = []
    for field in schema:
        values = [row[field.name] for row in rows]
        texts = map(json_text, values) if field.name in _JSON else values
        columns.append(pa.array(texts, type=field.type))
    return pa.table(columns, schema=schema)

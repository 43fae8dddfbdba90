"""Rows of a file of votes with their places in it: CSV, TSV, JSONL, JSON (a list), Parquet.

Every cell of a CSV is text: annotator "007" is not 7. A file that cannot be parsed as a whole is an
error; what a row says is the business of `data.ballots`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from data import prompts
from data.errors import UserError

Row = tuple[int, Mapping[str, Any]]


def _delimited(separator: str) -> Callable[[Path], Iterator[Row]]:
    def rows(path: Path) -> Iterator[Row]:
        reader = csv.DictReader(io.StringIO(prompts.text_of(path)), delimiter=separator)
        try:
            names = [name for name in reader.fieldnames or () if name]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise UserError(f"{path} has the column {twice[0]!r} twice; keep one")
            for row in reader:
                if None in row or None in row.values():
                    raise UserError(
                        f"{path} line {reader.line_num} does not have as many cells as the first "
                        "line"
                    )
                yield reader.line_num, row
        except csv.Error as error:  # a cell without end, mostly: a quotation mark left open
            raise UserError(
                f"{path} line {reader.line_num + 1} cannot be parsed: {error}"
            ) from error

    return rows


def _json_lines(path: Path) -> Iterator[Row]:
    for line, text in enumerate(prompts.text_of(path).split("\n"), start=1):
        if text.strip():
            yield line, _object(path, f"line {line}", text)


def _json(path: Path) -> Iterator[Row]:
    found = _parsed(path, "", prompts.text_of(path))
    if not isinstance(found, list):
        raise UserError(f"{path} must be a list of objects [{{...}}, ...], one vote each")
    for index, row in enumerate(found, start=1):
        yield index, _object(path, f"element {index}", row)


def _parsed(path: Path, where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path} {where} is not JSON: {error}") from error


def _object(path: Path, where: str, row: Any) -> Mapping[str, Any]:
    row = _parsed(path, where, row) if isinstance(row, str) else row
    if not isinstance(row, dict):
        raise UserError(f"{path} {where} must be an object {{...}}, one vote each")
    return row


def _parquet(path: Path) -> Iterator[Row]:
    try:
        table = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    yield from enumerate(table.iter_rows(named=True), start=1)


ROWS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".parquet": _parquet,
}
"""Suffix -> reader of rows, each with its place in the file. A new format is a new line here."""

"""Clips that other people describe, read from their manifests: CSV, TSV, JSONL, Parquet.

Each row becomes an `Entry`. What is wrong with one (no prompt, a seed that is no number) is written
into it, so that the rest can go in and nothing is guessed. Folders without a manifest are read by
`data.folders`.

Columns, in any case: prompt | caption | text; video | path | file | clip | file_name |
filename; model | generator; adapter; seed; fps; split. Where two names of one field stand side by
side, the first of the list counts. Every other column is kept in `settings`. Relative paths start
at the manifest's folder.

Left out on purpose: addresses (https://, s3://), and videos stored inside a Parquet file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from data import prompts
from data.errors import UserError
from data.records import Split

COLUMNS: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "caption", "text"),
    "path": ("video", "path", "file", "clip", "file_name", "filename"),
    "model": ("model", "generator"),
    "adapter": ("adapter",),
    "seed": ("seed",),
    "fps": ("fps",),
    "split": ("split",),
}
"""Field of an entry -> the column names under which people write it."""

_KNOWN = {alias for aliases in COLUMNS.values() for alias in aliases}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A clip that somebody has, as they describe it; nothing is checked against the file yet."""

    where: str
    """For people: `manifest.csv row 3`, or the clip's place in its folder."""
    path: Path = Path()
    prompt: str = ""
    model: str = ""
    """Empty where nobody says."""
    adapter: str = ""
    seed: int | None = None
    fps: float | None = None
    split: Split | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    """Why it cannot go in; empty where nothing speaks against it."""


def read_manifest(path: str | Path) -> list[Entry]:
    """The rows of a manifest as entries, in order.

    Raises:
        UserError: an unknown suffix, a file that cannot be parsed, or no prompt or path column.
    """
    path = Path(path)
    if path.suffix.lower() not in MANIFESTS:
        raise UserError(f"{path}: a manifest ends in {', '.join(MANIFESTS)}")
    rows = list(MANIFESTS[path.suffix.lower()](path))
    names = {_plain_name(name) for _, row in rows for name in row}
    for needed in ("prompt", "path"):
        if not names.intersection(COLUMNS[needed]):
            raise UserError(
                f"{path} has no column for the {needed}: it needs one of "
                f"{', '.join(COLUMNS[needed])}; found {', '.join(sorted(names)) or 'no rows'}"
            )
    return [_entry(f"{path.name} {where}", row, path.parent) for where, row in rows]


def _delimited(separator: str) -> Callable[[Path], Iterator[tuple[str, Mapping[str, Any]]]]:
    def rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
        text = prompts.text_of(path)
        try:  # as text only: the prompt "007" is not the number 7
            table = pl.read_csv(text.encode(), separator=separator, infer_schema=False)
        except pl.exceptions.PolarsError as error:
            raise UserError(f"{path} cannot be parsed: {str(error).splitlines()[0]}") from error
        known = {column for column in table.columns if _plain_name(column) in _KNOWN}
        for index, row in enumerate(table.iter_rows(named=True), start=1):
            yield (
                f"row {index}",
                {name: text if name in known else _number(text) for name, text in row.items()},
            )

    return rows


def _json_lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for index, line in enumerate(prompts.text_of(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path} line {index} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise UserError(f"{path} line {index} must be an object {{...}}, one clip per line")
        yield f"line {index}", row


def _parquet(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        table = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    for index, row in enumerate(table.iter_rows(named=True), start=1):
        yield f"row {index}", row


MANIFESTS: dict[str, Callable[[Path], Iterator[tuple[str, Mapping[str, Any]]]]] = {
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
}
"""Suffix -> reader of rows, each with its place in the file. A new format is a new line here."""


def _entry(where: str, row: Mapping[str, Any], base: Path) -> Entry:
    columns = {_plain_name(name): name for name in reversed(list(row))}
    taken = {
        what: columns[next(alias for alias in aliases if alias in columns)]
        for what, aliases in COLUMNS.items()
        if any(alias in columns for alias in aliases)
    }
    given = {what: row[column] for what, column in taken.items()}
    rest = {name: value for name, value in row.items() if name not in taken.values()}
    try:
        return Entry(
            where=where,
            path=_path(given.get("path"), base),
            prompt=_needed(given.get("prompt"), "prompt"),
            model=_text(given.get("model")),
            adapter=_text(given.get("adapter")),
            seed=_seed(given.get("seed")),
            fps=_fps(given.get("fps")),
            split=_split(given.get("split")),
            settings=_settings(rest),
        )
    except ValueError as error:
        named = f" ({given['path']})" if isinstance(given.get("path"), str) else ""
        return Entry(where=where + named, problem=str(error))


def _plain_name(column: str) -> str:
    return column.strip().lower().replace(" ", "_").replace("-", "_")


def _text(value: object) -> str:
    if value is None or isinstance(value, str | int | float):
        return "" if value is None else str(value).strip()
    raise ValueError(f"{str(value)[:60]!r} stands where text belongs")


def _needed(value: object, what: str) -> str:
    text = _text(value)
    if not text:
        raise ValueError(f"no {what}")
    return text


def _path(value: object, base: Path) -> Path:
    text = _needed(value, "path")
    if "\0" in text:
        raise ValueError(f"the path {text!r} contains a zero byte")
    if "://" in text:
        raise ValueError(f"{text} is an address; download the clip and give the file")
    return base / Path(text).expanduser()


def _seed(value: object) -> int | None:
    text = _text(value)
    if text and not re.fullmatch(r"-?\d+(\.0+)?", text):
        raise ValueError(f"seed {value!r} is not a whole number")
    return int(text.split(".")[0]) if text else None


def _fps(value: object) -> float | None:
    text = _text(value)
    if not text:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise ValueError(f"fps {value!r} is not a number above 0")
    return rate


def _split(value: object) -> Split | None:
    text = _text(value)
    if text == "train" or text == "test":
        return text
    if not text:
        return None
    raise ValueError(f"split {value!r} is neither 'train' nor 'test'")


def _number(text: str | None) -> str | int | float | None:
    """A cell of a CSV as the finite number that it spells, else as it stands."""
    for kind in (int, float):
        try:
            number = kind(text or "")
        except ValueError:
            continue
        return number if math.isfinite(number) else text
    return text


def _settings(row: Mapping[str, Any]) -> dict[str, Any]:
    """The other columns as JSON values; empty cells and numbers that are none are left out."""
    plain = json.loads(json.dumps(dict(row), default=str), parse_constant=lambda _: None)
    return {name.strip(): value for name, value in plain.items() if value is not None}

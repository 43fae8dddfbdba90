"""Pairs with a label as files that others read and write: two formats, both ways. No database.

`preferences.parquet` has the columns that preference data sets on the Hugging Face hub and TRL
have, `prompt`, `chosen` and `rejected` (here: paths of clips), and beside them what is known of
the label; a reader needs the three alone. `pair.json` and `metadata.json` are what VideoDPO's
loader reads (CIntellifusion/VideoDPO, data/video_data.py): lists of clips and of index pairs.

VideoDPO's rules, kept when reading and heeded when writing: clips under a second are dropped before
the indices count, `video1` is the winner, clip paths are best absolute, and `score` is not a score
but how frequent such a pair is, sqrt(p(winner) p(loser)). Its reader puts the next clip in the
place of one that it cannot read; nothing here does.

Left out on purpose: folders joined under one META list (their indices run on over all of them, with
no offset: read each folder alone), and the clips themselves, which stay where they lie.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import polars as pl

from data.errors import UserError
from data.prompts import text_of
from data.voterows import ROWS

PARQUET, CLIPS, PAIRS = "preferences.parquet", "metadata.json", "pair.json"
SHORTEST = 1.0
"""Seconds: VideoDPO's reader drops shorter clips."""
_NEEDED = ("prompt", "chosen", "rejected")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPair:
    """A row of `preferences.parquet`."""

    prompt: str
    chosen: str
    """Path or URL of the better clip."""
    rejected: str
    probability: float = 1.0
    """That `chosen` is the better one."""
    weight: float = 1.0
    source: str = "auto"
    """Who says so: `auto`, `human` or `posterior`."""
    margin: float | None = None
    """The scorer's, between its best and its worst; None where it has none."""
    profile: str = ""
    """Of the scorer's opinion."""
    split: str = "train"
    chosen_sha256: str = ""
    rejected_sha256: str = ""
    chosen_model: str = ""
    rejected_model: str = ""
    chosen_seconds: float | None = None
    rejected_seconds: float | None = None
    frequency: float | None = None
    """VideoDPO's sqrt(p(chosen) p(rejected)), in (0, 1]; None where a clip has no score."""


_TYPES = {
    "float": pl.Float64, "float | None": pl.Float64, "str": pl.String,
}  # fmt: skip
SCHEMA = {one.name: _TYPES[str(one.type)] for one in fields(LabelledPair)}
"""Columns of `preferences.parquet`, in order."""


def write_parquet(pairs: Sequence[LabelledPair], folder: Path) -> int:
    """Writes `preferences.parquet`; how many rows."""
    pl.DataFrame([asdict(pair) for pair in pairs], schema=SCHEMA).write_parquet(folder / PARQUET)
    return len(pairs)


def write_videodpo(pairs: Sequence[LabelledPair], folder: Path) -> int:
    """Writes `metadata.json` and `pair.json`; how many pairs they hold.

    A pair with a clip under a second, or at a URL, is left out: VideoDPO's reader cannot have it.
    """
    kept = [pair for pair in pairs if _readable(pair)]
    places: dict[str, int] = {}
    clips: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for pair in kept:
        for path, seconds in (
            (pair.chosen, pair.chosen_seconds), (pair.rejected, pair.rejected_seconds)
        ):  # fmt: skip
            if path not in places:
                places[path] = len(clips)
                basic = {"clip_path": path, "clip_duration": seconds}
                clips.append({"basic": basic, "misc": {"frame_caption": [pair.prompt]}})
        row = {"video1": places[pair.chosen], "video2": places[pair.rejected]}
        score = {} if pair.frequency is None else {"score": pair.frequency}
        rows.append({**row, "frame_caption": pair.prompt, **score})
    for name, content in ((CLIPS, clips), (PAIRS, rows)):
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return len(kept)


def _readable(pair: LabelledPair) -> bool:
    short = min(pair.chosen_seconds or 0.0, pair.rejected_seconds or 0.0) < SHORTEST
    return not short and "://" not in pair.chosen + pair.rejected


def read(path: Path) -> Iterator[tuple[int, LabelledPair | str]]:
    """The rows of a file or of a VideoDPO folder with their places, or why one is none.

    Args:
        path: Parquet, CSV, TSV, JSONL or JSON with the columns `prompt`, `chosen`, `rejected`; or a
            folder with `pair.json` and `metadata.json`.

    Raises:
        UserError: It cannot be read at all.
    """
    if path.is_dir():
        yield from _videodpo(path)
        return
    if path.suffix.lower() not in ROWS or not path.is_file():
        raise UserError(
            f"{path} is neither a folder with {PAIRS} and {CLIPS} nor a file that ends in "
            f"{', '.join(ROWS)}"
        )
    for number, (line, row) in enumerate(ROWS[path.suffix.lower()](path)):
        if number == 0 and not set(row) >= set(_NEEDED):
            raise UserError(f"{path} needs the columns {', '.join(_NEEDED)}; found {sorted(row)}")
        yield line, _row(row)


def _row(row: Mapping[str, Any]) -> LabelledPair | str:
    given: dict[str, Any] = {name: row[name] for name in SCHEMA if row.get(name) not in (None, "")}
    missing = [name for name in _NEEDED if not isinstance(given.get(name), str)]
    if missing:
        return f"no {' and no '.join(missing)}"
    try:
        numbers = {name: float(given[name]) for name in given if SCHEMA[name] == pl.Float64}
    except (TypeError, ValueError) as error:
        return str(error)
    return LabelledPair(**{**given, **numbers})


def _videodpo(folder: Path) -> Iterator[tuple[int, LabelledPair | str]]:
    clips = [clip for clip in _listed(folder / CLIPS) if _seconds(clip) >= SHORTEST]
    for line, row in enumerate(_listed(folder / PAIRS)):
        try:
            chosen, rejected = (clips[_index(row[name])] for name in ("video1", "video2"))
            caption = row.get("frame_caption") or chosen["misc"]["frame_caption"]
            yield line, LabelledPair(
                prompt=caption if isinstance(caption, str) else caption[0],
                chosen=chosen["basic"]["clip_path"], rejected=rejected["basic"]["clip_path"],
                chosen_seconds=_seconds(chosen), rejected_seconds=_seconds(rejected),
                frequency=row.get("score"),
            )  # fmt: skip
        except (KeyError, TypeError, IndexError) as error:
            yield line, f"no such clip, or no caption, among {len(clips)} of a second: {error!r}"


def _index(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise IndexError(value)
    return value


def _seconds(clip: Any) -> float:
    try:
        return float(clip["basic"]["clip_duration"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{CLIPS} has a clip without basic.clip_duration: {clip}") from error


def _listed(path: Path) -> list[Any]:
    try:
        found = json.loads(text_of(path))
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, list):
        raise UserError(f"{path} must be a list")
    return found

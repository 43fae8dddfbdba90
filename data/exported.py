"""Votes as `data.export` (or the lead's export page) wrote them: they keep ids, pairs and times.

Pairs that the database does not hold are taken from `pairs.parquet` beside the file, with their
`candidates.parquet` and `prompts.parquet`, as an export has them. Nothing is guessed: a vote about
a pair that neither knows is refused. To put two whole databases together use `data.store merge`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import polars as pl

from data.errors import UserError
from data.records import Candidate, Pair, Prompt, Record, Vote
from data.store import Store
from data.store.rows import to_records
from data.voterows import ROWS

NEEDED = {"id", "pair", "annotator", "left", "right", "outcome", "preferred"}
"""Columns by which a file is known as an export of votes."""
_FIELDS = {one.name for one in fields(Vote)}


def is_export(path: Path) -> bool:
    """Whether the file's columns are those of exported votes.

    Raises:
        UserError: not a file of rows, or one that cannot be read.
    """
    if path.suffix.lower() not in ROWS:
        raise UserError(f"{path}: a vote file ends in {', '.join(ROWS)}")
    if not path.is_file():
        raise UserError(f"{path} is no file; check --votes")
    _, first = next(iter(ROWS[path.suffix.lower()](path)), (0, {}))
    return set(first) >= NEEDED


def read(
    store: Store, path: Path, refuse: Callable[[int, str], None]
) -> tuple[list[Vote], list[Record]]:
    """The votes of an export that fit, and the records that they need.

    Args:
        store: The database that they go into.
        path: The file.
        refuse: Is told the line of every vote that does not fit, and why.
    """
    prompts, candidates, beside = _beside(path.parent)
    pairs = {pair.id: pair for pair in [*beside, *store.all("pairs")]}
    known = set(store.frame("votes", ["id"])["id"])
    votes: list[Vote] = []
    for line, row in ROWS[path.suffix.lower()](path):
        reason = _put(row, pairs, known, votes)
        if reason:
            refuse(line, reason)
    used = {vote.pair for vote in votes}
    mine = [pair for pair in beside if pair.id in used]
    clips = {clip for pair in mine for clip in (pair.a, pair.b)}
    about = {pair.prompt for pair in mine}
    return votes, [
        *(prompt for prompt in prompts if prompt.id in about),
        *(clip for clip in candidates if clip.sha256 in clips),
        *mine,
    ]


def _put(
    row: Mapping[str, Any], pairs: Mapping[str, Pair], known: set[str], votes: list[Vote]
) -> str:
    """Add the row's vote; why it cannot go in, or nothing."""
    try:
        vote = _vote(row)
    except (ValueError, TypeError) as error:
        return str(error)
    pair = pairs.get(vote.pair)
    if pair is None:
        return "its pair is neither in the database nor in pairs.parquet beside the file"
    if {vote.left, vote.right} != {pair.a, pair.b}:
        return "it shows other clips than its pair has"
    if vote.revises is not None and vote.revises not in known:
        return "it revises a vote that is neither in the database nor above it in the file"
    known.add(vote.id)
    votes.append(vote)
    return ""


def _vote(row: Mapping[str, Any]) -> Vote:
    """A row as the vote that it was; in a CSV every cell is text, and an empty one is None."""
    given = {name: value for name, value in row.items() if name in _FIELDS}
    for name in ("preferred", "strength", "revises"):
        given[name] = given.get(name) or None
    for name in ("answers", "watched"):
        value = given.get(name) or {}
        given[name] = json.loads(value) if isinstance(value, str) else value
    given["unusable"] = str(given.get("unusable") or "false").lower() in ("true", "1")
    given["seconds"] = float(given.get("seconds") or 0)
    given["time_ms"] = int(given.get("time_ms") or 0)
    return Vote(**given)


def _beside(folder: Path) -> tuple[list[Prompt], list[Candidate], list[Pair]]:
    """What the export says beside its votes; nothing where the file stands alone."""
    found = []
    for kind in ("prompts", "candidates", "pairs"):
        file = folder / f"{kind}.parquet"
        try:
            found.append(to_records(kind, pl.read_parquet(file)) if file.is_file() else [])
        except (pl.exceptions.PolarsError, OSError) as error:
            raise UserError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error
    prompts, candidates, pairs = found
    return prompts, candidates, pairs

"""Questions of the page that keeps narrow columns of everything in memory: plain SQL, any engine.

Every table counts its rows by `seq` from 1, so "what is new" is what lies above the number read
last, and a clip or a pair is named by its own number, in 8 bytes instead of 64 letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import polars as pl

from data.store.reading import quoted
from data.store.rows import SCHEMAS, known_columns, known_kind


@dataclass(frozen=True, slots=True)
class Question:
    """A SELECT with `?` for values, and the columns that it answers with."""

    sql: str
    schema: pl.Schema
    values: tuple[Any, ...] = ()


def _types(kind: str) -> pl.Schema:
    return cast(pl.DataFrame, pl.from_arrow(SCHEMAS[kind].empty_table())).schema


def since(kind: str, after: int, columns: Sequence[str]) -> Question:
    """Rows numbered above `after`, in order, of replacing kinds older versions too."""
    names = known_columns(known_kind(kind), columns)
    types = _types(kind)
    sql = f"SELECT {quoted(names)} FROM {kind} WHERE seq > {int(after)} ORDER BY seq"
    return Question(sql, pl.Schema({name: types[name] for name in names}))


def score_versions(after: int) -> Question:
    """Per (scorer, dimension) with scores above `after`: the version of the newest one."""
    sql = (
        "SELECT scorer, dimension, version FROM scores JOIN (SELECT scorer AS s, dimension AS d, "
        f"max(seq) AS newest FROM scores WHERE seq > {int(after)} GROUP BY 1, 2) AS last "
        "ON scores.seq = last.newest ORDER BY 1, 2"
    )
    return Question(sql, pl.Schema(dict.fromkeys(("scorer", "dimension", "version"), pl.String)))


def score_values(scorer: str, dimension: str, version: str, after: int) -> Question:
    """Values above `after` in order, with their clip's number; a later one replaces an earlier."""
    sql = (
        "SELECT candidates.seq AS clip, value FROM scores JOIN candidates ON candidate = sha256 "
        "WHERE scorer = ? AND dimension = ? AND version = ? "
        f"AND scores.seq > {int(after)} ORDER BY scores.seq"
    )
    schema = pl.Schema({"clip": pl.Int64, "value": pl.Float64})
    return Question(sql, schema, (scorer, dimension, version))


ANSWERS = ("a", "b", "tie", "skip", "undo")
"""What `ballots` calls 0, 1, 2, 3 and 4."""


def ballots(after: int) -> Question:
    """Every vote above `after` in order: number, the pair's number, who, when, answer, how.

    `revised`: a newer vote replaces or undoes it.
    """
    sql = (
        "SELECT votes.seq, pairs.seq AS pair, annotator, time_ms, "
        "CASE WHEN outcome = 'undo' THEN 4 WHEN outcome = 'skip' THEN 3 WHEN outcome = 'tie' "
        "THEN 2 WHEN preferred = pairs.b THEN 1 ELSE 0 END AS answer, "
        "exposure = 'shown' AS shown, newer.revises IS NOT NULL AS revised "
        "FROM votes JOIN pairs ON votes.pair = pairs.id LEFT JOIN "
        "(SELECT DISTINCT revises FROM votes WHERE revises IS NOT NULL) AS newer "
        f"ON votes.id = newer.revises WHERE votes.seq > {int(after)} ORDER BY votes.seq"
    )
    types = (pl.Int64, pl.Int64, pl.String, pl.Int64, pl.Int64, pl.Boolean, pl.Boolean)
    names = ("seq", "pair", "annotator", "time_ms", "answer", "shown", "revised")
    return Question(sql, pl.Schema(dict(zip(names, types, strict=True))))


def votes_after(after: int) -> Question:
    """Votes numbered above `after`, in order, and `seq` as the last column."""
    names = quoted(SCHEMAS["votes"].names)
    sql = f"SELECT {names}, seq FROM votes WHERE seq > {int(after)} ORDER BY seq"
    return Question(sql, pl.Schema({**_types("votes"), "seq": pl.Int64}))


def vote_number(vote: str) -> Question:
    """The number of the vote with that id, if there is one."""
    sql = "SELECT seq FROM votes WHERE id = ?"
    return Question(sql, pl.Schema({"seq": pl.Int64}), (vote,))

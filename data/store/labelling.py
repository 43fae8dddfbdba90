"""Labels of a whole database at once: `data.labels` in columns, for millions of votes.

The pure functions of `data.labels` are the reference, and the tests hold these to them, row by row.
They exist because a million pairs with five votes each are six million Python objects there
(minutes, gigabytes). Here votes are counted as numbers (`answers`), pairs and clips are numbers
too, and their names come last: both clips of all labels share the text of one list of names.
Left out: opinions computed anew from scores (`auto` takes the one stored with the pair).
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.errors import UserError
from data.store.answers import LAST_WORD, STEP, Answers, counted, counting, frugal
from data.store.reading import CHECKS_PEOPLE, STANDING

FRUGAL_MB, TIGHT_MB = 190, 20
"""What DuckDB may keep in memory while it counts, and while names are read."""
_FACTS = f"""CAST(pairs.seq AS UINTEGER) AS number,
  {CHECKS_PEOPLE} AS is_check,
  CAST(CASE WHEN best IS NULL THEN 0 WHEN best = b THEN 2 ELSE 1 END AS UTINYINT) AS best"""
_NAMES = {
    "prompts": "SELECT seq, id AS name FROM prompts",
    "clips": "SELECT seq, sha256 AS name FROM candidates",
}
_EVERY_NAME = {
    "prompts": "SELECT DISTINCT prompt AS name FROM pairs",
    "clips": "SELECT a AS name FROM pairs UNION SELECT b FROM pairs",
}
_EVIDENCE = f"""
SELECT pair, list(id ORDER BY time_ms, id) AS votes FROM (
  SELECT votes.* FROM {STANDING} WHERE outcome <> 'undo' QUALIFY {LAST_WORD})
WHERE outcome <> 'skip' AND {{counting}} GROUP BY pair
"""
SOURCES = ("auto", "human")
"""Label sources by their name in `data.labels.LABELS`."""
REASONS = ("", "check", "unvoted", "skipped", "unusable", "even", "unscored")
"""Why a pair has no label, in the words of `data.labels`."""


@dataclass(frozen=True, slots=True)
class _Resolved:
    """What a rule makes of every pair, in one order."""

    reason: NDArray[np.int8]
    """Why there is no label: a place in `REASONS`; 0 where there is one."""
    for_b: NDArray[np.bool_]
    probability: NDArray[np.float64]


def labels(cursor: duckdb.DuckDBPyConnection, source: str) -> pl.DataFrame:
    """The labels: pair, prompt, chosen, rejected, probability; in the order of the pairs."""
    with frugal(cursor, FRUGAL_MB) as limit:
        answers = counted(cursor)
        names = dict(_NAMES)
        pairs = _numbered(cursor, names)
        if pairs.null_count().sum_horizontal()[0]:  # a pair of something that was never added
            names = {kind: _collected(cursor, kind) for kind in names}
            pairs = _numbered(cursor, names)
        resolved = _resolve(source, pairs, answers)
        kept = np.flatnonzero(resolved.reason == 0)
        sides = pairs["a"].to_numpy()[kept], pairs["b"].to_numpy()[kept]
        prompts, numbers = pairs["prompt"].to_numpy()[kept], pairs["number"].to_numpy()[kept]
        for_b, probability = resolved.for_b[kept], resolved.probability[kept]
        del answers, pairs, resolved, kept
        limit(TIGHT_MB)
        clips = _names(cursor, names["clips"])
        chosen = clips.gather(np.where(for_b, sides[1], sides[0]) - 1)
        rejected = clips.gather(np.where(for_b, sides[0], sides[1]) - 1)
        prompt = _names(cursor, names["prompts"]).gather(prompts - 1)
        pair = _names(cursor, "SELECT seq, id AS name FROM pairs").gather(numbers - 1)
    return pl.DataFrame(
        {
            "pair": pair,
            "prompt": prompt,
            "chosen": chosen,
            "rejected": rejected,
            "probability": probability,
        }
    )


def left_out(cursor: duckdb.DuckDBPyConnection, source: str) -> dict[str, int]:
    """How many pairs the source leaves out, by reason; reasons that never occur are absent."""
    with frugal(cursor, FRUGAL_MB):
        pairs = cursor.sql(f"SELECT {_FACTS} FROM pairs").pl()
        counts = np.bincount(_resolve(source, pairs, counted(cursor)).reason)
    found = zip(REASONS, counts.tolist(), strict=False)
    return {reason: count for reason, count in found if reason and count}


def _resolve(source: str, pairs: pl.DataFrame, answers: Answers) -> _Resolved:
    if source not in SOURCES:
        raise UserError(f"There are no labels {source!r} to read; there are {', '.join(SOURCES)}")
    number, best = pairs["number"].to_numpy(), pairs["best"].to_numpy()
    judged, twice_b = answers.judged[number], answers.twice_b[number]
    unusable = 2 * answers.unusable[number] >= judged
    is_check = pairs["is_check"].to_numpy()
    if source == "auto":
        why = {"check": is_check, "unusable": (judged > 0) & unusable, "unscored": best == 0}
        return _Resolved(_first(why), best == 2, np.ones(len(best)))
    why = {
        "check": is_check,
        "unvoted": answers.answers[number] == 0,
        "skipped": judged == 0,
        "unusable": unusable,
        "even": twice_b == judged,
    }
    share = np.maximum(twice_b, 2 * judged - twice_b) / 2
    return _Resolved(_first(why), twice_b > judged, (share + 0.5) / (judged + 1))


def _first(why: dict[str, NDArray[np.bool_]]) -> NDArray[np.int8]:
    """The first reason that holds, as its place in `REASONS`."""
    return np.select(list(why.values()), [np.int8(REASONS.index(it)) for it in why], np.int8(0))


def _numbered(cursor: duckdb.DuckDBPyConnection, names: dict[str, str]) -> pl.DataFrame:
    """Every pair as numbers: its own, its prompt's and its clips'; null for an unknown name."""
    keys = {
        kind: f'(SELECT seq, hash(name) AS "key" FROM ({query}))' for kind, query in names.items()
    }
    rows = f"""SELECT {_FACTS}, CAST(p.seq AS UINTEGER) AS prompt, CAST(one.seq AS UINTEGER) AS a,
      CAST(other.seq AS UINTEGER) AS b FROM pairs
      LEFT JOIN {keys["prompts"]} AS p ON hash(pairs.prompt) = p."key"
      LEFT JOIN {keys["clips"]} AS one ON hash(a) = one."key"
      LEFT JOIN {keys["clips"]} AS other ON hash(b) = other."key" """
    return cursor.sql(rows).pl().sort("number")


def _collected(cursor: duckdb.DuckDBPyConnection, kind: str) -> str:
    """All names that pairs have of that kind, numbered in a temporary table; a query of it."""
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE every_{kind} AS "
        f"SELECT row_number() OVER (ORDER BY name) AS seq, name FROM ({_EVERY_NAME[kind]})"
    )
    return f"SELECT seq, name FROM every_{kind}"


def _names(cursor: duckdb.DuckDBPyConnection, query: str) -> pl.Series:
    """Names by their number minus one: one block of text that everything gathered from it shares.

    Rows are numbered from 1 without a gap, and nearly always lie in that order: no sorting then.
    """
    astray = "SELECT count(*) FROM (SELECT seq, row_number() OVER () AS place FROM ({})) WHERE {}"
    found = cursor.execute(astray.format(query, "seq <> place")).fetchall()[0][0]
    ordered = f"SELECT name FROM ({query}){' ORDER BY seq' if found else ''}"
    return pl.DataFrame(cursor.sql(ordered).to_arrow_reader(STEP).read_all())["name"].rechunk()


def evidence(cursor: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Columns pair and votes: the standing votes that judged it, oldest first, for `human`."""
    return cursor.sql(_EVIDENCE.format(counting=counting(cursor))).pl()

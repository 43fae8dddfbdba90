"""Labels of a whole database at once: `data.labels` as queries, for millions of votes.

The pure functions of `data.labels` are the reference, and the tests hold these to them, row by row.
They exist because a million pairs with five votes each are six million Python objects there
(minutes, gigabytes), and here columns that never leave DuckDB. Left out: `evidence` (the votes are
in the table), and opinions computed anew from scores (`auto` takes the one stored with the pair).

Votes are counted by 64-bit hashes of the ids, so that no text is carried along: two of a million
pairs share one with a chance of 3e-8. Where one annotator has several unrevised votes about a pair,
the newest stands; finding it needs a sort. So the count first marks the pairs in which two votes
fall on the same of 127 bits, twice over: every repeated annotator does, and few others. Those are
looked at again, and only where somebody did answer twice are the votes sorted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import duckdb
import polars as pl

from data.errors import UserError

_COUNTS = """count(*) AS answers, count(*) FILTER (outcome <> 'skip') AS judged,
  count(*) FILTER (outcome <> 'skip' AND unusable) AS unusable,
  count(*) FILTER (outcome = 'tie') AS ties,
  count(*) FILTER (hash(preferred) = side_b) AS for_b"""
_UNREVISED = """votes ANTI JOIN (SELECT revises FROM votes WHERE revises IS NOT NULL) AS newer
  ON votes.id = newer.revises"""
_SIDES = '(SELECT hash(id) AS "key", hash(b) AS side_b FROM pairs)'
_COUNT = f"""
CREATE OR REPLACE TEMP TABLE counted AS SELECT "key", {_COUNTS},
  count(*) > bit_count(bit_or(CAST(1 AS HUGEINT) << (who % 127)))
  AND count(*) > bit_count(bit_or(CAST(1 AS HUGEINT) << ((who >> 32) % 127))) AS perhaps_twice
FROM (
  SELECT hash(pair) AS "key", hash(annotator) AS who, outcome, preferred, unusable
  FROM {_UNREVISED} WHERE outcome <> 'undo'
) JOIN {_SIDES} USING ("key") GROUP BY "key"
"""
_TWICE = f"""
CREATE OR REPLACE TEMP TABLE twice AS SELECT pair FROM {_UNREVISED}
WHERE outcome <> 'undo' AND hash(pair) IN (SELECT "key" FROM counted WHERE perhaps_twice)
GROUP BY pair HAVING count(*) > count(DISTINCT annotator)
"""
_AGAIN = f"""
INSERT INTO counted SELECT "key", {_COUNTS}, false FROM (
  SELECT hash(pair) AS "key", * FROM {_UNREVISED}
  WHERE outcome <> 'undo' AND pair IN (SELECT pair FROM twice)
  QUALIFY row_number() OVER (PARTITION BY pair, annotator ORDER BY time_ms DESC, id DESC) = 1
) JOIN {_SIDES} USING ("key") GROUP BY "key"
"""
_HUMAN = """
SELECT seq, id AS pair, prompt,
  CASE WHEN share_b > judged / 2 THEN b ELSE a END AS chosen,
  CASE WHEN share_b > judged / 2 THEN a ELSE b END AS rejected,
  (greatest(share_b, judged - share_b) + 0.5) / (judged + 1) AS probability,
  CASE WHEN answers IS NULL THEN 'unvoted' WHEN judged = 0 THEN 'skipped'
    WHEN 2 * unusable >= judged THEN 'unusable' WHEN 2 * share_b = judged THEN 'even' END AS reason
FROM (SELECT *, for_b + ties / 2 AS share_b FROM pairs LEFT JOIN counted ON hash(id) = "key")
"""
_AUTO = """
SELECT seq, id AS pair, prompt, best AS chosen, CASE WHEN best = a THEN b ELSE a END AS rejected,
  CAST(1 AS DOUBLE) AS probability,
  CASE WHEN judged > 0 AND 2 * unusable >= judged THEN 'unusable'
    WHEN best IS NULL THEN 'unscored' END AS reason
FROM pairs LEFT JOIN counted ON hash(id) = "key"
"""
RULES = {"auto": _AUTO, "human": _HUMAN}
"""Label sources by their name in `data.labels.LABELS`."""


def labels(cursor: duckdb.DuckDBPyConnection, source: str) -> pl.DataFrame:
    """The labels: pair, prompt, chosen, rejected, probability; in the order of the pairs."""
    kept = f"SELECT * EXCLUDE (reason) FROM ({_rule(source)}) WHERE reason IS NULL"
    with _counted(cursor):
        found = cursor.sql(kept).pl()
    if not found["seq"].is_sorted():  # a join keeps the order in practice, and promises nothing
        found = found.sort("seq")
    return found.drop("seq")


def left_out(cursor: duckdb.DuckDBPyConnection, source: str) -> dict[str, int]:
    """How many pairs the source leaves out, by reason; reasons that never occur are absent."""
    reasons = f"SELECT reason, count(*) FROM ({_rule(source)}) WHERE reason IS NOT NULL GROUP BY 1"
    with _counted(cursor):
        return dict(cursor.execute(reasons).fetchall())


@contextlib.contextmanager
def _counted(cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """The temporary table `counted`: what people answered, one row per pair with an answer."""
    cursor.execute(_COUNT)
    cursor.execute(_TWICE)
    if cursor.execute("SELECT count(*) FROM twice").fetchall()[0][0]:
        cursor.execute('DELETE FROM counted WHERE "key" IN (SELECT hash(pair) FROM twice)')
        cursor.execute(_AGAIN)
    try:
        yield
    finally:
        cursor.execute("DROP TABLE counted")
        cursor.execute("DROP TABLE twice")


def _rule(source: str) -> str:
    if source not in RULES:
        raise UserError(f"There are no labels {source!r} to read; there are {', '.join(RULES)}")
    return RULES[source]

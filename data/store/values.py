"""Raw scores as columns, one per dimension, and how often people agree with each of them.

Thirty-two million scores are streamed once per few dimensions into one block of numbers, so that
memory does not grow with them: `_BLOCK` bytes, whatever the number of scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.store import columns, reading
from data.store.answers import STEP, arrays, counted, frugal
from data.store.reading import CHECKS_PEOPLE

Wanted = Sequence[tuple[str, str]]
"""Scorers and their dimensions."""
_BLOCK = 1 << 26
"""Bytes of values that are in memory at a time, 64 MiB; half as many again for what is newest."""
FRUGAL_MB = 256
"""What DuckDB may keep in memory beside them, for a reader of its own."""
_VALUES = """
SELECT CAST(place AS UTINYINT), CAST(clip AS UINTEGER), CAST(scores.seq AS UINTEGER), value
FROM scores JOIN wanted_dimensions USING (scorer, dimension, version)
JOIN (SELECT seq AS clip, hash(sha256) AS "key" FROM candidates) ON hash(candidate) = "key"
"""
_PAIRS = f"""
SELECT pairs.seq AS number, one.seq AS a, other.seq AS b FROM pairs
JOIN (SELECT seq, hash(sha256) AS "key" FROM candidates) AS one ON hash(a) = one."key"
JOIN (SELECT seq, hash(sha256) AS "key" FROM candidates) AS other ON hash(b) = other."key"
WHERE NOT {CHECKS_PEOPLE}
"""


def values(cursor: duckdb.DuckDBPyConnection, wanted: Wanted) -> pl.DataFrame:
    """The newest raw values of these dimensions, in the version that was scored last.

    Columns `candidate` and one per dimension in the order of `wanted`, named `scorer/dimension`;
    null where there is none. One row per clip of the database, in the order of their admission.
    """
    clips = cursor.sql("SELECT sha256 AS candidate FROM candidates ORDER BY seq").pl()
    known = _versions(cursor)
    found = {
        f"{scorer}/{dimension}": pl.Series([None] * clips.height, dtype=pl.Float64)
        for scorer, dimension in wanted
    }
    asked = known.join(_names(wanted), on=("scorer", "dimension"))
    for rows, block in _blocks(cursor, asked, clips.height):
        for row, column in zip(rows.iter_rows(), block, strict=True):
            found[f"{row[0]}/{row[1]}"] = pl.Series(column[1:], nan_to_null=True)
    return clips.with_columns(**found)


def agreement(cursor: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """How often people prefer the clip with the higher value, per dimension.

    Columns scorer, dimension, version, agreed, opposed, equal, share. Standing votes that prefer a
    clip, by people who count, about pairs that train; `equal` of them found equal values on both
    clips, and `share` = agreed / (agreed + opposed), null where both are 0. A pair with a missing
    value is not counted.
    """
    with frugal(cursor, FRUGAL_MB):
        told, pairs = counted(cursor), cursor.sql(_PAIRS).pl()
        number = pairs["number"].to_numpy()
        for_b, for_a = told.for_b[number], told.for_a[number]
        a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
        clips = cursor.execute("SELECT coalesce(max(seq), 0) FROM candidates").fetchall()[0][0]
        parts = []
        for rows, block in _blocks(cursor, _versions(cursor), clips):
            counts = np.array([_sides(column[a], column[b], for_a, for_b) for column in block])
            parts.append(
                rows.with_columns(agreed=counts[:, 0], opposed=counts[:, 1], equal=counts[:, 2])
            )
    decided = pl.col("agreed") + pl.col("opposed")
    share = pl.when(decided > 0).then(pl.col("agreed") / decided)
    schema = {**dict.fromkeys(("scorer", "dimension", "version"), pl.String)}
    schema |= dict.fromkeys(("agreed", "opposed", "equal"), pl.Int64)
    return pl.concat([pl.DataFrame(schema=schema), *parts]).with_columns(share=share)


def _sides(
    of_a: NDArray[np.float64],
    of_b: NDArray[np.float64],
    for_a: NDArray[np.int64],
    for_b: NDArray[np.int64],
) -> tuple[int, int, int]:
    """Votes for the clip with the higher value, for the lower one, and where both are equal."""
    higher, lower, equal = of_b > of_a, of_b < of_a, of_b == of_a  # all False for a missing one
    agreed = for_b[higher].sum() + for_a[lower].sum()
    opposed = for_a[higher].sum() + for_b[lower].sum()
    return int(agreed), int(opposed), int((for_a + for_b)[equal].sum())


def _versions(cursor: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Per scorer and dimension: the version of the newest score; others are never compared."""
    return reading.ask(cursor, columns.score_versions(0))


def _names(wanted: Wanted) -> pl.DataFrame:
    return pl.DataFrame(
        list(wanted), schema=dict.fromkeys(("scorer", "dimension"), pl.String), orient="row"
    ).unique()


def _blocks(
    cursor: duckdb.DuckDBPyConnection, asked: pl.DataFrame, clips: int
) -> Iterator[tuple[pl.DataFrame, NDArray[np.float64]]]:
    """Some of the dimensions asked for, and their values by the clip's number; NaN for none."""
    some = max(1, min(_BLOCK // (8 * (clips + 1)), 255))
    for start in range(0, asked.height, some):
        rows = asked[start : start + some].select("scorer", "dimension", "version")
        cursor.register("wanted_dimensions", rows.with_row_index("place").to_arrow())
        yield rows, _block(cursor, rows.height, clips)
        cursor.unregister("wanted_dimensions")


def _block(cursor: duckdb.DuckDBPyConnection, height: int, clips: int) -> NDArray[np.float64]:
    """The values themselves; of several scores of one clip the one that came last."""
    found = np.full((height, clips + 1), np.nan)
    newest = np.zeros((height, clips + 1), np.uint32)
    for batch in cursor.sql(_VALUES).to_arrow_reader(STEP):
        place, clip, seq, value = arrays(batch)
        if (seq[1:] < seq[:-1]).any():
            order = np.argsort(seq)
            place, clip, seq, value = place[order], clip[order], seq[order], value[order]
        later = seq > newest[place, clip]
        if not later.all():
            place, clip, seq, value = place[later], clip[later], seq[later], value[later]
        newest[place, clip], found[place, clip] = seq, value
    return found

"""What people answered, counted per pair: five million votes in one pass, few bytes per pair.

DuckDB streams three narrow columns (the pair's number, a hash of the annotator, what was answered)
and NumPy adds them up, so that memory does not grow with the votes but for 8 bytes each. Ids are
compared by 64-bit hashes, so that no text is carried along: two of a million pairs share one with
a chance of 3e-8.

Where one annotator has several unrevised votes about a pair, the newest stands. Finding such pairs
needs no text either: each vote is a number made of the pair's and as many bits of the annotator's
hash as fit; two equal numbers in the sorted list point at a pair, which is then counted again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from data.decisions import excluded
from data.store.reading import STANDING, frame_where
from data.store.rows import to_records

Whole = NDArray[np.int64]
STEP = 100_000
"""Rows that are in memory at a time."""
_BITS, _PART = 21, (1 << 21) - 1
"""Three counts of up to two million share one 64-bit number."""
LAST_WORD = """row_number() OVER
  (PARTITION BY pair, annotator ORDER BY time_ms DESC, votes.id DESC) = 1"""
"""Condition: of one annotator's votes about one pair, this is the newest (`data.votes`)."""
_NUMBERED = '(SELECT seq AS number, hash(id) AS "key", hash(b) AS side_b FROM pairs)'
_CODES = """CAST(number AS UINTEGER), hash(annotator), CAST(
  CASE outcome WHEN 'skip' THEN 0 ELSE 1 + 2 * CAST(unusable AS TINYINT) END
  + CASE WHEN outcome = 'tie' THEN 4 WHEN hash(preferred) = side_b THEN 8 ELSE 0 END AS UTINYINT)"""
_JUDGED, _UNUSABLE, _TIE, _FOR_B = 1, 2, 4, 8


@dataclass(frozen=True, slots=True)
class Answers:
    """Counts of standing votes, by the number (`seq`) of their pair."""

    first: Whole
    second: Whole

    @property
    def answers(self) -> Whole:
        """Standing votes, skips too."""
        return self.first & _PART

    @property
    def judged(self) -> Whole:
        """Those that are no skip."""
        return (self.first >> _BITS) & _PART

    @property
    def unusable(self) -> Whole:
        """Of those that judged: who called both clips unusable."""
        return self.first >> 2 * _BITS

    @property
    def for_b(self) -> Whole:
        """Votes that prefer clip b."""
        return self.second >> _BITS

    @property
    def for_a(self) -> Whole:
        """Votes that prefer clip a."""
        return self.judged - (self.second & _PART) - self.for_b

    @property
    def twice_b(self) -> Whole:
        """Two for each vote for clip b, one for each tie."""
        return (self.second & _PART) + 2 * (self.second >> _BITS)

    def clear(self, numbers: Whole) -> None:
        """Forget what was counted about these pairs."""
        self.first[numbers] = 0
        self.second[numbers] = 0

    def add(self, numbers: NDArray[np.uint32], codes: NDArray[np.uint8]) -> None:
        """Count votes."""
        np.add.at(self.first, numbers, _FIRST[codes])
        np.add.at(self.second, numbers, _SECOND[codes])


_ALL = np.arange(16, dtype=np.int64)
_FIRST = (
    1
    + ((_ALL & _JUDGED) << _BITS)
    + ((_ALL & (_JUDGED | _UNUSABLE) == _JUDGED | _UNUSABLE).astype(np.int64) << 2 * _BITS)
)
_SECOND = ((_ALL & _TIE) // _TIE) + ((_ALL & _FOR_B) // _FOR_B << _BITS)


def counted(cursor: duckdb.DuckDBPyConnection) -> Answers:
    """What is known of every pair; people whose votes do not count are left out."""
    size = cursor.execute("SELECT coalesce(max(seq), 0) + 1 FROM pairs").fetchall()[0][0]
    told = Answers(np.zeros(size, np.int64), np.zeros(size, np.int64))
    standing = f"{STANDING} WHERE outcome <> 'undo' AND {counting(cursor)}"
    shift = np.uint64(size.bit_length())
    seen: list[NDArray[np.uint64]] = []
    for numbers, who, codes in _stream(cursor, f"(SELECT * FROM {standing})"):
        told.add(numbers, codes)
        seen.append((numbers.astype(np.uint64) << (np.uint64(64) - shift)) | (who >> shift))
    twice = _twice(seen, shift)
    if twice.size:
        told.clear(twice)
        cursor.register("counted_twice", pl.DataFrame({"number": twice}).to_arrow())
        newest = f"""(SELECT * FROM {standing} AND hash(pair) IN
          (SELECT hash(id) FROM pairs JOIN counted_twice ON seq = number) QUALIFY {LAST_WORD})"""
        for numbers, _, codes in _stream(cursor, newest):
            told.add(numbers, codes)
        cursor.unregister("counted_twice")
    return told


def counting(cursor: duckdb.DuckDBPyConnection) -> str:
    """Condition: the annotator's votes count."""
    decisions = frame_where(cursor, "decisions", "topic", "person")
    out = sorted(excluded(to_records("decisions", decisions)))
    names = ", ".join("'" + name.replace("'", "''") + "'" for name in out)
    return f"annotator NOT IN ({names})" if names else "true"


def _stream(
    cursor: duckdb.DuckDBPyConnection, votes: str
) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.uint64], NDArray[np.uint8]]]:
    """Number of the pair, hash of the annotator and answer of each vote, in steps."""
    rows = f'SELECT {_CODES} FROM {votes} JOIN {_NUMBERED} ON hash(pair) = "key"'
    for batch in cursor.sql(rows).to_arrow_reader(STEP):
        numbers, who, codes = arrays(batch)
        yield numbers, who, codes


def arrays(batch: pa.RecordBatch) -> list[NDArray[Any]]:
    """The columns of a batch without nulls. Not by `to_numpy` of Arrow, which imports pandas."""
    return [column.to_numpy() for column in pl.DataFrame(batch).get_columns()]


def _twice(seen: list[NDArray[np.uint64]], shift: np.uint64) -> Whole:
    """Numbers of the pairs about which one annotator may have two standing votes."""
    if not seen:
        return np.zeros(0, np.int64)
    every = np.concatenate(seen)
    seen.clear()
    every.sort()
    again = every[1:][every[1:] == every[:-1]]
    return np.unique(again >> (np.uint64(64) - shift)).astype(np.int64)


@contextlib.contextmanager
def frugal(cursor: duckdb.DuckDBPyConnection, megabytes: int) -> Iterator[Callable[[int], None]]:
    """Little memory for DuckDB, where the open file is this reader's own; a call changes it."""

    def limit(megabytes: int) -> None:
        if mine:
            cursor.execute(f"SET memory_limit = '{megabytes}MB'")

    read_only = "SELECT readonly FROM duckdb_databases() WHERE database_name = current_database()"
    mine = cursor.execute(read_only).fetchall()[0][0]  # an owner's memory is the app's business
    limit(megabytes)
    try:
        yield limit
    finally:
        if mine:
            cursor.execute("RESET memory_limit")

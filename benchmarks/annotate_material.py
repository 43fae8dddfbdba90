"""A database of any size for `benchmarks/annotate.py`.

It is that of the store's benchmark, with scores that the page asks for: per clip seven values of
the profile `lite`, and as many of other scorers as are wanted, which the page must not mind.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from benchmarks.store_material import end_journal, make
from data.omniscore import PROFILES
from data.store.database import Database

_PROFILE = "lite"
_SCORES = """
INSERT INTO scores SELECT {first} + i, sha256(CAST(i AS VARCHAR)), '{scorer}', '1', '{dimension}',
  {low} + ({high} - {low}) * (hash(i * 64 + {number}) % 1000 / 1000.0) FROM range({n}) r(i)
"""


def fill(file: Path, *, pairs: int, votes: int, scores: int) -> None:
    """`pairs` pairs of as many clips, with so many votes per pair, and so many scores per clip."""
    make(file, pairs=pairs, votes=votes, scores=0)
    rows = [(row.scorer, row.key, row.low, row.high) for row in PROFILES[_PROFILE].dimensions]
    rows += [("other", f"dimension_{number}", 0.0, 1.0) for number in range(scores - len(rows))]
    with contextlib.closing(Database(file)) as database:
        for number, (scorer, dimension, low, high) in enumerate(rows):
            statement = _SCORES.format(
                first=number * pairs + 1, scorer=scorer, dimension=dimension, low=low, high=high,
                number=number, n=pairs,
            )  # fmt: skip
            database.writer.execute(statement)
        database.writer.execute("CHECKPOINT")
    end_journal(file)

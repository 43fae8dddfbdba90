"""A database of any size for `benchmarks/store.py`, made inside DuckDB.

Ids are hashes as in real ones. The journal gets its heading and its last line only, which is all
that opening reads: five million lines would measure Python's hashing and not the store.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from data.records import Vote
from data.store import Store, reading
from data.store.database import Database
from data.store.journal import FORMAT, Entry
from data.store.places import Places
from data.store.rows import to_votes, vote_payload
from data.store.schema import meta

ANNOTATORS = 200
_PAIR = (  # the identity that `data.records.Pair` works out
    """left(sha256('["pair","default","' || least(x, y) || '","' || greatest(x, y) || '"]'), 32)"""
)
_STEPS = """
INSERT INTO prompts SELECT i + 1, md5('prompt ' || i), 'prompt ' || i, 'train', ''
  FROM range({p}) r(i);
INSERT INTO candidates SELECT i + 1, sha256(CAST(i AS VARCHAR)), md5('prompt ' || i // 4),
  '/clips/' || i || '.mkv', 'shapes', '', i, '{{}}', 8.0, 9, 48, 48 FROM range({n}) r(i);
INSERT INTO pairs SELECT i + 1, {pair}, md5('prompt ' || i // 4), least(x, y),
  greatest(x, y), x, 'lite', 0.1, 'all', 'default' FROM (SELECT i, sha256(CAST(i AS VARCHAR)) AS x,
  sha256(CAST(i // 4 * 4 + (i + 1) % 4 AS VARCHAR)) AS y FROM range({n}) r(i));
INSERT INTO votes SELECT v + 1, md5('vote ' || v), {pair},
  'annotator-' || (hash(i) + v % {k}) % {people}, x, y, 'preference',
  CASE WHEN hash(v) % 3 = 0 THEN x ELSE y END, NULL, false, '{{}}', 'shown', NULL, '', 4.5,
  '{{"left":1.0}}', 1700000000000 + v, md5('salt ' || v), sha256('chain ' || v)
  FROM (SELECT v, i, sha256(CAST(i AS VARCHAR)) AS x,
  sha256(CAST(i // 4 * 4 + (i + 1) % 4 AS VARCHAR)) AS y FROM
  (SELECT v, v // {k} AS i FROM range({k} * {n}) r(v)));
INSERT INTO scores SELECT s + 1, sha256(CAST(s // {d} AS VARCHAR)), 'classic', '1',
  'dimension_' || s % {d}, hash(s) % 1000 / 1000.0 FROM range({d} * {n}) r(s);
CHECKPOINT
"""


def make(file: Path, *, pairs: int, votes: int, scores: int) -> None:
    """`pairs` pairs of as many clips, with so many votes each, and so many scores per clip."""
    Store.own(file).close()
    database = Database(file)
    sizes = {"n": pairs, "p": pairs // 4, "k": votes, "d": scores, "people": ANNOTATORS}
    filled = _STEPS.format(**sizes, pair=_PAIR)
    for step in filled.split(";\n"):
        database.writer.execute(step)
    database.close()


def end_journal(file: Path) -> None:
    """Make the journal's last line that of the newest vote, where the journal is still empty."""
    places = Places.of(file)
    if len(places.journal.read_bytes().splitlines()) > 1:
        return
    with contextlib.closing(Database(file)) as database:
        newest = reading.sequence(database.writer)
        last = reading.votes_after(database.writer, newest - 2)
        entry = Entry.after(
            newest - 1, last["chain"][0], vote_payload(to_votes(last)[1]), salt=last["salt"][1]
        )
        change = 'UPDATE votes SET "chain" = ? WHERE seq = ?'
        database.writer.execute(change, [entry.chain, newest])
        heading = {"journal": FORMAT, "database": meta(database.writer)["database"]}
    places.journal.write_bytes(json.dumps(heading).encode() + b"\n" + entry.line())


def answer(vote_id: str, pair: tuple[str, str, str], annotator: str) -> Vote:
    """A vote for the first clip of (pair id, a, b)."""
    pair_id, a, b = pair
    return Vote(
        id=vote_id,
        pair=pair_id,
        annotator=annotator,
        left=a,
        right=b,
        outcome="preference",
        preferred=a,
        seconds=4.5,
        watched={"left": 1.0, "right": 1.0},
    )

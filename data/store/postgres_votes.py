"""Taking votes into PostgreSQL: check, number, chain, insert, all in the caller's transaction.

The rules are those of `data.store.voting`. The journal's chain is kept here too, in the columns
`salt` and `chain`: the row of `heads` for votes is locked from the numbering to the commit, so that
the votes of all replicas form one chain without a gap. That makes commits of votes take turns (one
log flush each), which bounds the whole cluster to about 1 / (flush + three round trips) per second.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from data.records import Vote
from data.store.journal import Entry
from data.store.postgres_link import Cursor, run
from data.store.postgres_sql import rows_by_id
from data.store.reading import quoted
from data.store.rows import SCHEMAS, vote_payload, vote_row
from data.store.voting import STORED, Receipt, acknowledged, refuse_misfits, unknown


def store_new(cursor: Cursor, votes: Sequence[Vote], *, now_ms: int, mine: set[str]) -> None:
    """Insert the votes whose id is unknown; their ids are added to `mine`.

    Raises:
        UserError: if one of them does not fit the database; then none is stored.
    """
    look = partial(rows_by_id, cursor)
    new = unknown(look, votes)
    if not new:
        return
    refuse_misfits(look, new)
    statement = "SELECT newest, \"chain\", time_ms FROM heads WHERE kind = 'votes' FOR UPDATE"
    seq, chain, before = run(cursor, statement).fetchall()[0]
    new = unknown(look, new)  # another replica may have stored one of them while we waited
    now = max(now_ms, before)  # a clock that steps back does not turn the order of votes round
    rows: list[list[object]] = []
    for vote in new:
        stamped = vote if vote.time_ms else replace(vote, time_ms=now)
        entry = Entry.after(seq, chain, vote_payload(stamped), salt=secrets.token_hex(16))
        seq, chain = entry.seq, entry.chain
        rows.append([*vote_row(stamped), entry.seq, entry.salt, entry.chain])
    _insert(cursor, rows)
    run(
        cursor,
        "UPDATE heads SET newest = %s, \"chain\" = %s, time_ms = %s WHERE kind = 'votes'",
        [seq, chain, now],
    )
    mine.update(vote.id for vote in new)
    _end_leases(cursor, new)


def _insert(cursor: Cursor, rows: list[list[object]]) -> None:
    names = [*SCHEMAS["votes"].names, "seq", "salt", "chain"]
    values = ", ".join(["%s"] * len(names))
    statement = f"INSERT INTO votes ({quoted(names)}) VALUES ({values}) ON CONFLICT (id) DO NOTHING"
    if rows:
        cursor.executemany(statement.encode(), rows)
        if cursor.rowcount != len(rows):
            raise RuntimeError(f"{len(rows) - cursor.rowcount} votes were there, against the lock")


def _end_leases(cursor: Cursor, votes: Sequence[Vote]) -> None:
    run(
        cursor,
        "DELETE FROM leases USING unnest(%s::text[], %s::text[]) AS cast_(annotator, pair) "
        "WHERE leases.annotator = cast_.annotator AND leases.pair = cast_.pair",
        [[vote.annotator for vote in votes], [vote.pair for vote in votes]],
    )


def receipts(cursor: Cursor, votes: Sequence[Vote], mine: set[str]) -> list[Receipt]:
    """Read the votes back, in a transaction after the commit: only what is there counts."""
    there = rows_by_id(cursor, "votes", [vote.id for vote in votes], STORED)
    return acknowledged(there, votes, mine)

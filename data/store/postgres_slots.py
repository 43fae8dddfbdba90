"""Who may still answer which pair, decided in PostgreSQL for all replicas: see `slots` for what.

The row of the pair is the lock. Choosing and locking is one statement (`SKIP LOCKED`, so that
replicas do not queue up behind each other's choices), but its view of votes and leases is from
before the lock: another replica may have filled the slot in between. So under the lock a second
statement, which sees everything that is committed by then, asks again. Where nothing was free only
because others held the rows, a second pass waits for them: nobody is told "nothing left" because
somebody else was quicker with their lock than with their lease.

Every try is one transaction that waits for at most one pair, so no two can wait for each other.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from data.store.postgres_link import Cursor, Link, run
from data.store.slots import Lease, Redundancy, people_wanted

_LARGEST = 4096
"""Pairs asked about in one statement, at most."""
_WANTED = """
SELECT pairs.id FROM unnest(%(pairs)s::text[], %(people)s::bigint[]) WITH ORDINALITY
  AS wanted(id, people, place) JOIN pairs ON pairs.id = wanted.id
"""
_FREE = """
NOT EXISTS (SELECT FROM votes WHERE pair = pairs.id AND annotator = %(annotator)s
            AND outcome <> 'undo' AND {stands})
AND (SELECT count(DISTINCT annotator) FROM votes
     WHERE pair = pairs.id AND outcome NOT IN ('skip', 'undo') AND {stands}
     AND annotator <> ALL(%(ignoring)s::text[]))
  + (SELECT count(*) FROM leases WHERE pair = pairs.id AND expires_ms > %(now)s
     AND annotator <> %(annotator)s AND annotator <> ALL(%(ignoring)s::text[])) < wanted.people
""".format(stands="NOT EXISTS (SELECT FROM votes AS newer WHERE newer.revises = votes.id)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an annotator asks for; see `Owner.claim`."""

    annotator: str
    redundancy: Redundancy
    ignoring: Collection[str]
    ms: int
    now: Callable[[Cursor], int]
    """The present, UTC epoch milliseconds: the server's clock, so that replicas agree on it."""


def claim(link: Link, wish: Wish, ranked: Iterable[str]) -> Lease | None:
    """The annotator's open lease, prolonged; else a lease on the first pair with a free slot.

    A pair whose row another replica holds at this moment is passed over as long as another pair is
    free.
    """
    held = link.attempt(partial(_held, wish))
    if held is not None:
        return held
    asked: list[str] = []
    for some in _growing(ranked):
        if found := _search(link, wish, some, "SKIP LOCKED"):
            return found
        asked += some
    for start in range(0, len(asked), _LARGEST):
        if found := _search(link, wish, asked[start : start + _LARGEST], ""):
            return found
    return None


def _growing(ranked: Iterable[str]) -> Iterator[list[str]]:
    """The ranking in parts: one pair first, which is free nearly always, then more at once."""
    rest, size = iter(ranked), 1
    while some := list(islice(rest, size)):
        yield some
        size = min(size * 8, _LARGEST)


def _search(link: Link, wish: Wish, pairs: Sequence[str], locked: str) -> Lease | None:
    while pairs:
        found = link.attempt(partial(_try, wish, pairs, locked))
        if not isinstance(found, str):
            return found
        pairs = pairs[pairs.index(found) + 1 :]
    return None


def _held(wish: Wish, cursor: Cursor) -> Lease | None:
    """The annotator's open lease, prolonged. Until the transaction ends, only we decide for them.

    Two tabs, two replicas, one person: the advisory lock lets one of them ask at a time.
    """
    run(cursor, "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [wish.annotator])
    now = wish.now(cursor)
    prolonged = run(
        cursor,
        "UPDATE leases SET expires_ms = %s WHERE annotator = %s AND expires_ms > %s "
        "RETURNING id, pair, annotator, expires_ms",
        [now + wish.ms, wish.annotator, now],
    ).fetchall()
    return _lease(prolonged[0]) if prolonged else None


def _try(wish: Wish, pairs: Sequence[str], locked: str, cursor: Cursor) -> Lease | str | None:
    """A lease; None where none of `pairs` is free; or the pair that was taken before our lock."""
    held = _held(wish, cursor)
    if held is not None:
        return held
    now = wish.now(cursor)
    facts = {"annotator": wish.annotator, "ignoring": list(wish.ignoring), "now": now}
    free = f"{_WANTED} WHERE {_FREE} ORDER BY place LIMIT 1".encode()
    chosen = cursor.execute(
        free + f" FOR UPDATE OF pairs {locked}".encode(), {**facts, **_people(wish, pairs)}
    ).fetchall()
    if not chosen:
        return None
    pair = chosen[0][0]
    if not cursor.execute(free, {**facts, **_people(wish, [pair])}).fetchall():
        return pair
    _sweep(cursor, now)
    lease = _lease((uuid.uuid4().hex, pair, wish.annotator, now + wish.ms))
    run(
        cursor,
        "INSERT INTO leases (id, pair, annotator, expires_ms) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (annotator) DO UPDATE SET id = excluded.id, pair = excluded.pair, "
        "expires_ms = excluded.expires_ms",
        [lease.id, lease.pair, lease.annotator, lease.expires_ms],
    )
    return lease


def _people(wish: Wish, pairs: Sequence[str]) -> dict[str, list[Any]]:
    """The pairs to look at, and how many people each is to have."""
    return {"pairs": list(pairs), "people": [people_wanted(wish.redundancy, id) for id in pairs]}


def _sweep(cursor: Cursor, now: int) -> None:
    """Remove expired leases, other than those that another replica is removing."""
    run(
        cursor,
        "DELETE FROM leases WHERE annotator IN (SELECT annotator FROM leases "
        "WHERE expires_ms <= %s FOR UPDATE SKIP LOCKED)",
        [now],
    )


def release(cursor: Cursor, lease_id: str) -> bool:
    """Give a lease back; False where it is not open (any more)."""
    return run(cursor, "DELETE FROM leases WHERE id = %s", [lease_id]).rowcount == 1


def open_leases(cursor: Cursor, now: int) -> list[Lease]:
    """The leases that have not expired, the one that expires first before the others."""
    statement = (
        "SELECT id, pair, annotator, expires_ms FROM leases WHERE expires_ms > %s "
        "ORDER BY expires_ms, annotator"
    )
    return [_lease(row) for row in run(cursor, statement, [now]).fetchall()]


def _lease(row: tuple[Any, ...]) -> Lease:
    identity, pair, annotator, expires_ms = row
    return Lease(id=identity, pair=pair, annotator=annotator, expires_ms=expires_ms)

"""Taking votes: decide, journal, apply, read back. Runs on the owner thread only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import duckdb

from data.errors import UserError
from data.records import Vote
from data.store import reading, writing
from data.store.journal import Journal
from data.store.rows import vote_payload

STORED = ("pair", "annotator", "seq", "time_ms")
"""The columns of a stored vote that tell a retry from a new vote, and make its receipt."""
Look = Callable[[str, Sequence[str], Sequence[str]], Mapping[str, tuple[Any, ...]]]
"""`look(kind, ids, columns)` on either engine: the wanted columns of those ids that exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the store answers for a vote, after it is safe."""

    status: Literal["stored", "duplicate"]
    """`duplicate`: a vote with this id was there already (a retry, a double click)."""
    sequence: int
    """Its place among all votes, from 1."""
    time_ms: int
    """UTC epoch milliseconds at which it was first taken."""


def store_new(
    cursor: duckdb.DuckDBPyConnection,
    journal: Journal,
    votes: Sequence[Vote],
    *,
    mine: set[str],
    now_ms: int,
) -> list[Vote]:
    """Journal and insert the votes whose id is unknown, inside the caller's transaction.

    A vote without a time gets `now_ms`. A second, unrevised vote of the same annotator about the
    same pair is stored: no vote is ever lost, and `data.votes.live_votes` lets the newest stand.
    The ids that this call put into the journal are added to `mine`.

    Raises:
        UserError: if one of them does not fit the database; then none is stored.
    """
    look = partial(reading.rows_by_id, cursor)
    new = unknown(look, votes)
    refuse_misfits(look, new)
    stamped = [vote if vote.time_ms else replace(vote, time_ms=now_ms) for vote in new]
    if stamped:
        entries = journal.extend([vote_payload(vote) for vote in stamped])
        mine.update(vote.id for vote in stamped)
        writing.insert_votes(cursor, stamped, entries)
    return stamped


def receipts(
    cursor: duckdb.DuckDBPyConnection, votes: Sequence[Vote], mine: set[str]
) -> list[Receipt]:
    """Read the votes back after the commit: only what is there is acknowledged.

    The first vote with an id of `mine` was stored by this call; every other is a duplicate.
    """
    there = reading.rows_by_id(cursor, "votes", [vote.id for vote in votes], STORED)
    return acknowledged(there, votes, mine)


def acknowledged(
    there: Mapping[str, Sequence[Any]], votes: Sequence[Vote], mine: set[str]
) -> list[Receipt]:
    """A receipt per vote, from the rows that were read back (`STORED`'s columns, by id).

    Raises:
        RuntimeError: a vote is not there; it must not be acknowledged.
    """
    fresh, made = set(mine), []
    for vote in votes:
        if vote.id not in there:
            raise RuntimeError(f"Vote {vote.id} was committed but cannot be read back")
        _, _, seq, time_ms = there[vote.id]
        status: Literal["stored", "duplicate"] = "stored" if vote.id in fresh else "duplicate"
        fresh.discard(vote.id)
        made.append(Receipt(status=status, sequence=seq, time_ms=time_ms))
    return made


def unknown(look: Look, votes: Sequence[Vote]) -> list[Vote]:
    """The votes to store, the first of each id; refuses an id that another vote has."""
    known = dict(look("votes", [vote.id for vote in votes], STORED[:2]))
    new = []
    for vote in votes:
        if vote.id in known:
            _same_vote(vote, *known[vote.id])
        else:
            known[vote.id] = (vote.pair, vote.annotator)
            new.append(vote)
    return new


def _same_vote(vote: Vote, pair: str, annotator: str) -> None:
    """Refuse an id that is taken by a vote about another pair or by another annotator."""
    if (vote.pair, vote.annotator) != (pair, annotator):
        raise UserError(
            f"Vote id {vote.id!r} is taken by another vote (pair {pair}, annotator {annotator!r}); "
            "every vote needs an id of its own"
        )


def refuse_misfits(look: Look, votes: Sequence[Vote]) -> None:
    """Refuse votes that do not fit the database; one may revise another before it."""
    pairs = look("pairs", [vote.pair for vote in votes], ("a", "b"))
    wanted = [vote.revises for vote in votes if vote.revises is not None]
    earlier = dict(look("votes", wanted, STORED[:2]))
    for vote in votes:
        _fits_pair(vote, pairs.get(vote.pair))
        if vote.revises is not None:
            _fits_revised(vote, earlier.get(vote.revises))
        earlier[vote.id] = (vote.pair, vote.annotator)


def _fits_pair(vote: Vote, clips: tuple[Any, ...] | None) -> None:
    """Refuse an unknown pair (`clips` is None) and other clips than the pair's."""
    if clips is None:
        raise UserError(
            f"Vote {vote.id} is about pair {vote.pair!r}, which the database does not hold; "
            "add the pair first (python -m data.pair), and check --db"
        )
    if {vote.left, vote.right} != set(clips):
        raise UserError(
            f"Vote {vote.id} shows {vote.left[:12]} and {vote.right[:12]}, but pair {vote.pair} "
            f"holds {clips[0][:12]} and {clips[1][:12]}"
        )


def _fits_revised(vote: Vote, earlier: tuple[Any, ...] | None) -> None:
    """Refuse to revise an unknown vote, or one by somebody else or about another pair."""
    if earlier is None:
        raise UserError(
            f"Vote {vote.id} revises {vote.revises!r}, which the database does not hold"
        )
    if earlier != (vote.pair, vote.annotator):
        raise UserError(
            f"Vote {vote.id} revises {vote.revises!r}, which is about another pair or by another "
            "annotator; only one's own answer to the same pair can be revised"
        )

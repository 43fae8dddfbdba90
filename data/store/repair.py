"""Looking for damage, and mending it: `check`, `repair` and `rebuild` of `python -m data.store`.

`check` changes nothing. `repair` and `rebuild` first put every file aside that they change.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb

from data.errors import UserError
from data.store import journal as journals
from data.store import reading, snapshot, swap
from data.store.asking import ask_for_snapshot
from data.store.database import open_read_only
from data.store.journal import Entry, Journal, salted
from data.store.lock import Lock, holder
from data.store.places import Places, sync_folder
from data.store.recovery import bad_wal_position, cut_wal, open_live
from data.store.rows import SCHEMAS, to_votes, vote_payload
from data.store.schema import check_version, meta

STEP = 50_000
"""Votes that are in memory at a time."""


@contextlib.contextmanager
def alone(places: Places) -> Iterator[None]:
    """Hold the lock for the length of a repair.

    Raises:
        UserError: somebody owns the database.
    """
    lock = Lock.take(places)
    if lock is None:
        raise UserError(
            f"{places.database} is owned by process {holder(places).pid}; end it, then run this"
        )
    try:
        swap.finish(places)
        yield
    finally:
        lock.release()


def check(places: Places) -> list[str]:
    """What is wrong with the journal and the votes in the table, one sentence each; [] for nothing.

    While somebody owns the database, the table is that of a snapshot which they publish now, and
    later lines of the journal are left for the next time.

    Raises:
        UserError: there is no database, or its owner does not answer.
    """
    if not places.database.exists() and not places.journal.exists():
        raise UserError(f"{places.database} does not exist; check --db")
    lock = Lock.take(places)
    if lock is None:
        ask_for_snapshot(places)
        return _damage(places, places.snapshot, beside_owner=True)
    try:
        swap.finish(places)
        return _damage(places, places.database, beside_owner=False)
    finally:
        lock.release()


def _damage(places: Places, file: Path, *, beside_owner: bool) -> list[str]:
    """Damaged lines of the journal, and where the votes in `file` are not those of the others."""
    if not places.journal.exists():
        missing = f"{places.journal} is missing; the next start writes a new one"
        return _unreadable(file) or [missing]
    if not file.exists():
        lines = list(journals.damage(places.journal))
        missing = f"{file} is missing; `rebuild` makes it from the journal"
        return [*_lines(places, lines), missing]
    try:
        opened = snapshot.open_view(file) if beside_owner else open_read_only(file)
        with contextlib.closing(opened) as cursor:
            check_version(cursor, file)
            newest = reading.sequence(cursor) if beside_owner else None
            different = [
                f"vote {seq}: {what}"
                for seq, what in _differences(places.journal, cursor)
                if newest is None or seq <= newest
            ]
    except duckdb.Error as error:
        return [
            *_lines(places, list(journals.damage(places.journal))),
            f"{file} cannot be read: {error}",
        ]
    lines = [
        (line, what)
        for line, what in journals.damage(places.journal)
        if newest is None or line <= newest + 1  # the heading is line 1
    ]
    return _lines(places, lines) + different


def _unreadable(file: Path) -> list[str]:
    try:
        open_read_only(file).close()
    except duckdb.Error as error:
        return [f"{file} cannot be read: {error}"]
    return []


def _lines(places: Places, lines: list[tuple[int, str]]) -> list[str]:
    return [f"{places.journal.name}, line {line}: {what}" for line, what in lines]


def _differences(journal: Path, cursor: duckdb.DuckDBPyConnection) -> Iterator[tuple[int, str]]:
    """Where journal and table hold different votes: the vote's number, and how they differ."""
    for journalled, stored in _side_by_side(_in_order(journal), _entries_of_table(cursor)):
        if stored is None and journalled is not None:
            what = "in the journal, not in the table (the next start puts it there)"
            yield journalled.seq, what
        elif journalled is None and stored is not None:
            yield stored.seq, "in the table, without an intact line in the journal"
        elif journalled != stored and stored is not None:
            yield stored.seq, "the table and the journal differ"


def _entries_of_table(cursor: duckdb.DuckDBPyConnection) -> Iterator[Entry]:
    """The lines that the journal should hold, from the votes of a database or a snapshot."""
    for start in range(0, reading.sequence(cursor), STEP):
        frame = reading.votes_between(cursor, start, start + STEP)
        places = zip(frame["seq"], frame["salt"], frame["chain"], strict=True)
        for vote, (seq, salt, chain) in zip(to_votes(frame), places, strict=True):
            text = vote_payload(vote)
            yield Entry(seq, salt, text, salted(salt, text), chain)


def _in_order(journal: Path) -> Iterator[Entry]:
    """The journal's intact entries by their number; of several with one number the last.

    They nearly always lie in that order, and then only one at a time is in memory.
    """
    numbers = itertools.pairwise(entry.seq for entry in journals.intact(journal))
    if all(before < after for before, after in numbers):
        return journals.intact(journal)
    found = {entry.seq: entry for entry in journals.intact(journal)}
    return iter([found[seq] for seq in sorted(found)])


def _side_by_side(
    one: Iterator[Entry], other: Iterator[Entry]
) -> Iterator[tuple[Entry | None, Entry | None]]:
    """Two lists by number, with None where one of them lacks what the other has."""
    first, second = next(one, None), next(other, None)
    while first is not None or second is not None:
        if second is None or (first is not None and first.seq < second.seq):
            yield first, None
            first = next(one, None)
        elif first is None or second.seq < first.seq:
            yield None, second
            second = next(other, None)
        else:
            yield first, second
            first, second = next(one, None), next(other, None)


def repair(places: Places) -> list[str]:
    """Cut the damaged end of DuckDB's log and the torn last line of the journal; what was done.

    The votes that were cut off the log come back from the journal.
    """
    if not places.database.exists():
        raise UserError(
            f"{places.database} does not exist; check --db, or make it from its journal: `rebuild`"
        )
    done = []
    with alone(places):
        if places.journal.exists() and (torn := journals.cut_torn_line(places.journal)):
            done.append(f"an unfinished last line of the journal was cut; it is in {torn}")
        try:
            open_read_only(places.database).close()
        except duckdb.Error as error:
            position = bad_wal_position(error)
            if position is None:
                raise UserError(
                    f"{places.database} cannot be opened ({error}); use `rebuild`"
                ) from error
            copy = cut_wal(places, position)
            done.append(f"{places.wal.name} was cut at byte {position}; a copy is {copy}")
        database, journal = open_live(places, now_ms=0)
        done.append(f"{reading.count(database.writer, 'votes')} votes are in the table")
        database.close()
        journal.close()
    return done


def rebuild(places: Places, *, now_ms: int) -> list[str]:
    """A new database from the journal's votes and the last snapshot's other records; what was done.

    A damaged line of the journal is taken from the snapshot if that has the vote; else the vote is
    lost, and the journal is written anew without it. The old files are kept in a folder beside.

    Raises:
        UserError: there is neither a journal nor a snapshot.
    """
    with alone(places):
        scratch = places.beside(".rebuild")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        new = Places(scratch / places.database.name)
        lost = _whole_journal(places, new)
        database, journal = open_live(new, now_ms=now_ms)
        if places.snapshot.exists():
            snapshot.restore(database, places.snapshot)
        counts = {kind: reading.count(database.writer, kind) for kind in SCHEMAS}
        database.close()
        journal.close()
        aside = _swap(places, new, now_ms=now_ms)
        scratch.rmdir()
    done = [", ".join(f"{count} {kind}" for kind, count in counts.items())]
    done += [f"vote {seq} is lost: its line was damaged and no snapshot has it" for seq in lost]
    return [*done, f"the old files are in {aside}"]


def _whole_journal(places: Places, new: Places) -> list[int]:
    """Write the new place's journal; the numbers of the votes that are lost."""
    identity = journals.owner_of(places.journal)
    with contextlib.ExitStack() as stack:
        published: Iterator[Entry] = iter(())
        if places.snapshot.exists():
            cursor = stack.enter_context(contextlib.closing(snapshot.open_view(places.snapshot)))
            check_version(cursor, places.snapshot)
            identity = identity or meta(cursor)["database"]
            published = _entries_of_table(cursor)
        if identity is None:
            raise UserError(
                f"Beside {places.database} lies neither a journal nor a snapshot to rebuild it from"
            )
        lines = _in_order(places.journal) if places.journal.exists() else iter(())
        entries = (mine or its for mine, its in _side_by_side(lines, published))
        return _copied(new, identity, (entry for entry in entries if entry is not None))


def _copied(new: Places, identity: str, entries: Iterator[Entry]) -> list[int]:
    """Put entries into a new journal, in steps; the numbers that none of them has."""
    journal, lost, before = Journal(new.journal, identity), [], 0
    while some := list(itertools.islice(entries, STEP)):
        journal.extend([entry.payload for entry in some], salts=[entry.salt for entry in some])
        for entry in some:
            lost += range(before + 1, entry.seq)
            before = entry.seq
    journal.close()
    return lost


def _swap(places: Places, new: Places, *, now_ms: int) -> Path:
    """Put the new files in place of the old ones; the folder where those are now."""
    aside = put_aside(places, now_ms=now_ms)
    new.journal.rename(places.journal)
    new.database.rename(places.database)
    sync_folder(places.database.parent)
    return aside


def put_aside(places: Places, *, now_ms: int) -> Path:
    """Move the database's files into a new folder beside; that folder."""
    aside = places.beside(f".before-{now_ms}")
    aside.mkdir()
    for old in (places.database, places.wal, places.snapshot, places.journal, places.pulled):
        if old.exists():
            old.rename(aside / old.name)
    return aside

"""Opening the live file so that table and journal hold the same votes.

Table and journal both number the votes from 1 without a gap, and both keep the chain value, so that
comparing the newest of each tells whether anything is missing, without reading either.
"""

from __future__ import annotations

import itertools
import logging
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb

from data.errors import UserError
from data.store import reading, snapshot, swap, writing
from data.store.database import Database
from data.store.journal import (
    Entry,
    Journal,
    broken,
    chained,
    entries_after,
    genesis,
    owner_of,
    parse,
)
from data.store.lock import NotWritableError
from data.store.places import Places, sync_folder
from data.store.rows import to_votes, vote_payload
from data.store.schema import check_version, meta, migrate

_log = logging.getLogger(__name__)
_BAD_WAL = re.compile(r"Corrupt WAL file: entry at byte position (\d+)")
_BATCH = 50_000
"""Votes that are put back at a time."""
_UNWRITTEN = 16
"""Bytes. So many zeros at the end are not the end of an entry."""


def open_live(places: Places, *, now_ms: int) -> tuple[Database, Journal]:
    """The live file, migrated, and its journal, with the same votes in both. Under the lock only.

    Raises:
        UserError: where the file is no database, is newer, or disagrees with its journal.
    """
    database, journal = open_files(places, now_ms=now_ms)
    try:
        catch_up(database, journal)
    except BaseException:
        database.close()
        journal.close()
        raise
    return database, journal


def open_files(places: Places, *, now_ms: int) -> tuple[Database, Journal]:
    """`open_live` before the votes are compared: enough for reading while the disk is full."""
    snapshot.sweep(places)
    swap.finish(places)
    database = _open(places)
    try:
        _refuse_copy(database)
        migrate(database, now_ms=now_ms)
        return database, Journal(places.journal, _identity(database, places))
    except BaseException:
        database.close()
        raise


def _refuse_copy(database: Database) -> None:
    """A snapshot or a backup has no keys: rows added to it would not be checked."""
    if check_version(database.writer, database.path) and "created_ms" in meta(database.writer):
        raise UserError(
            f"{database.path} is a snapshot or a backup, for reading with other tools. Give --db "
            "the database itself, or make one of it: `python -m data.store restore` (a backup), "
            f"`python -m data.store merge {database.path} --db new.duckdb`"
        )


def _open(places: Places) -> Database:
    absent = not places.database.exists()
    try:
        database = Database(places.database)
    except duckdb.Error as error:
        position = bad_wal_position(error)
        if position is None:
            raise _unreadable(places, error) from error
        if not unwritten_from(places.wal, position):
            raise UserError(
                f"{places.wal} is damaged at byte {position}. Mend it with "
                f"`python -m data.store repair --db {places.database}`; it keeps a copy"
            ) from error
        cut_wal(places, position)
        database = Database(places.database)
    _refuse_table(database)
    if absent:
        sync_folder(places.database.parent)
    return database


def _refuse_table(database: Database) -> None:
    """DuckDB opens a CSV, JSON or Parquet file as a view in memory: what is added would be lost."""
    files = "SELECT path FROM duckdb_databases() WHERE path IS NOT NULL"
    if not database.writer.execute(files).fetchall():
        database.close()
        raise UserError(
            f"{database.path} cannot be opened: it is a table, not a database. Check --db"
        )


def _unreadable(places: Places, error: duckdb.Error) -> UserError:
    if "Could not set lock" in str(error):
        return UserError(
            f"{places.database} is open in a program that does not go through Store.open: {error} "
            f"Close it there, and open {places.snapshot.name} with such programs instead"
        )
    if "Permission denied" in str(error) or "Read-only file system" in str(error):
        return NotWritableError(
            f"{places.database} may be read here and not written: {error} To write to it, change "
            "its mode, or run as the user who owns it"
        )
    if not (places.journal.exists() or places.snapshot.exists()):
        return UserError(
            f"{places.database} cannot be opened: {error} Check --db: neither a journal nor a "
            "snapshot lies beside it, so there is nothing to make it anew from"
        )
    return UserError(
        f"{places.database} cannot be opened: {error} If it is damaged, "
        f"`python -m data.store rebuild --db {places.database}` makes a new one from the journal"
    )


def bad_wal_position(error: duckdb.Error) -> int | None:
    """Where DuckDB says that its log is damaged, bytes; None for any other error."""
    found = _BAD_WAL.search(str(error))
    return int(found.group(1)) if found else None


def unwritten_from(wal: Path, position: int) -> bool:
    """Whether the log's entry at `position` is the last one and ends in space never written.

    A power cut leaves zeros where the file had grown already. An entry is its size and its checksum
    (64 bits each) and so many bytes. Where anything but zeros comes after that entry, or the file
    does not end in zeros, it is damage of another kind, and a person should look.
    """
    tail = wal.read_bytes()[position:]
    written = len(tail.rstrip(b"\0"))
    size = int.from_bytes(tail[:8], "little")
    return len(tail) - written >= _UNWRITTEN and written <= 16 + size


def cut_wal(places: Places, position: int) -> Path:
    """Cut the log at `position`, after copying file and log aside; the log's copy.

    Everything before that byte is committed work; votes after it come back from the journal.
    """
    aside = places.beside(f".damaged-{position}")
    shutil.copy2(places.database, aside)
    copy = shutil.copy2(places.wal, aside.with_name(f"{aside.name}.wal"))
    with places.wal.open("r+b") as file:
        file.truncate(position)
    _log.warning("%s was cut at byte %d; a copy is %s", places.wal, position, copy)
    return Path(copy)


def _identity(database: Database, places: Places) -> str:
    """The database's own name for itself; a new file takes the journal's, or makes one up."""
    known = meta(database.writer).get("database")
    if known is not None:
        return known
    identity = owner_of(places.journal) or uuid.uuid4().hex
    with database.transaction() as cursor:
        cursor.execute("INSERT INTO meta VALUES ('database', ?)", [identity])
    return identity


def catch_up(database: Database, journal: Journal) -> None:
    """Bring table and journal to the same votes.

    Raises:
        UserError: where they hold different votes, or the journal is damaged.
    """
    total, newest, chain, _ = reading.newest_vote(database.writer)
    if total == newest == journal.seq and chain in ("", journal.chain):
        return
    if total != newest or not newest:  # rows lost in the middle, or all of them: compare all
        _replay(database, journal, _from_the_start(journal))
    elif journal.seq > newest:
        entries = entries_after(journal.path, newest)
        before = chain or genesis(journal.database)
        if chained(before, entries[0].seq, entries[0].hash) != entries[0].chain:
            raise _disagree(database, journal)
        _replay(database, journal, entries)
    elif journal.seq < newest:
        _rewrite_tail(database, journal)
    else:
        raise _disagree(database, journal)


def _disagree(database: Database, journal: Journal) -> UserError:
    return UserError(
        f"{database.path} and {journal.path.name} hold different votes. Look with `python -m "
        f"data.store check --db {database.path}`; `rebuild` makes the database from the journal"
    )


def _from_the_start(journal: Journal) -> Iterator[Entry]:
    """Every entry, oldest first, one at a time: a long journal need not fit into memory."""
    chain, number = genesis(journal.database), 0
    with journal.path.open("rb") as file:
        file.readline()
        for line in file:
            number += 1
            try:
                entry = parse(line)
            except (ValueError, KeyError, TypeError) as error:
                raise broken(journal.path, f"entry {number}", error) from error
            if chained(chain, number, entry.hash) != entry.chain:
                why = "it does not follow the one before"
                raise broken(journal.path, f"entry {number}", why)
            chain = entry.chain
            yield entry


def _replay(database: Database, journal: Journal, entries: Iterable[Entry]) -> None:
    stored = reading.stored_sequences(database.writer)
    missing, count = (entry for entry in entries if entry.seq not in stored), 0
    with database.transaction() as cursor:
        while batch := list(itertools.islice(missing, _BATCH)):
            writing.insert_entries(cursor, batch)
            count += len(batch)
    _log.warning("%d votes of %s were missing in %s", count, journal.path.name, database.path)


def _rewrite_tail(database: Database, journal: Journal) -> None:
    """The journal is shorter than the table (lost, or the file came alone): write what it lacks."""
    before, newest = journal.seq, reading.sequence(database.writer)
    while journal.seq < newest:
        frame = reading.votes_between(database.writer, journal.seq, journal.seq + _BATCH)
        payloads = [vote_payload(vote) for vote in to_votes(frame)]
        entries = journal.extend(payloads, salts=frame["salt"].to_list())
        if [entry.chain for entry in entries] != frame["chain"].to_list():
            raise _disagree(database, journal)
    _log.warning("%d votes were written to %s again", journal.seq - before, journal.path)

"""Consistent copies for readers, published by rename as `prefs.snapshot.duckdb` (mode 0444).

A snapshot has the tables of the live file without keys, and in `meta` its moment. It is made in one
transaction beside the votes that keep flowing. Since every table only grows, a new snapshot is the
last one plus the rows whose `seq` is above its own; where nothing was added, nothing is written.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb

from data.records import KINDS
from data.store.database import Database, attached, open_read_only, sync_file
from data.store.places import Places, sync_folder
from data.store.reading import heads
from data.store.schema import NEWEST, check_version, meta

Marks = dict[str, int]
_OF_PROCESS = re.compile(r"(?:draft|view)-(\d+)")


@dataclass(frozen=True, slots=True)
class Published:
    """A snapshot that this process has published or looked at."""

    marks: Marks
    """The newest `seq` of every kind in it."""
    inode: int
    """The file that it was; another one means that somebody else put theirs there."""


def publish(
    cursor: duckdb.DuckDBPyConnection, places: Places, known: Published | None, *, now_ms: int
) -> Published:
    """Bring `places.snapshot` up to the present; what is there now, to be handed in next time.

    One call at a time, and only from the owner.
    """
    if known is None or not places.snapshot.exists() or _inode(places.snapshot) != known.inode:
        known = _look_at(places.snapshot, meta(cursor)["database"])
    if known is not None and known.marks == heads(cursor):
        return known
    draft = places.snapshot.with_name(f".{places.snapshot.name}.draft-{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        if known is not None:
            shutil.copyfile(places.snapshot, draft)
        marks = _write(cursor, draft, fresh=known is None, now_ms=now_ms)
        _put_in_place(draft, places.snapshot)
    finally:
        draft.unlink(missing_ok=True)
    return Published(marks, _inode(places.snapshot))


def sweep(places: Places) -> None:
    """Remove what killed processes left: drafts, and names of views. Under the lock only."""
    start = f".{places.snapshot.name}."
    for file in places.snapshot.parent.iterdir():
        left = _OF_PROCESS.match(file.name.removeprefix(start))
        if file.name.startswith(start) and left and not _alive(int(left.group(1))):
            file.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _inode(file: Path) -> int:
    return file.stat().st_ino


def _look_at(snapshot: Path, identity: str) -> Published | None:
    """The published snapshot; None where it is absent, or not one of this database."""
    if not snapshot.exists():
        return None
    try:
        with contextlib.closing(open_view(snapshot)) as cursor:
            if check_version(cursor, snapshot) != NEWEST or meta(cursor)["database"] != identity:
                return None
            return Published(heads(cursor), _inode(snapshot))
    except duckdb.Error:  # cut short by a full disk, or written by somebody else: make a new one
        return None


def copy(cursor: duckdb.DuckDBPyConnection, file: Path, *, now_ms: int) -> None:
    """A snapshot of what the cursor sees, in a new file."""
    _write(cursor, file, fresh=True, now_ms=now_ms)


def _write(cursor: duckdb.DuckDBPyConnection, draft: Path, *, fresh: bool, now_ms: int) -> Marks:
    """Fill the draft in one transaction; the newest `seq` of every kind in it."""
    with attached(cursor, draft, name="_draft"):
        cursor.execute("BEGIN")
        try:
            marks = heads(cursor)
            for name in (*KINDS, "schema_version"):
                if fresh:
                    cursor.execute(f"CREATE TABLE _draft.{name} AS FROM {name}")
                elif name in KINDS:
                    newer = f"seq > (SELECT coalesce(max(seq), 0) FROM _draft.{name})"
                    cursor.execute(f"INSERT INTO _draft.{name} FROM {name} WHERE {newer}")
            cursor.execute("CREATE OR REPLACE TABLE _draft.meta AS FROM meta")
            cursor.execute("INSERT INTO _draft.meta VALUES ('created_ms', ?)", [str(now_ms)])
            cursor.execute(
                "INSERT INTO _draft.meta SELECT unnest(['sequence', 'chain']), "
                'unnest([CAST(seq AS VARCHAR), "chain"]) FROM '
                '(SELECT seq, "chain" FROM votes ORDER BY seq DESC LIMIT 1)'
            )
            cursor.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                cursor.execute("ROLLBACK")
            raise
        cursor.execute("CHECKPOINT _draft")
        return marks


def _put_in_place(draft: Path, snapshot: Path) -> None:
    draft.chmod(0o444)
    sync_file(draft)
    draft.replace(snapshot)
    sync_folder(snapshot.parent)


def open_view(snapshot: Path) -> duckdb.DuckDBPyConnection:
    """Open the snapshot that is there now, for reading, unmoved by later ones.

    DuckDB shares one instance per path within a process: under its public name, a newer snapshot
    would show the older one's rows for as long as anybody has that open. So each view is opened
    under a name of its own, which is removed at once; the open file stays readable.
    """
    name = f".{snapshot.name}.view-{os.getpid()}-{os.urandom(6).hex()}"
    link = snapshot.with_name(name)
    try:
        os.link(snapshot, link)
    except PermissionError:  # a folder that only others may write: no newer snapshot can be ours
        return open_read_only(snapshot)
    try:
        return open_read_only(link)
    finally:
        link.unlink()


def kinds_in(cursor: duckdb.DuckDBPyConnection) -> list[str]:
    """The kinds of records that the open file has a table for: an older program had fewer."""
    tables = "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
    there = {name for (name,) in cursor.execute(tables).fetchall()}
    return [kind for kind in KINDS if kind in there]


def restore(database: Database, source: Path) -> None:
    """Copy everything but the votes from a snapshot into a database that holds none of it."""
    with (
        contextlib.closing(open_view(source)) as view,
        database.transaction() as cursor,
    ):
        for kind in kinds_in(view):
            if kind != "votes":
                cursor.register("restored", view.sql(f"FROM {kind} ORDER BY seq").to_arrow_table())
                cursor.execute(f"INSERT INTO {kind} BY NAME FROM restored")
                cursor.unregister("restored")

"""Where the people of a database are written down: a file of their own beside it, or its server.

`prefs.duckdb.people` is SQLite (standard library): the app and `python -m annotate.people` write
to it at the same time, which the database itself does not allow, and nobody who gets the votes gets
names, password hashes or tokens with them. It is readable by its owner only, and what is deleted is
overwritten. On PostgreSQL the same tables lie in the server, so that all replicas know the same
people. The statements are the same for both, with `?` for a value.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from data.errors import UserError
from data.store import postgres_schema
from data.store.people_schema import ENTRANCES, TABLES, VERSION
from data.store.places import Places, is_url, sync_folder
from data.store.postgres_link import Cursor, Link, run

_Result = TypeVar("_Result")
Rows = list[tuple[Any, ...]]
Ask = Callable[..., Rows]
"""`ask(statement, *values)` inside a transaction; the rows that it gives, if any."""
_PATIENCE_S = 10.0
"""How long another process that writes is waited for; it takes milliseconds."""
_LOOK_AGAIN_S = 1.0
"""How often a replica asks its server whether accounts have been turned on."""


class Tables(Protocol):
    """The tables of `people_schema`, wherever they are."""

    name: str
    """For messages."""

    def there(self) -> bool:
        """Whether accounts were ever turned on here; makes nothing."""
        ...

    def write(self, task: Callable[[Ask], _Result]) -> _Result:
        """Run `task` in one transaction that excludes other writers; makes the tables."""
        ...

    def read(self, statement: str, *values: Any) -> Rows:
        """Rows of one statement; none where there are no tables."""
        ...

    def scrub(self) -> None:
        """See that nothing deleted is left in a file."""
        ...

    def close(self) -> None:
        """Let go of files and connections; closing twice is no error."""
        ...


def tables(db: str | os.PathLike[str]) -> Tables:
    """The people's tables of this database; nothing is made before the first person is added.

    Raises:
        UserError: `db` cannot be a database; its server is away.
    """
    if is_url(db):
        return ServerTables(os.fspath(db))
    return FileTables(Places.of(db).people)


class FileTables:
    """`prefs.duckdb.people`. Thread-safe; other processes may write to it too."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._gate = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def there(self) -> bool:
        """As `Tables.there`."""
        return bool(self.read("SELECT 1 FROM people_since"))

    def read(self, statement: str, *values: Any) -> Rows:
        """As `Tables.read`."""
        with self._gate:
            if self._connection is None and not self._path.exists():
                return []
            return self._open().execute(statement, values).fetchall()

    def write(self, task: Callable[[Ask], _Result]) -> _Result:
        """As `Tables.write`."""
        with self._gate:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = task(lambda sql, *values: connection.execute(sql, values).fetchall())
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            return result

    def scrub(self) -> None:
        """As `Tables.scrub`: `secure_delete` has zeroed the pages, the log is emptied here."""
        with self._gate:
            self._open().execute("VACUUM")
            self._open().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """As `Tables.close`."""
        with self._gate:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            _make_private(self._path)
            connection = sqlite3.connect(
                self._path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        try:
            for setting in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
                connection.execute(f"PRAGMA {setting}")
            connection.execute("BEGIN IMMEDIATE")
            ((version,),) = connection.execute("PRAGMA user_version").fetchall()
            if version == 0:
                for statement in TABLES.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{self.name} cannot be used: {error}. It holds names, roles and passwords; put "
                "it back from a copy, or move it away to begin without accounts"
            ) from error
        if version > VERSION:
            raise UserError(
                f"{self.name} has version {version} of the tables; this program knows up to "
                f"{VERSION}. A newer program made it: update this one"
            )


def copy_accounts(source: Path, target: Path) -> None:
    """Copy a people's file for a backup, also while the app writes to it: names and passwords.

    What can be taken back (sessions, tokens, invitations) is left out, so that a backup that is
    restored later does not open a door that was shut in the meantime.

    Raises:
        UserError: it cannot be read, or there is no room for the copy.
    """
    _make_private(target)
    try:
        with (
            contextlib.closing(sqlite3.connect(source)) as live,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            live.backup(copy)
    except sqlite3.Error as error:
        raise UserError(f"{source} cannot be copied to {target.parent}: {error}") from error
    kept = FileTables(target)
    try:
        kept.write(lambda ask: [ask(f"DELETE FROM {table}") for table in ENTRANCES])
        kept.scrub()
    finally:
        kept.close()


class ServerTables:
    """The same tables in PostgreSQL, for all replicas. Thread-safe."""

    def __init__(self, url: str) -> None:
        self._link = Link(url)
        self.name = self._link.name
        self._ready = False
        self._there = False
        self._next_look = 0.0

    def there(self) -> bool:
        """As `Tables.there`; a "no" is up to a second old."""
        if not self._there and time.monotonic() >= self._next_look:
            self._there = bool(self.read("SELECT 1 FROM people_since"))
            self._next_look = time.monotonic() + _LOOK_AGAIN_S
        return self._there

    def read(self, statement: str, *values: Any) -> Rows:
        """As `Tables.read`."""
        if not self._ready:
            check = partial(postgres_schema.check_version, name=self.name)
            self._ready = self._link.attempt(check)
        return self._link.attempt(partial(_ask, statement, values)) if self._ready else []

    def write(self, task: Callable[[Ask], _Result]) -> _Result:
        """As `Tables.write`."""

        def locked(cursor: Cursor) -> _Result:
            if not self._ready and not postgres_schema.check_version(cursor, self.name):
                postgres_schema.migrate(cursor, self.name)
            run(cursor, "LOCK TABLE people IN SHARE ROW EXCLUSIVE MODE")
            return task(lambda statement, *values: _ask(statement, values, cursor))

        result = self._link.attempt(locked)
        self._ready, self._next_look = True, 0.0
        return result

    def scrub(self) -> None:
        """As `Tables.scrub`: what the server keeps in its files is the server's business."""

    def close(self) -> None:
        """As `Tables.close`."""
        self._link.close()


def _ask(statement: str, values: tuple[Any, ...], cursor: Cursor) -> Rows:
    found = run(cursor, statement.replace("?", "%s"), values)
    return found.fetchall() if found.description else []


def _make_private(path: Path) -> None:
    """An empty file that only its owner can open; SQLite gives its log the same mode."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        sync_folder(path.parent)
    except FileExistsError:
        path.chmod(0o600)

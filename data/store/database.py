"""One open DuckDB file: connections, and the only transaction helper.

The file is written in storage format v1.5.0, so that DuckDB 1.5 and 2.0 both read it. Extensions
are never installed or loaded by themselves. Two rules, each from a measured way to lose votes:

* One connection object shared by threads returns other threads' rows. So one root connection that
  never executes anything, one `writer` cursor for the owner thread, and a fresh cursor per read.
* `COMMIT` after any failed statement reports success and stores nothing. So `transaction` always
  rolls back and raises again; nothing inside it may swallow an error.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb

from data.errors import UserError
from data.store.places import sync_folder

STORAGE_VERSION = "v1.5.0"
_Config = dict[str, str | bool | int | float | list[str]]
_DISK = re.compile(
    "No space left on device|File too large|Disk quota exceeded|Read-only file system|"
    "Input/output error"
)
_NO_EXTENSIONS: _Config = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


class Database:
    """The live file, open for writing. Only the process that holds the lock may make one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        config: _Config = {"storage_compatibility_version": STORAGE_VERSION, **_NO_EXTENSIONS}
        self._root = duckdb.connect(str(path), config=config)
        self.writer = _quiet(self._root.cursor())
        self._readers = 0
        self._gate = threading.Condition()
        self._closed = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of its own for any thread; it sees one consistent state per statement."""
        with self._gate:
            if self._closed:
                raise duckdb.ConnectionException(f"{self.path} is closed")
            self._readers += 1
        cursor = _quiet(self._root.cursor())
        try:
            yield cursor
        finally:
            cursor.close()
            with self._gate:
                self._readers -= 1
                self._gate.notify_all()

    def transaction(self) -> contextlib.AbstractContextManager[duckdb.DuckDBPyConnection]:
        """`transaction` on the writer. Owner thread only."""
        return transaction(self.writer)

    def close(self) -> None:
        """Wait for readers, then close: DuckDB lets go of the file with its last connection."""
        with self._gate:
            self._closed = True
            self._gate.wait_for(lambda: self._readers == 0)
        self.writer.close()
        self._root.close()


@contextlib.contextmanager
def transaction(cursor: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """Everything inside happens, or nothing and the error is raised."""
    cursor.execute("BEGIN")
    try:
        yield cursor
        cursor.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(duckdb.Error):  # a failed COMMIT has rolled back already
            cursor.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def disk_trouble(file: Path) -> Iterator[None]:
    """Say of an error of the disk (full, a limit, read-only) what to do; others pass through.

    Raises:
        UserError: instead of DuckDB's or the system's error.
    """
    try:
        yield
    except (duckdb.Error, OSError) as error:
        found = _DISK.search(str(error))
        if found is None:
            raise
        raise UserError(
            f"{file} or a file beside it could not be written ({found.group(0)}). Whatever was "
            "acknowledged is safe. Free space on that disk (or make it writable), then try again: "
            "nothing needs to be restarted"
        ) from error


def open_read_only(path: Path) -> duckdb.DuckDBPyConnection:
    """A file at rest or a snapshot, for reading; never a file that this process has open."""
    return _quiet(duckdb.connect(str(path), read_only=True, config=_NO_EXTENSIONS))


def _quiet(cursor: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Without the progress bar that DuckDB prints over a command's own words after two seconds."""
    cursor.execute("SET enable_progress_bar = false")
    return cursor


@contextlib.contextmanager
def attached(
    cursor: duckdb.DuckDBPyConnection, file: Path, *, name: str, read_only: bool = False
) -> Iterator[None]:
    """Another file beside the open one, as the catalog `name`; made if absent.

    `name` begins with an underscore, so that it is not a database file's own (`other.duckdb`).
    """
    path = str(file).replace("'", "''")
    how = "READ_ONLY" if read_only else f"STORAGE_VERSION '{STORAGE_VERSION}'"
    cursor.execute(f"ATTACH '{path}' AS {name} ({how})")
    try:
        yield
    finally:
        cursor.execute(f"DETACH {name}")


def catalog(cursor: duckdb.DuckDBPyConnection) -> str:
    """The open file's own name in SQL, quoted."""
    name = cursor.execute("SELECT current_database()").fetchall()[0][0]
    return '"' + name.replace('"', '""') + '"'


def copy_whole(cursor: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Write everything that the open file holds, keys and all, to `file`; replaced if it exists.

    The copy is complete under its name or not there at all.
    """
    draft = file.with_name(f"{file.name}.draft")
    draft.unlink(missing_ok=True)
    with attached(cursor, draft, name="_copy"):
        cursor.execute(f"COPY FROM DATABASE {catalog(cursor)} TO _copy")
        cursor.execute("CHECKPOINT _copy")
    sync_file(draft)
    draft.replace(file)
    sync_folder(file.parent)


def sync_file(file: Path) -> None:
    """Wait until the file's bytes are on the disk. Never for the live database file."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

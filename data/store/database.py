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
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb

STORAGE_VERSION = "v1.5.0"
_Config = dict[str, str | bool | int | float | list[str]]
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
        self.writer = self._root.cursor()
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
        cursor = self._root.cursor()
        try:
            yield cursor
        finally:
            cursor.close()
            with self._gate:
                self._readers -= 1
                self._gate.notify_all()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Everything inside happens, or nothing and the error is raised. Owner thread only."""
        self.writer.execute("BEGIN")
        try:
            yield self.writer
            self.writer.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(duckdb.Error):  # a failed COMMIT has rolled back already
                self.writer.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Wait for readers, then close: DuckDB lets go of the file with its last connection."""
        with self._gate:
            self._closed = True
            self._gate.wait_for(lambda: self._readers == 0)
        self.writer.close()
        self._root.close()


def open_read_only(path: Path) -> duckdb.DuckDBPyConnection:
    """A file at rest or a snapshot, for reading; never a file that this process has open."""
    return duckdb.connect(str(path), read_only=True, config=_NO_EXTENSIONS)

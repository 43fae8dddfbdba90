"""Where the files of one database lie: `prefs.duckdb` and its sidecars."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from data.errors import UserError

_SOCKET_LIMIT = 100
"""Bytes. The kernel's `sun_path` holds 108 on Linux and 104 elsewhere, with the closing NUL."""


@dataclass(frozen=True, slots=True)
class Places:
    """The files beside one database. Make it with `Places.of`, so that a link is followed."""

    database: Path

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Places:
        """The places of `path`: relative paths and symbolic links lead to the same database.

        Raises:
            UserError: where `path` cannot be a database file.
        """
        if is_url(path):
            raise UserError(
                "This works on a database file, and --db is a PostgreSQL URL. Bring it into a file "
                "first: python -m data.pull --from URL --db prefs.duckdb"
            )
        if "://" in os.fspath(path):
            raise UserError(
                f"--db is {os.fspath(path)!r}; it must be the path of a file on a local disk, "
                "such as prefs.duckdb, or postgresql://user@host/name"
            )
        database = Path(path).expanduser().resolve()
        if database.is_dir():
            raise UserError(f"{database} is a folder; give a file in it, such as prefs.duckdb")
        if not database.parent.is_dir():
            raise UserError(f"The folder {database.parent} does not exist; create it first")
        return cls(database)

    def beside(self, ending: str) -> Path:
        """`prefs.duckdb` -> `prefs.duckdb<ending>`."""
        return self.database.with_name(self.database.name + ending)

    @property
    def exist(self) -> bool:
        """Whether there is a database, or a journal to make it from."""
        return self.database.exists() or self.journal.exists()

    @property
    def lock(self) -> Path:
        """Held by `flock` for as long as somebody owns the database; never deleted."""
        return self.beside(".lock")

    @property
    def journal(self) -> Path:
        """Every vote, one JSON line each, chained by hashes."""
        return self.beside(".journal")

    @property
    def wal(self) -> Path:
        """DuckDB's write-ahead log."""
        return self.beside(".wal")

    @property
    def people(self) -> Path:
        """Names, roles, password hashes and sessions, where accounts are on (SQLite)."""
        return self.beside(".people")

    @property
    def backups(self) -> Path:
        """Where backups of this database were put, one folder per line."""
        return self.beside(".backups")

    @property
    def pulled(self) -> Path:
        """How far `python -m data.pull` came; it belongs to this very database."""
        return self.beside(".pulled")

    @property
    def snapshot(self) -> Path:
        """The newest consistent copy, for readers: `prefs.snapshot.duckdb`."""
        return self.database.with_name(f"{self.database.stem}.snapshot{self.database.suffix}")

    @property
    def socket(self) -> Path:
        """Where the owner listens; in the temporary folder where the path would be too long."""
        beside = self.beside(".sock")
        if len(os.fsencode(beside)) <= _SOCKET_LIMIT:
            return beside
        name = hashlib.sha256(os.fsencode(self.database)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"second-look-{os.getuid()}-{name}.sock"


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether `path` names a PostgreSQL database and not a file."""
    return os.fspath(path).startswith(("postgresql://", "postgres://"))


def spoken(path: str | os.PathLike[str]) -> str:
    """A database's address for messages: a URL without password and options, a path as it is."""
    if not is_url(path):
        return os.fspath(path)
    parts = urlsplit(os.fspath(path))
    user, host = f"{parts.username}@" if parts.username else "", parts.hostname or "local socket"
    port = f":{parts.port}" if parts.port else ""
    return f"postgresql://{user}{host}{port}{parts.path}"


def sync_folder(folder: Path) -> None:
    """Make names in `folder` durable: nobody else syncs the folder after a create or a rename."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Reading a database in a folder, or on a disk, where this process may not write.

Nothing can be published beside such a file. If nobody owns it, everything is copied into the
temporary folder, and read from there; a shared `flock`, where there is a lock file, keeps an owner
out for that moment. If somebody else owns it, the snapshot that they published last is read, and a
line says how old it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb

from data.errors import UserError
from data.store import snapshot
from data.store.database import attached, disk_trouble
from data.store.places import Places
from data.store.schema import NEWEST, check_version

_log = logging.getLogger(__name__)


def open_view(places: Places) -> duckdb.DuckDBPyConnection:
    """The database as it is, or as it was when its owner last published it.

    Raises:
        UserError: it is owned, and no snapshot was published yet; or an older program wrote it.
    """
    with _nobody_writes(places) as free:
        if free:
            return _copied(places)
    if not places.snapshot.exists():
        raise UserError(
            f"{places.database} is owned by another process, and this one may not write to "
            f"{places.database.parent}, so that it cannot ask for a snapshot. Open the database "
            "once as its owner's user; then this works"
        )
    age = time.time() - places.snapshot.stat().st_mtime
    _log.warning(
        "%s may not be written here: reading its snapshot, %.0f s old", places.database, age
    )
    return snapshot.open_view(places.snapshot)


def _copied(places: Places) -> duckdb.DuckDBPyConnection:
    with tempfile.TemporaryDirectory(prefix="second-look-") as folder, disk_trouble(Path(folder)):
        copy = Path(folder) / places.database.name
        with (
            contextlib.closing(duckdb.connect()) as cursor,
            attached(cursor, places.database, name="live", read_only=True),
        ):
            cursor.execute("USE live")
            if check_version(cursor, places.database) < NEWEST:
                raise UserError(
                    f"{places.database} was written by an older program. Open it once where it "
                    "can be written, which brings it up to date"
                )
            snapshot.copy(cursor, copy, now_ms=time.time_ns() // 1_000_000)
            cursor.execute("USE memory")
        return snapshot.open_view(copy)


@contextlib.contextmanager
def _nobody_writes(places: Places) -> Iterator[bool]:
    """Whether nobody owns the database; nobody can begin to while the block runs."""
    try:
        descriptor = os.open(places.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # no lock file, and none can be made here: nobody can own it through this path
        yield True
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)

"""Files written anew beside the database, put in place of the old ones even if the program dies.

They are made in the folder `prefs.duckdb.anew`. Once all are on the disk, an empty file `ready`
says so, and from then on every start finishes the exchange before it opens anything; without it,
what lies there is removed. Under the lock only.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from data.store.places import Places, sync_folder

_READY = "ready"


def begin(places: Places) -> Places:
    """An empty folder for the new files, with the names that they will have."""
    folder = _folder(places)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return Places(folder / places.database.name)


def exchange(places: Places) -> None:
    """The new database and journal are whole and on the disk: they count from now on."""
    folder = _folder(places)
    (folder / _READY).touch()
    sync_folder(folder)
    finish(places)


def finish(places: Places) -> None:
    """Finish an exchange that was begun; remove one that was not ready."""
    folder = _folder(places)
    if not folder.exists():
        return
    if (folder / _READY).exists():
        new = Places(folder / places.database.name)
        places.snapshot.unlink(missing_ok=True)
        if new.journal.exists():
            new.journal.replace(places.journal)
        if new.database.exists():
            places.wal.unlink(missing_ok=True)  # belongs to the file that goes now
            new.database.replace(places.database)
        sync_folder(places.database.parent)
    shutil.rmtree(folder)
    sync_folder(places.database.parent)


def _folder(places: Places) -> Path:
    return places.beside(".anew")

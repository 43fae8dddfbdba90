"""Look after the database: find damage and mend it, back it up, erase a person, merge.

    python -m data.store check --db prefs.duckdb      # changes nothing
    python -m data.store repair --db prefs.duckdb     # after a power cut
    python -m data.store rebuild --db prefs.duckdb    # the database file is lost or unreadable
    python -m data.store backup --db prefs.duckdb --to /mnt/backups     # while the app runs
    python -m data.store restore /mnt/backups/prefs-20261121T095112Z --db prefs.duckdb
    python -m data.store erase NAME --db prefs.duckdb
    python -m data.store merge other.duckdb --db prefs.duckdb

Only `check` and `backup` work while the app has the database open. `repair`, `rebuild` and
`restore` keep the old files. With `--db postgresql://user@host/name` there are check, backup, erase
and merge, and the app may run. docs/data.md says more.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.console import Parser, say
from data.errors import UserError, user_errors
from data.store.backup import backup, restore
from data.store.database import disk_trouble
from data.store.erase import erase
from data.store.merge import merge
from data.store.owner import system_clock
from data.store.places import Places, is_url, spoken
from data.store.repair import check, rebuild, repair


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to do, and to which database."""

    action: str
    what: str = ""
    """restore: the backup's folder; erase: the annotator; merge: the other database."""
    db: str = "prefs.duckdb"
    to: str = "backups"
    force: bool = False
    votes: bool = False


def _check(_config: Config, places: Places) -> int:
    return _found(check(places), str(places.database))


def _found(sentences: Sequence[str], where: str) -> int:
    _told(sentences)
    count = len(sentences)
    found = f"{count} finding{'s' if count > 1 else ''}" if count else "no damage found"
    say(f"{where}: {found}")
    return 1 if sentences else 0


def _repair(_config: Config, places: Places) -> int:
    return _told(repair(places))


def _rebuild(_config: Config, places: Places) -> int:
    return _told(rebuild(places, now_ms=system_clock()))


def _backup(config: Config, places: Places) -> int:
    folder = Path(config.to).expanduser().resolve()
    return _told([f"backup in {backup(places, folder, now_ms=system_clock())}"])


def _restore(config: Config, places: Places) -> int:
    folder = Path(config.what).expanduser().resolve()
    return _told(restore(places, folder, force=config.force, now_ms=system_clock()))


def _erase(config: Config, places: Places) -> int:
    return _told(erase(places, config.what, votes=config.votes, now_ms=system_clock()))


def _merge(config: Config, places: Places) -> int:
    return _told(merge(places, Places.of(config.what), now_ms=system_clock()))


def _served(config: Config) -> int:
    """The same on a PostgreSQL server."""
    from data.store import postgres_care

    url = config.db
    if config.action == "check":
        found = postgres_care.check(url)
        return _found(found, spoken(url))
    if config.action == "backup":
        folder = Path(config.to).expanduser().resolve()
        return _told([f"backup in {postgres_care.back_up(url, folder, now_ms=system_clock())}"])
    if config.action == "erase":
        return _told(postgres_care.erase(url, config.what, votes=config.votes))
    if config.action == "merge":
        return _told(postgres_care.merge(url, Places.of(config.what)))
    raise UserError(
        f"`{config.action}` works on a database file, and PostgreSQL mends itself from its own log "
        "and backups. `restore` to a file, then `merge` that file into an empty server"
    )


def _told(sentences: Sequence[str]) -> int:
    for sentence in sentences:
        say(sentence)
    return 0


ACTIONS: dict[str, Callable[[Config, Places], int]] = {
    "check": _check,
    "repair": _repair,
    "rebuild": _rebuild,
    "backup": _backup,
    "restore": _restore,
    "erase": _erase,
    "merge": _merge,
}
_NEEDS = {
    "restore": "the folder of a backup",
    "erase": "an annotator",
    "merge": "another database",
}


def run(config: Config) -> int:
    """Do it and say what was found or done; 1 if `check` found damage, else 0."""
    if bool(config.what) != (config.action in _NEEDS):
        needed = _NEEDS.get(config.action, "nothing")
        raise UserError(f"After `{config.action}` comes {needed}; got {config.what or 'nothing'!r}")
    if is_url(config.db):
        return _served(config)
    places = Places.of(config.db)
    with disk_trouble(places.database):
        return ACTIONS[config.action](config, places)


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = Parser(
        prog="python -m data.store",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "action",
        choices=ACTIONS,
        help="check: report damage, exit code 1 if there is any. repair: cut what a power cut left "
        "unfinished. rebuild: a new database from the journal and the last snapshot. backup: a "
        "consistent copy with digests. restore: the database of a backup, verified. erase: take a "
        "person out of every file. merge: add all records of another database",
    )
    parser.add_argument(
        "what",
        nargs="?",
        default="",
        help="restore: the backup's folder. erase: the annotator's name. merge: the other database",
    )
    parser.add_argument(
        "--db",
        default=Config.db,
        help="the database file, or postgresql://user@host/name (default: %(default)s)",
    )
    parser.add_argument(
        "--to",
        default=Config.to,
        help="backup: the folder in which the backup gets a folder of its own; best on another "
        "disk (default: %(default)s)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="restore: where a database is there already, move it aside first",
    )
    parser.add_argument(
        "--votes",
        action="store_true",
        help="erase: the answers too (default: they stay, anonymous)",
    )
    return run(Config(**vars(parser.parse_args(argv))))


if __name__ == "__main__":
    raise SystemExit(main())

"""Backups: a consistent copy of everything while the app runs, and the way back.

A backup is a folder with the newest snapshot (`database.duckdb`), the journal up to that moment
(`votes.journal`), `backup.json` (what the tables hold, so that a restored database can be compared
with the original) and `SHA256SUMS` over these, which `sha256sum -c` checks too; where accounts are
on, also `accounts.sqlite`: who an id is, without which a restored app would stand open. It is
complete under its name or not there at all. Left out on purpose: the clips (`prefs.clips/`), which
never change once written and which any file synchroniser copies.

    python -m data.store backup --db prefs.duckdb --to /mnt/backups
    python -m data.store restore /mnt/backups/prefs-20261121T095112Z --db prefs.duckdb
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from data.errors import UserError
from data.provenance import sha256
from data.records import KINDS
from data.store.database import Database, attached, open_read_only, sync_file
from data.store.journal import owner_of
from data.store.people_tables import copy_accounts
from data.store.places import Places, sync_folder
from data.store.recovery import open_live
from data.store.repair import alone, put_aside
from data.store.schema import MIGRATIONS, check_version, meta, migrate
from data.store.store import Store

FORMAT = 1
DATABASE, JOURNAL, FACTS, SUMS = "database.duckdb", "votes.journal", "backup.json", "SHA256SUMS"
ACCOUNTS = "accounts.sqlite"

Contents = dict[str, dict[str, Any]]


def backup(places: Places, folder: Path, *, now_ms: int) -> Path:
    """Copy the database as it is at this moment into a new folder of `folder`; that new folder.

    The app may run: it is asked for a snapshot, and votes keep flowing.

    Raises:
        UserError: there is no database, or the folder cannot be written.
    """
    if not places.database.exists():
        raise UserError(f"{places.database} does not exist; check --db")
    Store.open(places.database).close()  # brings the snapshot up to date, whoever owns it
    moment = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%S")
    done = folder / f"{places.database.stem}-{moment}Z"
    draft = done.with_name(f".{done.name}.partial-{os.getpid()}")
    try:
        if done.exists():
            raise UserError(f"{done} exists already; wait a second, or give another --to")
        draft.mkdir(parents=True, mode=0o700)
        _fill(places, draft, now_ms=now_ms)
        draft.rename(done)
        sync_folder(folder)
        _remember(places, done)
    except OSError as error:
        raise UserError(
            f"The backup to {folder} failed ({error.strerror}); nothing is left of it. Make room "
            "there, or give a folder on another disk with --to"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return done


def _fill(places: Places, draft: Path, *, now_ms: int) -> None:
    shutil.copyfile(places.snapshot, draft / DATABASE)  # never changed in place, only replaced
    with contextlib.closing(open_read_only(draft / DATABASE)) as cursor:
        facts = meta(cursor)
        sequence, chain = int(facts.get("sequence", 0)), facts.get("chain", "")
        found = {
            "backup": FORMAT,
            "database": facts["database"],
            "made_ms": now_ms,
            "schema": check_version(cursor, places.snapshot),
            "sequence": sequence,
            "chain": chain,
            "tables": contents(cursor, KINDS),
            "accounts": places.people.exists(),
        }
    _copy_journal(places.journal, draft / JOURNAL, sequence, chain)
    (draft / FACTS).write_text(json.dumps(found, indent=2) + "\n")
    if found["accounts"]:
        copy_accounts(places.people, draft / ACCOUNTS)
    names = _files(found)
    sums = "".join(f"{sha256(draft / name)}  {name}\n" for name in names)
    (draft / SUMS).write_text(sums)
    for name in (*names, SUMS):
        (draft / name).chmod(0o400)
        sync_file(draft / name)
    sync_folder(draft)


def _files(facts: dict[str, Any]) -> list[str]:
    """The files of a backup besides `SHA256SUMS`; one of an earlier day has no accounts."""
    return [DATABASE, JOURNAL, FACTS, *([ACCOUNTS] if facts.get("accounts") else [])]


def _copy_journal(source: Path, target: Path, sequence: int, chain: str) -> None:
    """The heading and the first `sequence` entries: those votes that the snapshot has too."""
    last = b""
    with source.open("rb") as lines, target.open("wb") as copy:
        for _, line in zip(range(sequence + 1), lines, strict=False):
            copy.write(line)
            last = line
    if sequence and json.loads(last).get("chain") != chain:
        raise UserError(
            f"{source} and the snapshot disagree about vote {sequence}; look with "
            "`python -m data.store check` before you make a backup"
        )


def _remember(places: Places, folder: Path) -> None:
    """Note where the backup lies, so that erasing a person can name it."""
    with places.backups.open("a", encoding="utf-8") as file:
        file.write(f"{folder.resolve()}\n")


def known_backups(places: Places) -> list[Path]:
    """The backups that were made on this machine and are still where they were put."""
    if not places.backups.exists():
        return []
    lines = places.backups.read_text(encoding="utf-8").splitlines()
    return [Path(line) for line in dict.fromkeys(lines) if Path(line).is_dir()]


def contents(cursor: duckdb.DuckDBPyConnection, kinds: Iterable[str]) -> Contents:
    """Rows and a checksum (sum of MD5 halves over the rows, whatever their order) of these tables.

    For finding accidents, not attackers: against those there is `SHA256SUMS`, kept elsewhere.
    """
    found = {}
    for kind in kinds:
        total = "coalesce(sum(md5_number_lower(CAST(to_json(t) AS VARCHAR))), 0)"
        rows = cursor.execute(f"SELECT count(*), {total} FROM {kind} AS t").fetchall()
        found[kind] = {"rows": rows[0][0], "checksum": f"{int(rows[0][1]):x}"}
    return found


def verify(folder: Path) -> dict[str, Any]:
    """The facts of a backup whose files are all as they were written.

    Raises:
        UserError: no backup, a missing or changed file, or a backup of a newer program.
    """
    if not (folder / SUMS).is_file():
        raise UserError(f"{folder} is no backup: it has no {SUMS}. Give the folder `prefs-<time>`")
    lines = (line.partition("  ") for line in (folder / SUMS).read_text().splitlines())
    sums = {Path(name).name: digest for digest, _, name in lines}
    for name in dict.fromkeys((FACTS, *sums)):
        _refuse_changed(folder / name, sums)
    facts = json.loads((folder / FACTS).read_text())
    for name in set(_files(facts)) - set(sums):
        _refuse_changed(folder / name, sums)
    if facts["backup"] > FORMAT or facts["schema"] > MIGRATIONS[-1].version:
        raise UserError(f"{folder} was made by a newer program; update this one")
    return facts


def _refuse_changed(file: Path, sums: dict[str, str]) -> None:
    if not file.is_file() or sha256(file) != sums.get(file.name):
        raise UserError(
            f"{file} is {'damaged' if file.exists() else 'missing'}: it is not what "
            f"{SUMS} says. Nothing was restored; take another backup"
        )


def restore(places: Places, folder: Path, *, force: bool = False, now_ms: int) -> list[str]:
    """Make the database of a backup; what was done.

    It is built beside, compared with what the backup says of every table, and only then put in
    place. Another database there is refused, or with `force` moved aside, never removed.

    Raises:
        UserError: the backup is damaged, a database is there already, or somebody owns it.
    """
    facts = verify(folder)
    with alone(places):
        there = [file for file in (places.database, places.journal) if file.exists()]
        if there and not force:
            raise UserError(
                f"{there[0]} exists. Restore to another --db, or add --force, which moves it aside"
            )
        scratch = places.beside(".restore")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            new = Places(scratch / places.database.name)
            _build(folder, new, facts)
            told = _restore_accounts(folder, new, places) if facts.get("accounts") else []
            # a newer snapshot would be built upon, and a pull would go on where it came to
            old = there or places.snapshot.exists() or places.pulled.exists()
            aside = put_aside(places, now_ms=now_ms) if old else None
            new.database.rename(places.database)  # alone it would have its journal written again
            new.journal.rename(places.journal)
            sync_folder(places.database.parent)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    counts = ", ".join(f"{one['rows']} {kind}" for kind, one in facts["tables"].items())
    done = [f"{places.database}: {counts} (rows), each table equal to the backup", *told]
    return [*done, f"the old files are in {aside}"] if aside else done


def _restore_accounts(folder: Path, new: Places, places: Places) -> list[str]:
    """Put the accounts back where there are none; who was shut out since must not come in again."""
    if places.people.exists():
        return [f"{places.people} stays as it is; the backup's accounts are {folder / ACCOUNTS}"]
    shutil.copyfile(folder / ACCOUNTS, new.people)
    new.people.chmod(0o600)
    sync_file(new.people)
    new.people.rename(places.people)
    return [f"{places.people}: names, roles and passwords; everybody signs in anew"]


def _build(folder: Path, new: Places, facts: dict[str, Any]) -> None:
    """A live database with everything of the backup, and its journal."""
    shutil.copyfile(folder / JOURNAL, new.journal)
    new.journal.chmod(0o600)
    database = Database(new.database)
    try:
        migrate(database, now_ms=facts["made_ms"], steps=MIGRATIONS[: facts["schema"]])
        with (
            attached(database.writer, folder / DATABASE, name="_backup", read_only=True),
            database.transaction() as cursor,
        ):
            for kind in facts["tables"]:  # an older program had fewer
                cursor.execute(f"INSERT INTO {kind} BY NAME FROM _backup.{kind} ORDER BY seq")
        different = [
            kind
            for kind, found in contents(database.writer, facts["tables"]).items()
            if found != facts["tables"][kind]
        ]
    finally:
        database.close()
    if different or owner_of(new.journal) != facts["database"]:
        raise UserError(
            f"{folder} does not restore to what it says of {', '.join(different) or JOURNAL}; "
            "nothing was changed. Take another backup"
        )
    for opened in open_live(new, now_ms=facts["made_ms"]):  # later versions; journal against table
        opened.close()

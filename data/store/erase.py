"""Erase a person: no file of the database holds the name or the comments afterwards.

Every vote of the annotator stays in its place with its answer, under a fresh random pseudonym and
without its free text; or, where the person wants the answers gone too, as a tombstone: a vote that
undoes itself and counts nowhere. The journal's line of such a vote keeps its number, its hash and
its place in the chain, which therefore still verifies, but neither salt nor payload.

DELETE, CHECKPOINT and VACUUM leave plain text in a DuckDB file (measured). So database and journal
are written anew beside and put in place of the old ones. What cannot be reached from here is named:
older copies, backups, and whatever was exported.

    python -m data.store erase NAME --db prefs.duckdb
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace

import duckdb
import pyarrow as pa

from data.errors import UserError
from data.records import Vote
from data.store import journal as journals
from data.store import reading, swap
from data.store.backup import known_backups
from data.store.database import attached, catalog, sync_file
from data.store.journal import Entry
from data.store.people import People, spelling
from data.store.places import Places
from data.store.reading import quoted
from data.store.recovery import open_live
from data.store.repair import alone
from data.store.rows import json_text, to_table, to_votes, vote_payload
from data.store.store import Store

_OLD_COPY = re.compile(r"(\.journal)?\.(before-|damaged-|torn-|version-|restore|rebuild)")
_NAMING = {
    "runs": "SELECT * REPLACE (replace(config, $old_json, $new_json) AS config) FROM runs",
    "decisions": "SELECT * REPLACE ("
    "CASE subject WHEN $person THEN $pseudonym ELSE subject END AS subject, "
    'CASE "by" WHEN $person THEN $pseudonym ELSE "by" END AS "by", '
    'replace("values", $old_json, $new_json) AS "values") FROM decisions',
}
"""Tables beside the votes that may name a person."""
_NAMED = """
SELECT EXISTS (FROM votes WHERE annotator = $person)
  OR EXISTS (FROM decisions WHERE subject = $person OR "by" = $person OR contains("values", $json))
  OR EXISTS (FROM runs WHERE contains(config, $json))
"""
_NO_TIME = 1
"""Epoch milliseconds of a tombstone; 0 would be taken for a vote that has no time yet."""


def erase(places: Places, person: str, *, votes: bool = False, now_ms: int) -> list[str]:
    """Take the person out of the database; what was done, and what is left to do by hand.

    Where accounts are on, votes name an id: name, role, password, sessions and tokens go too.

    Args:
        places: The database; nobody may own it.
        person: The annotator as the votes name them, or the name of an account.
        votes: Take the answers away too, not only who gave them.
        now_ms: The present, UTC epoch milliseconds.

    Raises:
        UserError: somebody owns the database, nothing in it names the person, or it is damaged.
    """
    if not places.database.exists():
        raise UserError(f"{places.database} does not exist; check --db")
    with contextlib.closing(People.of(places.database)) as people:
        account = people.named(spelling(person)) or people.get(person)
        known = person if account is None else account.id
        done = []
        if _named(places, known, refuse=account is None):
            done = [_erase_records(places, known, votes=votes, now_ms=now_ms)]
        if account is not None:
            people.remove(account.id)
            done.append(f"{account.id} is nobody's account in {people.where} any more")
    return [*done, *_still_holding(places)]


def _named(places: Places, person: str, *, refuse: bool) -> bool:
    """Whether a vote is by this person, or a decision or a run names them."""
    with Store.open(places.database) as store, store._reading() as cursor:
        facts = {"person": person, "json": json_text(person)}
        found = cursor.execute(_NAMED, facts).fetchall()[0][0]
        if not found and refuse:
            names = cursor.execute("SELECT DISTINCT annotator FROM votes ORDER BY 1 LIMIT 10")
            there = ", ".join(name for (name,) in names.fetchall()) or "nobody"
            raise UserError(
                f"Nothing in {places.database} is by {person!r} or names them; votes are by "
                f"{there}. Nothing was changed"
            )
        return found


def _erase_records(places: Places, person: str, *, votes: bool, now_ms: int) -> str:
    pseudonym = f"erased-{secrets.token_hex(8)}"
    with alone(places):
        database, journal = open_live(places, now_ms=now_ms)
        try:
            _refuse_damage(places)
            left = _left(database.writer, person, pseudonym, votes=votes)
            new = swap.begin(places)
            changed = _write_journal(places, new, left)
            with attached(database.writer, new.database, name="_clean"):
                _write_database(database.writer, person, pseudonym, _table(left, changed))
            sync_file(new.database)
        finally:
            database.close()
            journal.close()
        swap.exchange(places)
    Store.open(places.database).close()  # a new snapshot
    return told(len(left), pseudonym, votes=votes)


def told(count: int, pseudonym: str, *, votes: bool) -> str:
    """What was done to so many votes."""
    if not count:
        return f"whatever named the person names {pseudonym} now; no vote was theirs"
    what = "became tombstones" if votes else "have no free text any more"
    return f"{count} votes are by {pseudonym} now and {what}; the chain is unbroken"


def without(vote: Vote, pseudonym: str, *, votes: bool) -> Vote:
    """What is kept of a vote; with `votes`, only that there was one."""
    if not votes:
        return replace(vote, annotator=pseudonym, reason="")
    return Vote(
        id=vote.id,
        pair=vote.pair,
        annotator=pseudonym,
        left=vote.left,
        right=vote.right,
        outcome="undo",
        revises=vote.id,
        time_ms=_NO_TIME,
    )


def _refuse_damage(places: Places) -> None:
    for line, what in journals.damage(places.journal):
        raise UserError(
            f"{places.journal}, line {line}: {what}. Mend it with `python -m data.store rebuild "
            f"--db {places.database}`, then erase"
        )


def _left(
    cursor: duckdb.DuckDBPyConnection, person: str, pseudonym: str, *, votes: bool
) -> dict[int, Vote]:
    """What is to be left of the person's votes, by sequence number."""
    frame = reading.frame_where(cursor, "votes", "annotator", person)
    of_person = "SELECT seq FROM votes WHERE annotator = ? ORDER BY seq"
    places = [seq for (seq,) in cursor.execute(of_person, [person]).fetchall()]
    kept = [without(vote, pseudonym, votes=votes) for vote in to_votes(frame)]
    return dict(zip(places, kept, strict=True))


def _write_journal(places: Places, new: Places, left: Mapping[int, Vote]) -> dict[int, Entry]:
    """Write the journal anew; the entries that changed. Line n + 1 holds entry n: it is whole."""
    changed = {}
    with places.journal.open("rb") as old, new.journal.open("wb") as file:
        for seq, line in enumerate(old):
            if seq not in left:
                file.write(line)
                continue
            changed[seq] = journals.parse(line).without_person(vote_payload(left[seq]))
            file.write(changed[seq].line())
    new.journal.chmod(0o600)
    sync_file(new.journal)
    return changed


def _table(left: Mapping[int, Vote], changed: Mapping[int, Entry]) -> pa.Table:
    """The rows that are left, with their place in the journal."""
    table = to_table("votes", list(left.values()))
    for name, kind in (("seq", pa.int64()), ("salt", pa.string()), ("chain", pa.string())):
        values = [getattr(changed[seq], name) for seq in left]
        table = table.append_column(name, pa.array(values, kind))
    return table


def _write_database(
    cursor: duckdb.DuckDBPyConnection, person: str, pseudonym: str, left: pa.Table
) -> None:
    """Copy everything into the catalog `_clean`, keys too, with `left` for the person's votes."""
    source = catalog(cursor)
    cursor.execute(f"COPY FROM DATABASE {source} TO _clean (SCHEMA)")
    cursor.register("left_votes", left)
    names = {
        "person": person,
        "pseudonym": pseudonym,
        "old_json": json_text(person),
        "new_json": json_text(pseudonym),
    }
    for table, columns in _tables(cursor):
        rows = _NAMING.get(table, f"SELECT * FROM {table}")
        if "annotator" in columns:
            rows = f"{rows} WHERE annotator IS DISTINCT FROM $person"
        if table == "votes":
            rows = f"{rows} UNION ALL SELECT {quoted(columns)} FROM left_votes"
        order = " ORDER BY seq" if "seq" in columns else ""
        values = {name: value for name, value in names.items() if f"${name}" in rows}
        cursor.execute(f"INSERT INTO _clean.{table} FROM ({rows}){order}", values)
    cursor.unregister("left_votes")
    cursor.execute("CHECKPOINT _clean")


def _tables(cursor: duckdb.DuckDBPyConnection) -> list[tuple[str, list[str]]]:
    """Every table of the open file and its columns, in order."""
    return cursor.execute(
        "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() "
        "WHERE database_name = current_database() AND NOT internal GROUP BY table_name ORDER BY 1"
    ).fetchall()


def _still_holding(places: Places) -> list[str]:
    """Older copies beside the database, and backups that are where they were put."""
    name = places.database.name
    beside = [
        file
        for file in sorted(places.database.parent.iterdir())
        if file.name.startswith(name) and _OLD_COPY.match(file.name.removeprefix(name))
    ]
    return [
        f"{old} is older and still holds the name and the comments; delete it when you can"
        for old in (*beside, *known_backups(places))
    ]

"""Two databases made one: every record of the other one, once.

Votes are the same vote where their event ids are; the others where their identities are (the text
of a prompt, the bytes of a clip, ...). Merging twice adds nothing, and merging A into B gives the
same records as B into A, up to sequence numbers and paths. Where both describe the same thing
differently, `RANKS` decides, by content and not by who came first. A vote is never edited: two
votes of one id that differ are refused and named.

An erased vote (see `data.store.erase`) never comes back: this database's erasure holds against a
copy of the other's; the other's has to be done here first, since the name is known only here.

    python -m data.store merge other.duckdb --db prefs.duckdb
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import duckdb
import pyarrow as pa

from data.errors import UserError
from data.records import KINDS
from data.store import writing
from data.store.database import Database, attached, open_read_only
from data.store.journal import ERASED, Journal
from data.store.places import Places
from data.store.reading import newest, quoted
from data.store.recovery import open_live
from data.store.repair import alone
from data.store.rows import IDENTITY, REPLACING, SCHEMAS, to_votes, vote_payload
from data.store.schema import NEWEST, check_version
from data.store.store import Store

RANKS: dict[str, tuple[str, ...]] = {
    "prompts": ("split = 'test'", "source"),
    "candidates": (
        *("model", "adapter", "prompt", "seed", "settings", "fps", "frames", "width", "height"),
    ),
    "scores": ("value",),
    "pairs": ("profile", "margin", "best", "strategy", "prompt"),
    "runs": (
        *("finished_ms", "started_ms", "metrics", "config", "code", "kind", "snapshot", "labels"),
        "folder",
    ),
    "decisions": (),
}
"""Of two descriptions of the same thing the greater one counts, compared in this order; a known
value is greater than a missing one. So a prompt that anybody holds out stays held out, a scored
pair beats an unscored one, and a finished run its beginning. A candidate's path is this machine's.
Decisions are never edited: this database's stays, and so does a name that was erased from it.
"""

_CHUNK = 50_000
"""Votes per transaction: bounded memory, and one `fdatasync` for all of them."""


def merge(places: Places, other: Places, *, now_ms: int) -> list[str]:
    """Add everything of `other`; what was done. Made anew where `places` has no database yet.

    Raises:
        UserError: somebody owns `places`, `other` is no database of this version, or votes with
            the same id differ. Nothing was changed.
    """
    if places.database == other.database:
        raise UserError(f"{other.database} cannot be merged into itself; give another file")
    with alone(places):
        file = _resting(other)
        database, journal = open_live(places, now_ms=now_ms)
        try:
            with attached(database.writer, file, name="_other", read_only=True):
                _refuse_conflicts(database.writer, other)
                with database.transaction() as cursor:
                    done = [_merge_kind(cursor, kind) for kind in KINDS if kind != "votes"]
                done.append(f"votes: {_merge_votes(database, journal)} new")
        finally:
            database.close()
            journal.close()
        places.snapshot.unlink(missing_ok=True)  # rows may have changed below its newest
    Store.open(places.database).close()
    return done


def _resting(other: Places) -> Path:
    """A file with everything of `other` that nobody writes to: its snapshot, or a lone file."""
    if other.journal.exists():
        Store.open(other.database).close()
        return other.snapshot
    if not other.database.exists():
        raise UserError(f"{other.database} does not exist; check the name of the other database")
    try:
        with contextlib.closing(open_read_only(other.database)) as cursor:
            version = check_version(cursor, other.database)
    except duckdb.Error as error:
        raise UserError(f"{other.database} cannot be read: {error}") from error
    if version != NEWEST:
        raise UserError(
            f"{other.database} has schema version {version}, this program {NEWEST}. Restore it "
            "(`python -m data.store restore`) or put its journal beside it, which migrates it"
        )
    return other.database


def _ranked(kind: str) -> list[str]:
    """The columns that a greater description brings with it."""
    return [name.split()[0] for name in RANKS[kind]]


def _rank(kind: str, side: str) -> str:
    """What is compared of a description: known before missing, then by value."""
    parts = []
    for name, rule in zip(_ranked(kind), RANKS[kind], strict=True):
        missing = "''" if pa.types.is_string(SCHEMAS[kind].field(name).type) else "0"
        value = f'coalesce({side}."{name}", {missing})'
        parts += [f'{side}."{name}" IS NOT NULL', rule.replace(name, value, 1)]
    return f"row({', '.join(parts)})"


def _merge_kind(cursor: duckdb.DuckDBPyConnection, kind: str) -> str:
    """Add what is absent, and let the greater description count; what was done."""
    ours = f"(SELECT * FROM {kind}{newest(kind)}) AS ours"
    theirs = f"(SELECT * FROM _other.{kind}{newest(kind)}) AS theirs"
    same = " AND ".join(f'ours."{name}" = theirs."{name}"' for name in IDENTITY[kind])
    greater = f"{_rank(kind, 'theirs')} > {_rank(kind, 'ours')}" if RANKS[kind] else "false"
    tables = {
        "absent": f"SELECT theirs.* FROM {theirs} ANTI JOIN {ours} ON {same}",
        "better": f"SELECT theirs.* FROM {theirs} JOIN {ours} ON {same} WHERE {greater}",
    }
    counts = []
    for name, query in tables.items():
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}")
        counts += cursor.execute(f"SELECT count(*) FROM {name}").fetchall()[0]
    if kind in REPLACING:
        writing.append(cursor, kind, "better", order="seq")
    elif counts[1]:
        key = f'"{IDENTITY[kind][0]}"'
        settings = ", ".join(f'"{name}" = better."{name}"' for name in _ranked(kind))
        cursor.execute(
            f"UPDATE {kind} SET {settings} FROM better WHERE {kind}.{key} = better.{key}"
        )
    writing.append(cursor, kind, "absent", order="seq")
    for name in tables:
        cursor.execute(f"DROP TABLE {name}")
    new, changed = counts
    return f"{kind}: {new} new" + (f", {changed} described as there" if changed else "")


def _refuse_conflicts(cursor: duckdb.DuckDBPyConnection, other: Places) -> None:
    """Refuse two different votes of one id, and votes about nothing."""
    equal = " AND ".join(
        f'ours."{name}" IS NOT DISTINCT FROM theirs."{name}"' for name in SCHEMAS["votes"].names
    )
    different = (
        "FROM votes AS ours JOIN _other.votes AS theirs ON ours.id = theirs.id "
        f"WHERE NOT ({equal}) AND NOT starts_with(ours.salt, '{ERASED}')"
    )
    erased = f"starts_with(theirs.salt, '{ERASED}')"
    names = cursor.execute(
        f"SELECT DISTINCT ours.annotator {different} AND {erased} ORDER BY 1"
    ).fetchall()
    if names:
        raise UserError(
            f"{other.database} has erased {', '.join(repr(name) for (name,) in names)}. Do the "
            "same here first (`python -m data.store erase NAME`), then merge again"
        )
    ids = cursor.execute(f"SELECT ours.id {different} ORDER BY 1").fetchall()
    if ids:
        raise UserError(
            f"{len(ids)} votes have the same id and are different votes, the first {ids[0][0]!r}. "
            "One of the files was edited by hand: mend that one first. Nothing was merged"
        )
    homeless = cursor.execute(
        "SELECT id FROM _other.votes ANTI JOIN (SELECT id AS known FROM pairs UNION ALL "
        "SELECT id FROM _other.pairs) ON pair = known ORDER BY 1 LIMIT 1"
    ).fetchall()
    if homeless:
        raise UserError(
            f"Vote {homeless[0][0]!r} of {other.database} is about a pair that neither database "
            "holds; add the pair there first (python -m data.pair). Nothing was merged"
        )


def _merge_votes(database: Database, journal: Journal) -> int:
    """Append the votes that are new to the journal and the table, in their order; how many."""
    columns, total = quoted([*SCHEMAS["votes"].names, "salt"]), 0
    query = (
        f"SELECT {columns} FROM _other.votes ANTI JOIN (SELECT id AS known FROM votes) "
        f"ON id = known ORDER BY seq LIMIT {_CHUNK}"
    )
    while not (frame := database.writer.sql(query).pl()).is_empty():
        votes = to_votes(frame)
        with database.transaction() as cursor:
            payloads = [vote_payload(vote) for vote in votes]
            entries = journal.extend(payloads, salts=frame["salt"].to_list())
            writing.insert_votes(cursor, votes, entries)
        total += len(votes)
    return total

"""The tables on PostgreSQL: the same migrations as the file's, then what replicas need.

The shared steps are run as they are, with two type names changed: texts are compared byte by byte
(collation "C": a system update that changes the order of a language cannot damage an index), and
`DOUBLE` is spelt in full. On top come this engine's own steps, numbered and checked in the same
way: `heads` counts every kind, so that sequence numbers have no gaps and become visible in their
order (a PostgreSQL sequence promises neither, and a reader that asks for "what is newer" would miss
the row whose smaller number was committed later); `leases`, which the file's owner has in memory;
secondary indexes, which this engine keeps well; and in `meta` a secret that all replicas share.
"""

from __future__ import annotations

import secrets
import uuid

from data.errors import UserError
from data.records import KINDS
from data.store.journal import genesis
from data.store.people_schema import TABLES
from data.store.postgres_link import Cursor, run
from data.store.schema import MIGRATIONS, Migration

_LOCK = 0x5EC0_4D10_0C
"""Advisory lock under which one replica migrates while the others wait."""

_REPLICAS = """
CREATE TABLE heads(
  kind TEXT COLLATE "C" PRIMARY KEY, newest BIGINT NOT NULL, "chain" TEXT NOT NULL,
  time_ms BIGINT NOT NULL);
CREATE TABLE leases(
  annotator TEXT COLLATE "C" PRIMARY KEY, id TEXT COLLATE "C" NOT NULL UNIQUE,
  pair TEXT COLLATE "C" NOT NULL, expires_ms BIGINT NOT NULL);
CREATE INDEX leases_pair ON leases(pair);
CREATE UNIQUE INDEX prompts_seq ON prompts(seq);
CREATE UNIQUE INDEX candidates_seq ON candidates(seq);
CREATE UNIQUE INDEX pairs_seq ON pairs(seq);
CREATE UNIQUE INDEX votes_seq ON votes(seq);
CREATE INDEX votes_pair ON votes(pair);
CREATE INDEX votes_annotator ON votes(annotator);
CREATE INDEX votes_revises ON votes(revises) WHERE revises IS NOT NULL;
CREATE INDEX runs_id ON runs(id);
CREATE INDEX scores_seq ON scores USING brin(seq);
CREATE INDEX scores_candidate ON scores(candidate);
"""

_DECISIONS = """
CREATE UNIQUE INDEX decisions_seq ON decisions(seq);
"""

STEPS: tuple[Migration, ...] = (
    Migration(1, "counters, leases, indexes", _REPLICAS),
    Migration(2, "decisions", _DECISIONS),
    Migration(3, "people", TABLES),
)
"""This engine's own steps; each runs after all shared ones."""

_VERSIONS = """
CREATE TABLE IF NOT EXISTS {table}(
  version INTEGER NOT NULL, name TEXT NOT NULL, sha256 TEXT NOT NULL, applied_ms BIGINT NOT NULL)
"""
_LISTS = {"schema_version": MIGRATIONS, "postgres_version": STEPS}


def spelt(sql: str) -> str:
    """A shared step in this engine's words."""
    return sql.replace("VARCHAR", 'TEXT COLLATE "C"').replace("DOUBLE", "DOUBLE PRECISION")


def check_version(cursor: Cursor, name: str) -> bool:
    """Whether every step has been applied.

    Raises:
        UserError: if a newer program made the tables, or a released step was edited since.
    """
    return all(
        len(_applied(cursor, table, steps, name)) == len(steps) for table, steps in _LISTS.items()
    )


def not_ready(cursor: Cursor, name: str) -> UserError:
    """What to say of a database without every step."""
    if any(_applied(cursor, table, steps, name) for table, steps in _LISTS.items()):
        return UserError(
            f"{name} was made by an older program. Start the app on it once (`python app.py --db "
            "postgresql://...`), or add to it with any command: that brings it up to date"
        )
    return UserError(
        f"{name} holds no tables yet. Make clips first (`python -m train.sample` or `python -m "
        "data.ingest`, with the same --db), or check --db"
    )


def _applied(cursor: Cursor, table: str, steps: tuple[Migration, ...], name: str) -> set[int]:
    there = (  # not `to_regclass`, which may answer from a cache that is older than the lock
        "SELECT FROM pg_tables WHERE tablename = %s AND schemaname = ANY(current_schemas(false))"
    )
    if not run(cursor, there, [table]).fetchall():
        return set()
    known = {step.version: step.checksum for step in steps}
    applied = dict(run(cursor, f"SELECT version, sha256 FROM {table}").fetchall())
    if unknown := applied.keys() - known.keys():
        raise UserError(
            f"{name} has step {max(unknown)} of {table}; this program knows up to {max(known)}. "
            "A newer program made it: update this one"
        )
    for version, checksum in applied.items():
        if known[version] != checksum:
            raise UserError(
                f"{name}: step {version} of {table} is not the one that this program has. "
                "It was made by a changed copy of the program: use that copy"
            )
    return set(applied)


def migrate(cursor: Cursor, name: str) -> None:
    """Bring the tables to the newest version, in the caller's transaction; others wait for it."""
    run(cursor, "SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    for table, steps in _LISTS.items():
        done = _applied(cursor, table, steps, name)
        for step in steps:
            if step.version not in done:
                run(cursor, _VERSIONS.format(table=table))
                run(cursor, spelt(step.sql))
                run(
                    cursor,
                    f"INSERT INTO {table} VALUES (%s, %s, %s, "
                    "(extract(epoch FROM clock_timestamp()) * 1000)::bigint)",
                    [step.version, step.name, step.checksum],
                )
    _first_rows(cursor)


def _first_rows(cursor: Cursor) -> None:
    """What a new database starts with, and the counter of a kind that a step has added."""
    rows = run(cursor, 'SELECT "value" FROM meta WHERE "key" = \'database\'').fetchall()
    identity = rows[0][0] if rows else str(uuid.uuid4())
    if not rows:
        run(cursor, "INSERT INTO meta VALUES ('database', %s)", [identity])
        run(cursor, "INSERT INTO meta VALUES ('secret', %s)", [secrets.token_hex(32)])
    for kind in KINDS:
        start = genesis(identity) if kind == "votes" else ""
        counter = "INSERT INTO heads VALUES (%s, 0, %s, 0) ON CONFLICT DO NOTHING"
        run(cursor, counter, [kind, start])

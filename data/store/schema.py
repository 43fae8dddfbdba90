"""The tables, as numbered migrations whose text never changes once it is released.

Every table is append-only with a `seq` that counts its rows from 1: reading in insertion order and
copying "what is newer than" need nothing else. Kept out on purpose, from measurements: foreign keys
(they block migrations), secondary indexes, and any key on `scores` (a key makes 8 million rows 6.6
times slower to load and the file 7 times larger). Mapping fields are JSON text; times are UTC epoch
milliseconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from data.errors import UserError
from data.store.database import Database, copy_whole


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, stored in the file: a released step must not be edited."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


_VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_version(
  version INTEGER NOT NULL, name VARCHAR NOT NULL, sha256 VARCHAR NOT NULL,
  applied_ms BIGINT NOT NULL);
"""

_FIRST = """
CREATE TABLE meta("key" VARCHAR NOT NULL, "value" VARCHAR NOT NULL);
CREATE TABLE prompts(
  seq BIGINT NOT NULL, id VARCHAR PRIMARY KEY, "text" VARCHAR NOT NULL, split VARCHAR NOT NULL,
  source VARCHAR NOT NULL);
CREATE TABLE candidates(
  seq BIGINT NOT NULL, sha256 VARCHAR PRIMARY KEY, prompt VARCHAR NOT NULL, path VARCHAR NOT NULL,
  model VARCHAR NOT NULL, adapter VARCHAR NOT NULL, seed BIGINT, settings VARCHAR NOT NULL,
  fps DOUBLE NOT NULL, frames BIGINT NOT NULL, width BIGINT NOT NULL, height BIGINT NOT NULL);
CREATE TABLE scores(
  seq BIGINT NOT NULL, candidate VARCHAR NOT NULL, scorer VARCHAR NOT NULL,
  version VARCHAR NOT NULL, dimension VARCHAR NOT NULL, value DOUBLE NOT NULL);
CREATE TABLE pairs(
  seq BIGINT NOT NULL, id VARCHAR PRIMARY KEY, prompt VARCHAR NOT NULL, a VARCHAR NOT NULL,
  b VARCHAR NOT NULL, best VARCHAR, profile VARCHAR NOT NULL, margin DOUBLE,
  strategy VARCHAR NOT NULL, campaign VARCHAR NOT NULL, CHECK (a < b));
CREATE TABLE votes(
  seq BIGINT NOT NULL, id VARCHAR PRIMARY KEY, pair VARCHAR NOT NULL, annotator VARCHAR NOT NULL,
  "left" VARCHAR NOT NULL, "right" VARCHAR NOT NULL, outcome VARCHAR NOT NULL, preferred VARCHAR,
  strength VARCHAR, unusable BOOLEAN NOT NULL, answers VARCHAR NOT NULL,
  exposure VARCHAR NOT NULL, revises VARCHAR, reason VARCHAR NOT NULL, seconds DOUBLE NOT NULL,
  watched VARCHAR NOT NULL, time_ms BIGINT NOT NULL, salt VARCHAR NOT NULL,
  "chain" VARCHAR NOT NULL);
CREATE TABLE runs(
  seq BIGINT NOT NULL, id VARCHAR NOT NULL, kind VARCHAR NOT NULL, config VARCHAR NOT NULL,
  code VARCHAR NOT NULL, snapshot BIGINT NOT NULL, labels VARCHAR NOT NULL,
  folder VARCHAR NOT NULL, started_ms BIGINT NOT NULL, finished_ms BIGINT NOT NULL,
  metrics VARCHAR NOT NULL);
"""

_DECISIONS = """
CREATE TABLE decisions(
  seq BIGINT NOT NULL, id VARCHAR PRIMARY KEY, topic VARCHAR NOT NULL, subject VARCHAR NOT NULL,
  "values" VARCHAR NOT NULL, "by" VARCHAR NOT NULL, time_ms BIGINT NOT NULL);
"""

MIGRATIONS: tuple[Migration, ...] = (
    Migration(1, "the seven tables of the relay", _FIRST),
    Migration(2, "decisions of leads and commands", _DECISIONS),
)
NEWEST = MIGRATIONS[-1].version


def check_version(
    cursor: duckdb.DuckDBPyConnection, file: object, *, steps: Sequence[Migration] = MIGRATIONS
) -> int:
    """The version of the open file; 0 for an empty one.

    Raises:
        UserError: if a newer program wrote it, or if a released step was edited since.
    """
    tables = cursor.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = current_database() "
        "AND table_name = 'schema_version'"
    ).fetchall()[0][0]
    if not tables:
        return 0
    applied = cursor.execute("SELECT version, name, sha256 FROM schema_version").fetchall()
    known = {step.version: step.checksum for step in steps}
    newest = max((version for version, _, _ in applied), default=0)
    if newest > steps[-1].version:
        raise UserError(
            f"{file} has schema version {newest}; this program knows up to {steps[-1].version}. "
            "A newer program wrote it: update this one"
        )
    for version, name, checksum in applied:
        if known[version] != checksum:
            raise UserError(
                f"{file}: step {version} of its schema ({name!r}) is not the one that this program "
                "has. It was written by a changed copy of the program: use that copy"
            )
    return newest


def migrate(database: Database, *, now_ms: int, steps: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the open file to the newest version: one transaction for all steps, then a checkpoint.

    A file with an older schema is first copied whole to `prefs.duckdb.version-<its version>`, for
    the older program. If a step fails, nothing has changed. The checkpoint at once is deliberate:
    schema changes that wait in the write-ahead log are what older DuckDB releases had replay bugs
    with.

    Args:
        database: The file, opened by its owner.
        now_ms: The present, UTC epoch milliseconds.
        steps: Every version of the schema from 1, the newest last.
    """
    version = check_version(database.writer, database.path, steps=steps)
    if version == steps[-1].version:
        return
    if version:
        copy_whole(
            database.writer, database.path.with_name(f"{database.path.name}.version-{version}")
        )
    with database.transaction() as cursor:
        cursor.execute(_VERSIONS)
        for step in steps[version:]:
            cursor.execute(step.sql)
            cursor.execute(
                "INSERT INTO schema_version VALUES (?, ?, ?, ?)",
                [step.version, step.name, step.checksum, now_ms],
            )
    database.writer.execute("CHECKPOINT")


def meta(cursor: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The facts about the file itself: `database` (its identity) and, in a snapshot, its moment."""
    return dict(cursor.execute('SELECT "key", "value" FROM meta').fetchall())

"""A file of every released schema opens in this program, and a migration is all or nothing."""

from __future__ import annotations

import lzma
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from data import decisions
from data.errors import UserError
from data.records import KINDS
from data.store import Store, add
from data.store.database import Database, open_read_only
from data.store.schema import MIGRATIONS, NEWEST, Migration, check_version, migrate

from .material import PAIRS, PROMPT, excluded, vote

STEPS = (
    *MIGRATIONS,
    Migration(
        NEWEST + 1, "a place for notes", "CREATE TABLE notes(seq BIGINT NOT NULL, note VARCHAR);"
    ),
    Migration(
        NEWEST + 2,
        "pairs are ranked",
        "ALTER TABLE pairs ADD COLUMN rank DOUBLE; INSERT INTO notes VALUES (1, 'ranked');",
    ),
)
ALL = [step.version for step in STEPS]
FIRST_VERSION = {  # digests of what lies in version_1.database.xz, noted when it was written
    "prompts": (1, "cf66e8b4e11d"),
    "candidates": (6, "29844c85731a"),
    "scores": (12, "b99e8b6c689b"),
    "pairs": (15, "6f1f600acd9a"),
    "votes": (16, "ae84480b2c0f"),
    "runs": (1, "2bb4e9419f3f"),
}


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A copy of the stored database of schema version 1, with its journal."""
    here = Path(__file__).parent
    for stored, name in (("database", "prefs.duckdb"), ("journal", "prefs.duckdb.journal")):
        packed = (here / f"version_1.{stored}.xz").read_bytes()
        (tmp_path / name).write_bytes(lzma.decompress(packed))
    return tmp_path / "prefs.duckdb"


def version_of(file: Path) -> list[int]:
    with closing(open_read_only(file)) as cursor:
        return [row[0] for row in cursor.execute("SELECT version FROM schema_version").fetchall()]


def test_the_stored_first_version_opens_with_everything_in_it(first: Path) -> None:
    with Store.open(first) as store:
        held = {kind: (store.count(kind), store.digest(kind)[:12]) for kind in FIRST_VERSION}
        assert held == FIRST_VERSION
        assert [store.count(kind) for kind in KINDS if kind not in FIRST_VERSION] == [0]
        assert store.all("prompts") == [PROMPT]
        assert store.add([vote(PAIRS[2], "new", id="later")]) == 1
        assert store.sequence == 17
        assert store.add([excluded("ann0")]) == 1
        assert decisions.excluded(store.all("decisions")) == {"ann0"}
    assert version_of(first) == [1, 2]
    assert version_of(first.with_name("prefs.duckdb.version-1")) == [1]


def test_the_first_version_migrates_and_the_old_file_is_kept(first: Path) -> None:
    database = Database(first)
    before = database.writer.execute("SELECT id, margin FROM pairs ORDER BY seq").fetchall()
    migrate(database, now_ms=5, steps=STEPS)
    after = database.writer.execute("SELECT id, margin, rank FROM pairs ORDER BY seq").fetchall()
    notes = database.writer.execute("SELECT note FROM notes").fetchall()
    assert not first.with_name("prefs.duckdb.wal").exists() or (
        first.with_name("prefs.duckdb.wal").stat().st_size == 0
    )  # the checkpoint came at once
    migrate(database, now_ms=6, steps=STEPS)  # nothing left to do
    database.close()
    assert after == [(*row, None) for row in before]
    assert notes == [("ranked",)]
    assert version_of(first) == ALL
    kept = first.with_name("prefs.duckdb.version-1")
    assert version_of(kept) == [1]
    kept.rename(first)  # back to the older program, with all keys
    with Store.open(first) as store:
        assert {k: (store.count(k), store.digest(k)[:12]) for k in FIRST_VERSION} == FIRST_VERSION
        assert store.add([PROMPT]) == 0
    with duckdb.connect(str(first)) as connection, pytest.raises(duckdb.ConstraintException):
        connection.execute("INSERT INTO prompts FROM prompts")


def test_a_failing_step_changes_nothing(first: Path) -> None:
    broken = (
        *STEPS[:-1],
        replace(STEPS[-1], sql=STEPS[-1].sql + "SELECT no_such_column FROM notes;"),
    )
    database = Database(first)
    with pytest.raises(duckdb.Error, match="no_such_column"):
        migrate(database, now_ms=5, steps=broken)
    database.close()
    assert version_of(first) == [1]
    database = Database(first)
    migrate(database, now_ms=6, steps=STEPS)  # the mended program
    database.close()
    assert version_of(first) == ALL


def test_a_file_of_a_newer_program_is_refused_untouched(first: Path) -> None:
    database = Database(first)
    migrate(database, now_ms=5, steps=STEPS)
    database.close()
    before = first.read_bytes()
    with pytest.raises(
        UserError, match=rf"version {len(ALL)}; this program knows up to {NEWEST}.*update"
    ):
        add(first, [vote()])
    with pytest.raises(UserError, match=f"schema version {len(ALL)}"):
        Store.open(first)
    assert first.read_bytes() == before


def test_an_edited_step_is_refused_by_its_name(first: Path) -> None:
    edited = (replace(MIGRATIONS[0], sql=MIGRATIONS[0].sql + "-- tidied"), *STEPS[1:])
    with (
        closing(open_read_only(first)) as cursor,
        pytest.raises(UserError, match=r"step 1 .*'the seven tables of the relay'.*changed copy"),
    ):
        check_version(cursor, first, steps=edited)


def test_steps_are_numbered_without_a_gap() -> None:
    assert [step.version for step in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))

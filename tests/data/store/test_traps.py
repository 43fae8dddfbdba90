"""Ways to lose votes with DuckDB that were measured, each with what keeps it out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from data.store import Owner, Store
from data.store.database import Database, open_read_only

from .material import CANDIDATES, vote


def test_the_lock_outlives_whatever_opens_and_closes_the_file(owner: Owner, root: Path) -> None:
    """DuckDB's own lock is dropped by this; without `flock` a second writer would get in."""
    owner.path.open("rb").close()
    shutil.copyfile(owner.path, owner.path.with_name("copy"))
    script = "import sys; from data.store import Store; Store.own(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", script, str(owner.path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"owned by process {os.getpid()}" in done.stderr
    assert owner.vote(vote()).status == "stored"


@pytest.mark.parametrize("view", ["owner", "snapshot"])
def test_threads_get_their_own_rows(owner: Owner, view: str) -> None:
    """One connection shared by threads returned other threads' rows."""
    store = owner if view == "owner" else Store.open(owner.path)

    def look(number: int) -> bool:
        wanted = CANDIDATES[number % 6]
        return all(store.get("candidates", wanted.sha256) == wanted for _ in range(20))

    with store, ThreadPoolExecutor(6) as pool:
        assert all(pool.map(look, range(6)))


def test_a_commit_after_an_error_stores_nothing_and_says_so(tmp_path: Path) -> None:
    database = Database(tmp_path / "p.duckdb")
    database.writer.execute("CREATE TABLE t(x INTEGER)")

    def swallow() -> None:
        with database.transaction() as cursor:
            cursor.execute("INSERT INTO t VALUES (1)")
            try:
                cursor.execute("SELECT no_such_column")
            except duckdb.Error:
                cursor.execute("INSERT INTO t VALUES (2)")

    with pytest.raises(duckdb.Error):
        swallow()
    assert database.writer.execute("FROM t").fetchall() == []
    database.close()


def test_no_extension_is_fetched_and_no_sync_is_skipped(owner: Owner) -> None:
    wanted = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    with Store.open(owner.path):
        pass
    view = open_read_only(owner.path.with_name("prefs.snapshot.duckdb"))
    with owner._reading() as cursor:
        for connection in (cursor, view):
            for name, value in wanted.items():
                found = connection.execute(f"SELECT current_setting('{name}')").fetchall()
                assert str(found[0][0]).lower() == value
    view.close()


def test_no_statement_meets_a_known_trap(root: Path) -> None:
    """Triggers exclude ON CONFLICT; foreign keys block migrations; indexes were seen damaged."""
    trap = re.compile(
        r"CREATE (UNIQUE )?(TRIGGER|INDEX)|REFERENCES |fsync_mode|UPDATE votes|\.fetchone\("
    )
    for file in (root / "data" / "store").glob("*.py"):
        if not file.name.startswith(("postgres", "people")):  # another engine, other rules
            assert not trap.search(file.read_text()), file

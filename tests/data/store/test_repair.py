"""Damage is found, said, and mended from what is left; the file's format stays readable."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from data.errors import UserError
from data.records import KINDS
from data.store import Store, add
from data.store.__main__ import main
from data.store.rows import IDENTITY, SCHEMAS
from data.store.schema import MIGRATIONS

from .material import CANDIDATES, PAIRS, WORLD, vote

LEAVE_A_LOG = """
import os, signal, sys
sys.path.insert(0, {folder!r})
from data.store import Store
from material import PAIRS, vote
owner = Store.own(sys.argv[1])
for number in range(int(sys.argv[2])):
    owner.vote(vote(PAIRS[number], id=f"v{{number}}"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def leave_a_log(path: Path, root: Path, votes: int) -> Path:
    """Vote in a process that is killed, so that the votes lie in DuckDB's log; the log."""
    script = LEAVE_A_LOG.format(folder=str(Path(__file__).parent))
    subprocess.run(
        [sys.executable, "-c", script, str(path), str(votes)],
        cwd=root,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    wal = path.with_name("prefs.duckdb.wal")
    assert wal.stat().st_size > 0
    return wal


def digests(path: Path) -> dict[str, str]:
    with Store.open(path) as store:
        return {kind: store.digest(kind) for kind in KINDS}


@pytest.mark.parametrize("content", [b"", b"hello, I am a text\n"])
def test_what_is_no_database_is_said(tmp_path: Path, content: bytes, capsys) -> None:
    path = tmp_path / "prefs.duckdb"
    path.write_bytes(content)
    assert main(["check", "--db", str(path)]) == 1
    out = capsys.readouterr().out
    assert "not a valid DuckDB database" in out
    assert "1 finding\n" in out
    assert main(["backup", "--db", str(path)]) == 2
    assert "Check --db: neither a journal nor a snapshot" in capsys.readouterr().err
    path.unlink()
    assert main(["repair", "--db", str(path)]) == 2
    assert "does not exist; check --db" in capsys.readouterr().err


def test_a_healthy_database_has_no_findings(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(path, [vote(pair) for pair in PAIRS])
    assert main(["check", "--db", str(path)]) == 0
    assert "no damage found" in capsys.readouterr().out


def test_a_flipped_byte_in_the_journal_is_found_and_rebuilt(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(path, [vote(pair, time_ms=n + 1) for n, pair in enumerate(PAIRS)])
    before = digests(path)
    journal = path.with_name("prefs.duckdb.journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[7] = lines[7].replace(b"3.25", b"9.25")
    journal.write_bytes(b"".join(lines))
    assert main(["check", "--db", str(path)]) == 1
    said = capsys.readouterr().out
    assert "prefs.duckdb.journal, line 8: no intact entry" in said
    assert "vote 7: in the table, without an intact line" in said
    assert main(["rebuild", "--db", str(path)]) == 0  # the snapshot has vote 7
    assert digests(path) == before
    assert main(["check", "--db", str(path)]) == 0


def test_a_deleted_database_comes_back(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(path, [vote(pair, time_ms=n + 1) for n, pair in enumerate(PAIRS)])
    before = digests(path)
    path.unlink()
    assert main(["check", "--db", str(path)]) == 1
    assert main(["rebuild", "--db", str(path)]) == 0
    assert "15 votes" in capsys.readouterr().out
    assert digests(path) == before
    assert len(list(path.parent.glob("prefs.duckdb.before-*"))) == 1


def test_votes_come_back_from_the_journal_alone(path: Path) -> None:
    votes = [vote(pair, time_ms=n + 1) for n, pair in enumerate(PAIRS)]
    add(path, votes)
    path.unlink()
    with Store.own(path) as owner:  # no command needed: the owner replays what the table misses
        assert owner.all("votes") == votes
        assert owner.count("pairs") == 0
        assert owner.add(WORLD) == len(WORLD)


def test_a_vote_that_nobody_has_any_more_is_named(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(path, [vote(pair, time_ms=n + 1) for n, pair in enumerate(PAIRS)])
    path.with_name("prefs.snapshot.duckdb").unlink(missing_ok=True)
    path.unlink()
    journal = path.with_name("prefs.duckdb.journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:3], b"rubbish\n", *lines[4:]]))
    with pytest.raises(UserError, match="check"):
        Store.own(path)
    assert main(["rebuild", "--db", str(path)]) == 0
    assert "vote 3 is lost" in capsys.readouterr().out
    with Store.open(path) as store:
        assert store.count("votes") == len(PAIRS) - 1
    assert main(["check", "--db", str(path)]) == 0


def test_nothing_to_rebuild_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rebuild", "--db", str(tmp_path / "p.duckdb")]) == 2
    assert "neither a journal nor a snapshot" in capsys.readouterr().err


def test_a_zero_filled_end_of_the_log_is_cut_by_itself(path: Path, root: Path) -> None:
    wal = leave_a_log(path, root, 8)
    with wal.open("r+b") as file:  # a power cut left the end of it unwritten
        file.seek(wal.stat().st_size - 40)
        file.write(b"\0" * 4000)
    with Store.own(path) as owner:
        assert [one.id for one in owner.all("votes")] == [f"v{n}" for n in range(8)]
    assert list(path.parent.glob("prefs.duckdb.damaged-*.wal"))


def test_a_damaged_log_needs_the_command(
    path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wal = leave_a_log(path, root, 8)
    content = bytearray(wal.read_bytes())
    middle = content.index(b"v4")  # inside the fifth vote
    content[middle] ^= 1
    wal.write_bytes(content)
    with pytest.raises(UserError, match="repair"):
        Store.own(path)
    assert main(["repair", "--db", str(path)]) == 0
    assert "8 votes are in the table" in capsys.readouterr().out
    with Store.open(path) as store:
        assert [one.id for one in store.all("votes")] == [f"v{n}" for n in range(8)]


def test_a_lost_log_is_made_good_from_the_journal(path: Path, root: Path) -> None:
    leave_a_log(path, root, 5).unlink()
    with Store.open(path) as store:
        assert [one.id for one in store.all("votes")] == [f"v{n}" for n in range(5)]


def test_a_newer_or_changed_schema_is_refused(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE schema_version SET sha256 = 'edited'")
    with pytest.raises(UserError, match="changed copy"):
        Store.open(path)
    with pytest.raises(UserError, match="changed copy"):
        Store.own(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO schema_version VALUES (999, 'later', 'x', 0)")
    with pytest.raises(UserError, match=r"version 999.*update"):
        Store.open(path)


def test_an_open_notebook_outside_the_store_is_explained(path: Path, root: Path) -> None:
    hold = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); "
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as notebook:
        assert notebook.stdout is not None
        notebook.stdout.readline()
        with pytest.raises(UserError, match=r"does not go through Store\.open"):
            Store.own(path)
        notebook.communicate("")


def test_released_migrations_are_not_edited() -> None:
    """A changed text here breaks every database in the field: add a migration instead."""
    assert [(step.version, step.checksum[:16]) for step in MIGRATIONS] == [
        (1, "8de802eaa4623442"),
        (2, "8966b5374be25422"),
    ]


@pytest.mark.parametrize("which", ["prefs.duckdb", "prefs.snapshot.duckdb"])
def test_the_format_is_the_one_that_duckdb_1_5_reads(path: Path, which: str) -> None:
    Store.open(path).close()
    file = path.with_name(which)
    assert 64 <= int.from_bytes(file.read_bytes()[12:20], "little") <= 68
    with duckdb.connect(str(file), read_only=True) as connection:
        tags = connection.execute(
            "SELECT tags['storage_version'] FROM duckdb_databases() WHERE path IS NOT NULL"
        ).fetchall()
        assert tags == [("v1.5.0+",)]
        columns = {
            kind: [row[0] for row in connection.execute(f"DESCRIBE {kind}").fetchall()]
            for kind in KINDS
        }
    for kind, schema in SCHEMAS.items():
        kept = [name for name in columns[kind] if name not in ("seq", "salt", "chain")]
        assert kept == schema.names
        assert set(IDENTITY[kind]) <= set(schema.names)


def test_snapshots_grow_and_are_read_only_for_everybody(path: Path) -> None:
    Store.open(path).close()
    snapshot = path.with_name("prefs.snapshot.duckdb")
    first = snapshot.stat()
    assert first.st_mode & 0o777 == 0o444
    Store.open(path).close()
    assert snapshot.stat().st_ino == first.st_ino  # nothing new: nothing written
    add(path, [vote(id="one", time_ms=5)])
    Store.open(path).close()
    assert snapshot.stat().st_ino != first.st_ino
    with duckdb.connect(str(snapshot), read_only=True) as connection:
        facts = dict(connection.execute("FROM meta").fetchall())
        ids = connection.execute("SELECT id FROM votes").fetchall()
    assert ids == [("one",)]
    assert facts["sequence"] == "1"
    assert len(facts["chain"]) == 64
    snapshot.chmod(0o644)
    snapshot.write_bytes(b"rubbish" * 5000)  # damaged: made anew
    with Store.open(path) as store:
        assert store.all("candidates") == CANDIDATES


def test_nobody_opens_the_database_outside_the_store(root: Path) -> None:
    rooms = [
        root / "app.py",
        *(p for r in ("data", "scorers", "annotate", "train") for p in (root / r).rglob("*.py")),
    ]
    outside = [path for path in rooms if path.exists() and "data/store/" not in path.as_posix()]
    assert outside
    for path in outside:
        imported = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert "duckdb" not in imported, path
        assert not re.search(
            r"\b(SELECT|INSERT INTO|CREATE TABLE)\b .*\b(FROM|VALUES)\b", path.read_text()
        ), path


def test_the_help_is_quick_and_whole(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "data.store", "--help"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    for word in ("check", "repair", "rebuild", "--db"):
        assert word in done.stdout

"""Disk full in every place that is written, by a limit on file sizes (`RLIMIT_FSIZE`), no root.

Each leaves a clear line and everything that was acknowledged, and works again once there is space.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.errors import UserError
from data.records import Prompt
from data.store import Owner, Store
from data.store.__main__ import main as look_after

from .material import PAIRS, WORLD, vote

NO_SPACE = r"could not be written \(File too large\).*Free space"


@contextlib.contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def size(path: Path, ending: str = "") -> int:
    return path.with_name(path.name + ending).stat().st_size


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database in a file, whatever the other tests of this folder run on."""
    file = tmp_path / "prefs.duckdb"
    with Store.own(file) as owner:
        owner.add(WORLD)
    return file


@pytest.fixture
def owner(path: Path) -> Iterator[Owner]:
    """It, owned."""
    with Store.own(path) as owned:
        yield owned


def nothing_lost(path: Path, acknowledged: set[str]) -> None:
    """After closing: the acknowledged votes are in table and journal, once."""
    with Store.open(path) as store:
        stored = store.frame("votes")["id"].to_list()
    assert len(stored) == len(set(stored))
    assert acknowledged <= set(stored)
    assert look_after(["check", "--db", str(path)]) == 0


def test_full_before_it_is_owned(path: Path) -> None:
    with no_file_above(1), pytest.raises(UserError, match=NO_SPACE):
        Store.own(path)
    with Store.own(path) as owner:  # and nobody holds the lock of the attempt
        assert owner.count("votes") == 0


def test_full_at_the_journal(path: Path, owner: Owner) -> None:
    owner.add([vote(pair, id=f"old{n}") for n, pair in enumerate(PAIRS)])
    with no_file_above(size(path, ".journal") + 100):
        for _ in range(2):
            with pytest.raises(UserError, match=r"journal could not.*File too large.*nothing was"):
                owner.vote(vote(id="new"))
        assert owner.count("votes") == 15  # reading goes on
    assert owner.vote(vote(id="new")).status == "stored"
    owner.close()
    nothing_lost(path, {"new", *(f"old{n}" for n in range(15))})


def test_full_at_the_log(path: Path, owner: Owner) -> None:
    owner.vote(vote(id="old"))
    owner.add([Prompt(text=f"a long log {n} " * 20) for n in range(500)])
    with no_file_above(size(path, ".wal") + 10):
        with pytest.raises(UserError, match=NO_SPACE):
            owner.vote(vote(PAIRS[1], id="new"))
        assert {one.id for one in owner.all("votes")} >= {"old"}
        with pytest.raises(UserError, match=NO_SPACE):
            owner.add([Prompt(text=f"another {n}" * 50) for n in range(500)])
    assert owner.vote(vote(PAIRS[1], id="new")).status in ("stored", "duplicate")
    assert owner.add([Prompt(text="another")]) == 1
    owner.close()
    nothing_lost(path, {"old", "new"})


def test_full_at_a_checkpoint(path: Path, owner: Owner) -> None:
    """DuckDB gives its instance up here: it is opened again without anybody's help."""
    acknowledged = {"old"}
    owner.vote(vote(id="old"))
    with owner._reading() as cursor:
        cursor.execute("SET GLOBAL checkpoint_threshold = '1KB'")
    refused, draw, first = 0, random.Random(1), owner._database
    with no_file_above(size(path) + 4096):
        for number in range(6):
            owner.count("pairs")
            try:
                owner.add([Prompt(text=draw.randbytes(1000).hex()) for _ in range(300)])
                owner.vote(vote(PAIRS[number], id=f"v{number}"))
                acknowledged.add(f"v{number}")
            except UserError as error:
                refused += "File too large" in str(error)
    assert refused
    assert owner._database is not first  # DuckDB gave it up: it was opened again
    for number in range(6):
        owner.vote(vote(PAIRS[number], id=f"v{number}"))
    owner.close()
    nothing_lost(path, {*acknowledged, *(f"v{number}" for number in range(6))})


def test_full_at_the_snapshot(path: Path, owner: Owner) -> None:
    with Store.open(path) as early:
        assert early.sequence == 0
    owner.add([Prompt(text=f"{n} " * 200) for n in range(2000)])
    owner.vote(vote(id="old"))
    published = path.with_name("prefs.snapshot.duckdb")
    with no_file_above(published.stat().st_size + 4096):
        with pytest.raises(UserError, match=NO_SPACE):
            Store.open(path)
        assert owner.vote(vote(PAIRS[1], id="new")).status == "stored"
        with pytest.raises(UserError, match=NO_SPACE):
            owner.publish_snapshot()
    assert owner.vote(vote(PAIRS[2], id="newer")).status == "stored"
    with Store.open(path) as store:
        assert store.sequence == 3
    assert not list(path.parent.glob(".*draft*"))
    owner.close()
    nothing_lost(path, {"old", "new", "newer"})


READ_ONLY = """
import os, sys
from pathlib import Path
import data.store.owner
from data.errors import UserError
from data.store import Store
path = Path(sys.argv[1])
if os.getuid() == 0:
    os.setuid(65534)
with Store.open(path) as store:
    print(store.sequence, store.count("pairs"), store.frame("votes", ["id"])["id"].to_list())
    for attempt in (lambda: store.add(store.all("prompts")), lambda: Store.own(path)):
        try:
            attempt()
        except UserError as error:
            print(error)
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may enter: pytest's own are private."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
        Path(folder).chmod(0o700)


def read_only(path: Path, root: Path) -> list[str]:
    """Open, read and try to write as a user who may not; what that printed."""
    path.parent.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    path.parent.chmod(0o755)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines() + done.stderr.splitlines()


@pytest.mark.parametrize("lock", ["with", "without"])
def test_a_folder_that_may_only_be_read(public: Path, root: Path, lock: str) -> None:
    path = public / "prefs.duckdb"
    with Store.own(path) as owner:
        owner.add([*WORLD, vote(id="one")])
    if lock == "without":
        path.with_name("prefs.duckdb.lock").unlink()
    before = sorted(public.iterdir())
    said = read_only(path, root)
    assert said[0] == f"1 {len(PAIRS)} ['one']"
    assert len(said) == 3
    assert all("Permission denied" in line and "writable" in line for line in said[1:])
    assert sorted(public.iterdir()) == before


def test_a_folder_that_may_only_be_read_while_somebody_owns_it(public: Path, root: Path) -> None:
    path = public / "prefs.duckdb"
    with Store.own(path) as owner:
        owner.add([*WORLD, vote(id="one")])
        owner.publish_snapshot()
        owner.vote(vote(PAIRS[1], id="later"))
        said = read_only(path, root)
    assert said[0] == f"1 {len(PAIRS)} ['one']"
    assert any("reading its snapshot" in line for line in said)


def test_a_file_that_may_only_be_read(public: Path, root: Path) -> None:
    path = public / "prefs.duckdb"
    with Store.own(path) as owner:
        owner.add([*WORLD, vote(id="one")])
    path.chmod(0o444)
    public.chmod(0o777)
    path.with_name("prefs.duckdb.lock").chmod(0o666)
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0] == f"1 {len(PAIRS)} ['one']"
    assert all("may be read here and not written" in line for line in said[1:])

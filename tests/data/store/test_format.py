"""The file is one that DuckDB 1.5 reads, and its log is folded in neither too early nor never."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from data.records import KINDS
from data.store import Owner, Store, add
from data.store.places import Places

from .material import PAIRS, excluded, vote

OLDER = Path(tempfile.gettempdir()) / "duck15"
COMMAND = f"pip install --target {OLDER} 'duckdb==1.5.*'"


def test_the_log_is_folded_in_at_sixteen_megabytes(owner: Owner) -> None:
    """DuckDB's own threshold: a small one would make every commit a checkpoint (several times
    slower), and a full disk at a checkpoint is the one that DuckDB does not survive."""
    wal = owner.path.with_name("prefs.duckdb.wal")
    with owner._reading() as cursor:
        setting = "SELECT current_setting('checkpoint_threshold')"
        assert cursor.execute(setting).fetchall() == [("16.0 MiB",)]
    sizes = []
    for n in range(20):
        owner.vote(vote(PAIRS[n % 15], f"a{n}"))
        sizes.append(wal.stat().st_size)
    assert sizes == sorted(sizes)  # no checkpoint in between: the log only grows
    assert sizes[0] > 0
    big = [vote(PAIRS[n % 15], f"b{n}", reason="x" * 900) for n in range(24_000)]
    owner.add(big)
    owner.vote(vote(PAIRS[0], "last"))
    assert not wal.exists() or wal.stat().st_size < 1_000_000  # folded in, with all votes
    assert owner.count("votes") == 20 + len(big) + 1
    assert Places.of(owner.path).journal.stat().st_size > 24_000 * 900


@pytest.mark.parametrize("which", ["prefs.duckdb", "prefs.snapshot.duckdb"])
def test_duckdb_1_5_itself_reads_the_files(path: Path, which: str) -> None:
    if not (OLDER / "duckdb").exists():
        pytest.skip(f"DuckDB 1.5 is not there: {COMMAND}")
    add(path, [vote(PAIRS[0], id="one", time_ms=5), excluded("ann")])
    Store.open(path).close()
    code = (
        "import duckdb, sys; assert duckdb.__version__.startswith('1.5'), duckdb.__version__; "
        "it = duckdb.connect(sys.argv[1], read_only=True); "
        "print([it.execute(f'SELECT count(*) FROM {kind}').fetchone()[0] for kind in sys.argv[2:]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path.with_name(which)), *KINDS],
        env={**os.environ, "PYTHONPATH": str(OLDER)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with Store.open(path) as store:
        assert done.stdout.strip() == str([store.count(kind) for kind in KINDS])

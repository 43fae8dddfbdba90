"""Replicas in processes of their own: one is killed mid-vote, and two race for the last slots."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data.store import Store

from .material import PAIRS
from .test_postgres import rows

HERE = Path(__file__).parent


@pytest.fixture
def start(root: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a replica on a database; it is killed at the end of the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(place: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "replica.py"), place],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def ask(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{text}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def ready(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"
    return process


def test_killed_replicas_lose_nothing_and_double_nothing(
    url: str, start: Callable[[str], subprocess.Popen[str]]
) -> None:
    """One of two replicas is killed mid-vote, four times; its client resends to the other one."""
    draw = random.Random(3)
    acknowledged: set[int] = set()
    number = 0
    stays = ready(start(url))
    for _ in range(4):
        dies = ready(start(url))
        killer = threading.Timer(draw.uniform(0.01, 0.15), dies.kill)
        killer.start()
        with contextlib.suppress(BrokenPipeError):
            while ask(dies, f"vote {number}"):
                acknowledged.add(number)
                if ask(stays, f"vote {number + 1}"):  # somebody else, on the other machine
                    acknowledged.add(number + 1)
                number += 2
        killer.join()
        assert ask(stays, f"vote {number}").split()[2] in ("stored", "duplicate")  # the retry
        acknowledged.add(number)
        number += 2
    with Store.open(url) as store:
        stored = store.frame("votes")["id"].to_list()
        assert store.sequence == len(stored)
    assert len(stored) == len(set(stored))
    assert {f"v{one}" for one in acknowledged} <= set(stored)
    assert len(acknowledged) >= 4
    assert [seq for (seq,) in rows(url, "SELECT seq FROM votes ORDER BY seq")] == list(
        range(1, len(stored) + 1)
    )


def test_the_last_slots_raced_by_twelve_over_two_replicas(
    url: str, start: Callable[[str], subprocess.Popen[str]]
) -> None:
    """Twelve annotators on two machines want the same pair, which has 1, 2 or 3 slots."""
    replicas = [ready(start(url)), ready(start(url))]
    for turn, pair in enumerate(PAIRS):
        redundancy = turn % 3 + 1
        names = [[f"{turn}-{half}-{n}" for n in range(6)] for half in range(2)]
        requests = [f"claim {redundancy} {pair.id} {','.join(half)}" for half in names]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(ask, replicas, requests))
        winners = [name for line in answers for name in line.split() if name != "nobody"]
        assert len(winners) == redundancy, (pair.id, answers)

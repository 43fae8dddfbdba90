"""Several processes and sudden death: what was acknowledged is stored, once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data.errors import UserError
from data.records import Score
from data.store import Store, add
from data.store.__main__ import main as look_after
from data.store.places import Places
from data.store.repair import check

from .material import CANDIDATES, PAIRS, SCORES, sha, vote

HERE = Path(__file__).parent
Spawn = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def spawn(root: Path) -> Iterator[Spawn]:
    """Start a Python process with pipes; it is killed at the end of the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def send(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{text}\n")
    process.stdin.flush()


def own_and_vote(spawn: Spawn, path: Path) -> subprocess.Popen[str]:
    process = spawn(str(HERE / "voter.py"), str(path))
    assert line_of(process) == "ready"
    return process


def test_thirty_kills_lose_nothing_and_double_nothing(tmp_path: Path, root: Path) -> None:
    """Owners and clients die at random moments; what that must not do: `benchmarks.durability`."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.durability", "--kills", "30", "--db", tmp_path / "p.db"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tally = json.loads(done.stdout.splitlines()[-2])
    assert tally["kills"] == 30
    assert tally["acknowledged"] >= 10


def test_clients_that_wait_survive_the_death_of_the_owner(path: Path, spawn: Spawn) -> None:
    """Eight wait for an answer when it dies; one of them owns the database next, the others ask."""
    dying = own_and_vote(spawn, path)
    os.kill(dying.pid, signal.SIGSTOP)  # it holds the lock, and does not answer
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(add, path, [vote(PAIRS[n], f"a{n}", id=f"w{n}")]) for n in range(8)]
        time.sleep(0.3)
        assert not any(one.done() for one in waiting)
        dying.kill()
        assert [one.result(timeout=60) for one in waiting] == [1] * 8
    with Store.open(path) as store:
        assert sorted(store.frame("votes")["id"]) == [f"w{n}" for n in range(8)]


def test_a_check_beside_a_voting_app(path: Path, spawn: Spawn) -> None:
    app = own_and_vote(spawn, path)
    for number in range(5):
        send(app, str(number))
        assert line_of(app) == f"ack {number} stored"
    assert look_after(["check", "--db", str(path)]) == 0
    journal = path.with_name("prefs.duckdb.journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"3.25", b"9.25")
    journal.write_bytes(b"".join(lines))
    found = check(Places.of(path))
    assert "prefs.duckdb.journal, line 4: no intact entry" in found[0]
    assert found[1:] == ["vote 3: in the table, without an intact line in the journal"]


def test_readers_and_a_trainer_beside_a_voting_app(path: Path, spawn: Spawn) -> None:
    read = (
        "import sys, json\nfrom data.store import Store\n"
        "for _ in range(4):\n"
        "    with Store.open(sys.argv[1]) as store:\n"
        "        ids = store.frame('votes')['id'].to_list()\n"
        "        assert store.sequence == len(ids)\n"
        "        print(json.dumps(ids), flush=True)\n"
    )
    write = (
        "import sys\nfrom data.records import Score\nfrom data.store import Store\n"
        "with Store.open(sys.argv[1]) as store:\n"
        "    for n in range(4):\n"
        "        clip = '%064x' % n\n"
        "        score = Score(candidate=clip, scorer='t', version='1', dimension='d', value=n)\n"
        "        print(store.add([score]), flush=True)\n"
    )
    with Store.own(path) as owner:
        others = [spawn("-c", script, str(path)) for script in (read, read, write)]
        number = 0
        while any(process.poll() is None for process in others):
            owner.vote(vote(PAIRS[number % 15], f"a{number}", id=f"v{number}"))
            number += 1
        for process in others[:2]:
            views = [json.loads(line) for line in process.communicate()[0].splitlines()]
            assert process.returncode == 0
            assert len(views) == 4
            assert all(view == [f"v{n}" for n in range(len(view))] for view in views)
            assert sorted(views, key=len) == views
        assert others[2].communicate()[0].split() == ["1"] * 4
        assert owner.count("scores") == len(SCORES) + 4
        assert owner.count("votes") == number


def test_a_killed_client_harms_nobody(path: Path, spawn: Spawn) -> None:
    flood = (
        "import sys\nfrom data.records import Score\nfrom data.store import Store\n"
        "print('go', flush=True)\n"
        "for n in range(100000):\n"
        "    clip = '%064x' % n\n"
        "    score = Score(candidate=clip, scorer='t', version='1', dimension='d', value=n)\n"
        "    with Store.open(sys.argv[1]) as store:\n"
        "        store.add([score])\n"
    )
    with Store.own(path) as owner:
        for delay in (0.02, 0.1, 0.2):
            client = spawn("-c", flood, str(path))
            assert line_of(client) == "go"
            time.sleep(delay)
            client.kill()
            client.wait()
        assert owner.vote(vote()).status == "stored"
        with Store.open(path) as store:
            assert store.sequence == 1


def test_the_lock_of_a_dead_process_is_no_obstacle(path: Path, spawn: Spawn) -> None:
    dead = own_and_vote(spawn, path)
    with pytest.raises(UserError, match=f"owned by process {dead.pid}"):
        Store.own(path)
    os.kill(dead.pid, signal.SIGKILL)
    dead.wait()
    places = Places.of(path)
    assert places.socket.exists()
    assert str(dead.pid) in places.lock.read_text()
    with Store.open(path) as store:  # first a reader, whose owner is gone
        assert store.all("candidates") == CANDIDATES
    with Store.own(path) as owner:
        assert owner.vote(vote()).status == "stored"
    assert not places.socket.exists()


def test_a_reader_survives_the_death_of_the_owner_it_asks(path: Path, spawn: Spawn) -> None:
    owner = own_and_vote(spawn, path)
    os.kill(owner.pid, signal.SIGSTOP)  # it holds the lock, and does not answer
    killer = threading.Timer(0.3, owner.kill)
    killer.start()
    with Store.open(path) as store:
        assert store.all("candidates") == CANDIDATES
    killer.join()


def test_commands_that_write_at_once_take_turns(path: Path, spawn: Spawn) -> None:
    write = (
        "import sys\nfrom data.records import Score\nfrom data.store import add\n"
        "scores = [Score(candidate='%064x' % n, scorer=sys.argv[2], version='1', dimension='d', "
        "value=n) for n in range(50)]\n"
        "print(add(sys.argv[1], scores))\n"
    )
    writers = [spawn("-c", write, str(path), f"scorer{n}") for n in range(3)]
    assert [writer.communicate(timeout=60)[0].strip() for writer in writers] == ["50"] * 3
    with Store.open(path) as store:
        assert store.count("scores") == len(SCORES) + 150


def test_a_long_path_listens_in_the_temporary_folder(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / ("path" * 20)
    folder.mkdir(parents=True)
    path = folder / "prefs.duckdb"
    with Store.own(path) as owner:
        socket = Places.of(path).socket
        assert socket.exists()
        assert socket.parent != folder
        add(path, [Score(candidate=sha(1), scorer="s", version="1", dimension="d", value=1.0)])
        assert owner.count("scores") == 1
    assert not socket.exists()


def test_a_forked_child_does_not_hold_the_lock(path: Path, spawn: Spawn) -> None:
    script = (
        "import os, sys, time\nfrom data.store import Store\n"
        "owner = Store.own(sys.argv[1])\n"
        "if os.fork() == 0:\n"
        "    os.closerange(0, 3)\n"
        "    time.sleep(20)\n"
        "    os._exit(0)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    parent = spawn("-c", script, str(path))
    assert line_of(parent) == "ready"
    parent.kill()
    parent.wait()
    Store.own(path).close()

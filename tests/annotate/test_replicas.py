"""Two processes of the app on one PostgreSQL: one is killed mid-vote, the other goes on."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from data import clips, remote, video
from data.records import Pair, Prompt
from data.store import Store, add
from tests.data.store.cluster import NoServerError, server

PROMPT = Prompt(text="a cat")


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database on a server with three pairs, whose clips are at a URL."""
    monkeypatch.setenv(clips.HOME, f"file://{tmp_path}/bucket")
    monkeypatch.setenv(remote.CACHE, str(tmp_path / "cache"))
    try:
        with server() as running:
            made = []
            for number in range(3):
                file = tmp_path / f"{number}.mkv"
                video.write(file, np.full((4, 48, 64, 3), 40 * number, np.uint8), 8, lossless=True)
                made.append(clips.admit(running.url(), file, prompt=PROMPT, model="m"))
                file.unlink()
            pairs = [
                Pair.of(one.sha256, other.sha256, prompt=PROMPT.id)
                for n, one in enumerate(made)
                for other in made[n + 1 :]
            ]
            add(running.url(), [PROMPT, *made, *pairs])
            yield running.url()
    except NoServerError as error:
        pytest.skip(str(error))


Start = Callable[[int], tuple[subprocess.Popen[str], str]]


@pytest.fixture
def start(url: str, root: Path, tmp_path: Path) -> Iterator[Start]:
    """Start a replica with a cache of its own; the process and its address."""
    started: list[subprocess.Popen[str]] = []

    def begin(number: int) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "app.py", "--db", url, "--port", str(18600 + 40 * number)],
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                remote.CACHE: str(tmp_path / f"cache{number}"),
                "PYTHONUNBUFFERED": "1",
            },
        )
        started.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://\S+", line):
                return process, found.group(0)
        raise AssertionError("the replica ended before it served")

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def ballot(page: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "ticket": page["pair"]["ticket"],
        "answer": "left",
        "answers": {},
        "reason": "",
        "seconds": 1.0,
        "watched": {},
    }


@pytest.mark.slow
def test_a_vote_survives_the_death_of_its_replica(url: str, start: Start) -> None:
    (dies, one), (_, other) = start(0), start(1)
    with httpx.Client(timeout=60) as browser:
        page = browser.post(f"{one}/api/me", json={"name": "Ann"}).json()
        for place in (one, other):  # the same cookie, the same tokens, each with its own cache
            clip = browser.get(f"{place}/{page['pair']['left']}")
            assert (clip.status_code, clip.headers["content-type"]) == (200, "video/mp4")
        vote = ballot(page)
        threading.Timer(0.01, dies.kill).start()
        with contextlib.suppress(httpx.HTTPError):
            browser.post(f"{one}/api/vote", json=vote)
        dies.wait()
        again = browser.post(f"{other}/api/vote", json=vote)  # what the page does, same id
        assert again.status_code == 200
        assert again.json()["status"] in ("stored", "duplicate")
        time.sleep(1.1)  # the other replica looks for news once a second
        assert browser.get(f"{other}/api/next").json()["progress"]["done"] == 1
    with Store.open(url) as store:
        assert [cast.id for cast in store.all("votes")] == [vote["id"]]

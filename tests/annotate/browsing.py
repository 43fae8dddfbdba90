"""A real Chromium on a real server, for the tests of the page."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from annotate import server
from annotate.campaigns import Campaign, decided
from annotate.desk import Desk
from annotate.protocol import Protocol
from data.store import Store, add

PATIENCE_MS = 30_000.0
STEADY_MS = 200
"""The page takes no answering keys for 150 ms after a new pair."""
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}


@contextmanager
def served(db: Path, **protocol: Any) -> Iterator[str]:
    """The app in this process, on any free port; gives its address."""
    with Store.own(db) as owner, server.listen("127.0.0.1", 0) as bound:
        app = server.build(Desk(db, owner, Protocol(**protocol)))
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not running.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/"
        running.should_exit = True
        thread.join(10)


def decide(db: Path, **campaign: Any) -> None:
    """Ask the campaign like this from now on."""
    add(db, [decided(Campaign(**campaign), by="test", now_ms=time.time_ns() // 10**6)])


class Visit:
    """One browser window of one person, with everything that it sent and received."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        context.setdefault("viewport", {"width": 1280, "height": 800})
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.requests: list[Any] = []
        self.faults: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.goto(address)
        self.state("ask")

    def state(self, *wanted: str) -> Visit:
        """Wait until the page is in one of these states."""
        selectors = ", ".join(f"#second-look[data-state={name}]" for name in wanted)
        self.page.wait_for_selector(selectors, state="attached")
        return self

    def enter(self, name: str) -> Visit:
        """Say the name, by keyboard, and wait for what comes."""
        self.page.keyboard.type(name)
        self.page.keyboard.press("Enter")
        self.state("pair", "idle", "reveal")
        return self.ready()

    def ready(self) -> Visit:
        """Wait until the pair can be answered (or there is none), and keys are taken."""
        self.page.wait_for_function(
            "() => { const { state, ready } = document.querySelector('#second-look').dataset;"
            " return state === 'idle' || ready === 'true'; }"
        )
        self.page.wait_for_timeout(STEADY_MS)
        return self

    def patient(self) -> Visit:
        """Have the score of a blind pair wait until it is asked for, however slow the machine."""
        self.page.evaluate("localStorage.setItem('second-look.reveal', 'false')")
        return self

    def steady(self) -> Visit:
        """Wait until the page takes keys again."""
        self.page.wait_for_timeout(STEADY_MS)
        return self

    def press(self, *keys: str) -> Visit:
        """Press keys, one after the other, when the page takes them."""
        for key in keys:
            self.page.keyboard.press(key)
            self.page.wait_for_timeout(STEADY_MS)
        return self

    def key(self, *names: str) -> Visit:
        """Press keys of which the last one answers, and wait for the next pair."""
        before = self.text(".sl-counts")
        *first, last = names
        for name in first:
            self.page.keyboard.press(name)
            self.page.wait_for_timeout(STEADY_MS)
        self.page.keyboard.press(last)
        self.page.wait_for_function(
            "before => document.querySelector('.sl-counts').textContent !== before", arg=before
        )
        return self.ready()

    def text(self, selector: str) -> str:
        """The text of the first element that matches."""
        return self.page.inner_text(selector)

    def says(self, selector: str, text: str) -> Visit:
        """Wait until the first visible element that matches has this text in it."""
        self.page.locator(f"{selector}:visible", has_text=text).first.wait_for()
        return self

    def video(self, expression: str) -> list[Any]:
        """`expression` of `video`, for the left and the right one at the same moment."""
        clips = "document.querySelectorAll('.sl-stage video')"
        return self.page.evaluate(f"() => [...{clips}].map((video) => {expression})")

    def close(self) -> None:
        """Close the window; no error may have happened, no request may have left the machine."""
        self.context.close()
        assert self.faults == []
        for request in self.requests:
            assert request.url.startswith(("http://127.0.0.1", "blob:http://127.0.0.1", "data:"))


def votes_of(db: Path, name: str) -> list:
    with Store.open(db) as store:
        return [vote for vote in store.all("votes") if vote.annotator == name]

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
from annotate.desk import Desk
from annotate.protocol import Protocol
from data.store import Store

PATIENCE_MS = 30_000.0
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

    def state(self, *wanted: str) -> None:
        """Wait until the page is in one of these states."""
        selectors = ", ".join(f"#second-look[data-state={name}]" for name in wanted)
        self.page.wait_for_selector(selectors, state="attached")

    def enter(self, name: str) -> Visit:
        """Say the name, by keyboard, and wait for what comes."""
        self.page.keyboard.type(name)
        self.page.keyboard.press("Enter")
        self.state("pair", "idle")
        return self.ready()

    def ready(self) -> Visit:
        """Wait until the pair can be answered (or there is none), and keys are taken."""
        self.page.wait_for_function(
            "() => { const root = document.querySelector('#second-look');"
            " return root.dataset.state === 'idle' ||"
            " !document.querySelector('[data-act=skip]').disabled; }"
        )
        self.page.wait_for_timeout(200)  # the page ignores keys for 150 ms after a new pair
        return self

    def key(self, name: str) -> Visit:
        """Press a key that answers, and wait for the next pair."""
        before = self.text(".sl-counts")
        self.page.keyboard.press(name)
        self.page.wait_for_function(
            "before => document.querySelector('.sl-counts').textContent !== before", arg=before
        )
        return self.ready()

    def text(self, selector: str) -> str:
        """The text of the first element that matches."""
        return self.page.inner_text(selector)

    def video(self, expression: str) -> list[Any]:
        """`expression` of `video`, for the left and the right one at the same moment."""
        script = f"() => [...document.querySelectorAll('video')].map((video) => {expression})"
        return self.page.evaluate(script)

    def close(self) -> None:
        """Close the window; no error may have happened, no request may have left the machine."""
        self.context.close()
        assert self.faults == []
        for request in self.requests:
            assert request.url.startswith(("http://127.0.0.1", "blob:http://127.0.0.1", "data:"))


def votes_of(db: Path, name: str) -> list:
    with Store.open(db) as store:
        return [vote for vote in store.all("votes") if vote.annotator == name]

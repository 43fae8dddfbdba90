"""A real Chromium on a real server, for the tests of the page."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import axe_playwright_python
import uvicorn

from annotate import server
from annotate.campaigns import Campaign, decided
from annotate.desk import Desk
from annotate.protocol import Protocol
from data.store import Store, add

PATIENCE_MS = 30_000.0
STEADY_MS = 200
"""The page takes no answering keys for 150 ms after a new pair."""
AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules of axe-core that depend on the colour scheme: all that a dark page adds."""
_RUN = """
async (only) => {
  // what is still fading has another contrast; what turns for ever is not waited for
  const ends = (one) => one.effect.getComputedTiming().endTime < Infinity;
  const ending = document.getAnimations().filter(ends);
  await Promise.allSettled(ending.map((one) => one.finished));
  const { violations, passes } = await axe.run(document, { runOnly: only });
  const told = (one) => one.nodes.map((n) => `${n.target} ${n.failureSummary}`).join(' | ');
  return { passes: passes.length, violations: violations.map((one) => `${one.id}: ${told(one)}`) };
}
"""
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


class Profiles:
    """Browser profiles that are used again: Gradio's scripts are fetched and compiled once.

    Nobody is known in a profile when it is handed out, and nobody else has it.
    """

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._free: dict[str, list[Any]] = {}

    def take(self, **settings: Any) -> Any:
        """A profile with these settings of Playwright's."""
        free = self._free.get(repr(settings))
        return free.pop() if free else self._browser.new_context(**settings)

    def give_back(self, context: Any, address: str, **settings: Any) -> None:
        """Forget everything that the site of `address` keeps in it, but its files."""
        for page in context.pages[1:]:
            page.close()
        forget = context.pages[0] if context.pages else context.new_page()
        client = context.new_cdp_session(forget)
        kept = {"origin": address.rstrip("/"), "storageTypes": "cookies,local_storage"}
        client.send("Storage.clearDataForOrigin", kept)
        forget.close()
        context.clear_cookies()
        self._free.setdefault(repr(settings), []).append(context)


class Visit:
    """One browser window of one person, with everything that it sent and received."""

    def __init__(self, profiles: Profiles, address: str, **settings: Any) -> None:
        settings.setdefault("viewport", {"width": 1280, "height": 800})
        self.profiles, self.settings, self.address = profiles, settings, address
        self.context = profiles.take(**settings)
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

    def history(self) -> Visit:
        """Open the history; it has come when this returns."""
        self.page.keyboard.press("h")
        self.page.wait_for_selector("dialog[data-dialog=history][open]")
        return self.steady()

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
        self.profiles.give_back(self.context, urljoin(self.address, "/"), **self.settings)
        assert self.faults == []
        for request in self.requests:
            assert request.url.startswith(("http://127.0.0.1", "blob:http://127.0.0.1", "data:"))


def faults(page: Any, state: str, *, dark: bool = False) -> list[str]:
    """What axe-core finds wrong with the page as it stands.

    Args:
        page: Playwright's.
        state: what it is called in what comes back.
        dark: look at it in the dark scheme too, by the rules that depend on colours.
    """
    if not page.evaluate("typeof axe !== 'undefined'"):
        page.evaluate(AXE.read_text())
    found = page.evaluate(_RUN, TAGS)
    assert found["passes"] > 10
    wrong = [f"{state}: {violation}" for violation in found["violations"]]
    if not dark:
        return wrong
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.body.classList.contains('dark')")  # Gradio follows
    night = page.evaluate(_RUN, COLOURS)
    page.emulate_media(color_scheme="light")
    page.wait_for_function("!document.body.classList.contains('dark')")
    assert night["passes"] > 0
    return wrong + [f"{state}, dark: {violation}" for violation in night["violations"]]


def votes_of(db: Path, name: str) -> list:
    with Store.open(db) as store:
        return [vote for vote in store.all("votes") if vote.annotator == name]

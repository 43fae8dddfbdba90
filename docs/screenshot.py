"""Take the pictures of the page that the README shows, from the real app on a real database.

    PYTHONPATH=. python docs/screenshot.py --db prefs.duckdb

Starts `app.py` on the database (which no other app may own at the moment), visits it with Chromium
as a person on a desktop and as one on a phone, and writes `docs/screenshot.png` and
`docs/screenshot_phone.png`. Nobody votes, so the database stays as it is. Needs Playwright
(requirements-dev.txt) and Chromium (`apt-get install chromium`).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data.console import say
from data.errors import UserError, user_errors

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DOCS = Path(__file__).resolve().parent
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
VISITOR = "you"
SETTLED_MS = 1200
"""How long the clips have played when the picture is taken."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which database is pictured, and where the pictures go."""

    db: Path
    out: Path = DOCS


def run(config: Config) -> None:
    """Write both pictures."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise UserError("Chromium is not installed; `apt-get install chromium` brings it")
    with _app(config.db) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, device in (("screenshot.png", DESKTOP), ("screenshot_phone.png", PHONE)):
            _picture(browser, address, device, config.out / name)
            say(f"Wrote {config.out / name}")
        browser.close()


@contextmanager
def _app(db: Path) -> Iterator[str]:
    """The real command on a free port; gives the address that it says."""
    command = [sys.executable, "app.py", "--db", str(db), "--port", "0", "--blind", "0"]
    command += ["--redundancy", "1000"]  # pairs that have been answered are shown again
    with subprocess.Popen(command, cwd=DOCS.parent, stdout=subprocess.PIPE, text=True) as app:
        try:
            said = app.stdout.readline() if app.stdout else ""
            if " at http" not in said:
                raise UserError(f"app.py did not start on {db}; try `python app.py --db {db}`")
            yield said.split(" at ")[1].split()[0]
        finally:
            app.terminate()


def _picture(browser: Browser, address: str, device: dict, out: Path) -> None:
    page = browser.new_context(**device).new_page()
    page.goto(address)
    page.fill("input[name=name]", VISITOR)
    page.keyboard.press("Enter")
    page.wait_for_selector("#second-look[data-state=pair][data-ready=true]")
    page.wait_for_timeout(SETTLED_MS)
    page.screenshot(path=out)
    page.close()


@user_errors
def main(argv: list[str] | None = None) -> None:
    """Read the command line and write the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--db", type=Path, required=True, help="a database with scored pairs")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder (default: docs)")
    run(Config(**vars(parser.parse_args(argv))))


if __name__ == "__main__":
    raise SystemExit(main())

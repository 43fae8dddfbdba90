"""What every test needs: no network, one Chromium, the real clips where a developer has them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# A hub that is asked for anything by accident must fail at once, not after a time-out.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
# As many workers as cores or more: libraries that take every core for each would wait for another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--mute-audio",
    "--allow-file-access-from-files",
)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def real_clips() -> Path:
    """The manifest of twelve real clips; skips where they are not at hand."""
    manifest = ROOT.parent / "shared" / "data" / "videodpo_pairs" / "manifest.csv"
    if not manifest.exists():
        pytest.skip(f"real clips are not on this machine ({manifest})")
    return manifest


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium for all tests of a process: Playwright's loop cannot be started twice in it."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed; `apt-get install chromium` brings it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()

"""What every test needs: no network, and the real clips where a developer has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# A hub that is asked for anything by accident must fail at once, not after a time-out.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

ROOT = Path(__file__).resolve().parent.parent


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

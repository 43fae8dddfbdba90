"""A database with the small world of `material` in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from data.store import Owner, Store, add

from .material import WORLD


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database that nobody owns."""
    file = tmp_path / "prefs.duckdb"
    add(file, WORLD)
    return file


@pytest.fixture
def owner(path: Path) -> Iterator[Owner]:
    """The same database, owned."""
    with Store.own(path) as owned:
        yield owned

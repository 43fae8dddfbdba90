"""A database with the small world of `material` in it, on either engine.

`@both` runs a test on DuckDB and on PostgreSQL; without it, `path` and `owner` are a file's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from data.store import Owner, Store, add

from .cluster import Server
from .material import WORLD

_numbers = count(1)


def fresh_url(postgres: Server) -> str:
    """An empty PostgreSQL database: a schema of its own in the one of the session."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}".encode())
    return f"{postgres.url()}?options={quote(f'-csearch_path={name}')}"


@pytest.fixture
def url(postgres: Server) -> str:
    """The small world on PostgreSQL."""
    place = fresh_url(postgres)
    add(place, WORLD)
    return place


@pytest.fixture
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """Makes the address of a database that does not exist yet, on the engine of the test."""
    if getattr(request, "param", "duckdb") == "postgres":
        running = request.getfixturevalue("postgres")
        return lambda: fresh_url(running)
    names = (tmp_path / f"{name}.duckdb" for name in ("prefs", *"abcdefgh"))
    return lambda: next(names)


@pytest.fixture
def path(fresh: Callable[[], Any]) -> Any:
    """A database that nobody owns."""
    place = fresh()
    add(place, WORLD)
    return place


@pytest.fixture
def owner(path: Any) -> Iterator[Owner]:
    """The same database, owned."""
    with Store.own(path) as owned:
        yield owned

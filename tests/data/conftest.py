"""A PostgreSQL for the whole session; only the tests that ask for it start it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .store.cluster import NoServerError, Server, server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server of this test session; skips where there can be none."""
    try:
        with server() as running:
            yield running
    except NoServerError as error:
        pytest.skip(str(error))

"""`@both`: run a test on either engine. See `conftest`."""

from __future__ import annotations

import pytest

both = pytest.mark.parametrize("fresh", ["duckdb", "postgres"], indirect=True)

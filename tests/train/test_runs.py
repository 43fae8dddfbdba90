"""A run's folder: a place where none can be made is said in one line."""

from __future__ import annotations

import pytest

from data.errors import UserError
from train.run import runs


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(
        UserError, match=r"file/dpo-\w+ cannot be made \(Not a directory\); give --out"
    ):
        runs.begin(tmp_path / "prefs.duckdb", "dpo", {"steps": 1}, out=tmp_path / "file")

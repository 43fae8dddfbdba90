"""The efficiency figure: its intervals by hand, its labels, and a whole study at tiny size."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import efficiency
from benchmarks.efficiency_report import METHODS, Point, band


def point(method: str, seed: int, queries: int, train: float) -> Point:
    return Point(
        method=method, seed=seed, queries=queries, seconds=2.0 * queries + seed, train=train,
        unseen=0.0, oracle=0.0,
    )  # fmt: skip


def test_a_band_by_hand():
    """Values 1 and 3: mean 2, deviation sqrt(2), t(0.975, 1) = 12.706, half 12.706 * 1."""
    points = [point("dpo", 0, 8, 1.0), point("dpo", 1, 8, 3.0), point("vader", 0, 8, 9.0)]
    found = band(points, "dpo", "train", "seconds")
    assert (found.x, found.middle) == ([16.5], [2.0])
    assert found.high[0] - 2.0 == pytest.approx(12.706, rel=1e-4)
    assert found.low[0] - 2.0 == pytest.approx(-12.706, rel=1e-4)
    alone = band(points, "vader", "train", "queries")
    assert (alone.x, alone.low, alone.high) == ([8], [9.0], [9.0])


def test_a_whole_study(tiny_folder: Path, tmp_path: Path):
    out, figure = tmp_path / "found.json", tmp_path / "found.svg"
    efficiency.main(
        ["--model", str(tiny_folder), "--prompts", "2", "--queries", "8", "--points", "1",
         "--batch", "4", "--dpo-steps", "1", "--sampler-steps", "2", "--seeds", "1",
         "--out", str(out), "--figure", str(figure)]
    )  # fmt: skip
    points = json.loads(out.read_text())["points"]
    assert [(one["method"], one["queries"]) for one in points] == [
        (method, queries) for method in METHODS for queries in (0, 8)
    ]
    base = [one for one in points if one["queries"] == 0]
    assert len({one["train"] for one in base}) == 1  # one base for all
    assert all(one["seconds"] > 0 for one in points if one["queries"])
    assert len({one["train"] for one in points}) == 4  # every method moved, its own way
    groups = ElementTree.parse(figure).getroot().iter("{http://www.w3.org/2000/svg}g")
    assert sum(one.get("id", "").startswith("axes_") for one in groups) == 4

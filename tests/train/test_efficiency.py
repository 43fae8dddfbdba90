"""The efficiency figure: its intervals by hand, its labels, and a whole study at tiny size."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import efficiency
from benchmarks.efficiency_report import METHODS, Point, band
from benchmarks.efficiency_search import OWN, SEED, Tried, best, search, show_search
from train import ddpo, dpo, vader


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


@pytest.mark.parametrize(
    ("peak", "rates", "taken"),
    [(1e-3, (1e-3 / 3, 1e-3, 3e-3), 1e-3), (5e-3, (1e-3, 3e-3, 9e-3), 3e-3), (1, None, 9e-3)],
)
def test_the_third_rate_lies_on_the_better_side(
    peak: float, rates: tuple[float, ...] | None, taken: float
):
    """Rewards fall with the distance to `peak`; beyond the last rate, the last is taken."""
    found = search("vader", lambda lr: {"train": -abs(lr - peak), "unseen": lr, "oracle": 0.0})
    assert tuple(one.lr for one in found) == pytest.approx(rates or (1e-3, 3e-3, 9e-3))
    assert best(found) == pytest.approx(taken)
    shown = show_search(found)
    assert shown.count("taken") == 1
    assert ("at the end of what was tried" in shown) == (peak == 1)


def test_unsearched_rates_are_the_commands_own():
    configs = {"vader": vader.Config(), "dpo": dpo.Config(), "ddpo": ddpo.Config()}
    assert {method: config.lr for method, config in configs.items()} == OWN


def test_a_whole_study(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """VADER's rate is searched: all queries at once, on a seed of its own, and the best is used."""
    out, figure = tmp_path / "found.json", tmp_path / "found.svg"
    made, trained = [], efficiency.trained

    def noted(study: efficiency.Study, method: str, seed: int, lr: float):
        made.append((method, seed, lr, study.budgets()))
        return trained(study, method, seed, lr)

    def one_rate(method: str, tried) -> list[Tried]:
        return [Tried(method=method, lr=7e-3, **tried(7e-3))] if method == "vader" else []

    monkeypatch.setattr(efficiency, "trained", noted)
    monkeypatch.setattr(efficiency, "search", one_rate)
    efficiency.main(
        ["--model", str(tiny_folder), "--prompts", "2", "--queries", "8", "--points", "1",
         "--batch", "4", "--dpo-steps", "1", "--sampler-steps", "2", "--seeds", "1",
         "--search", "--out", str(out), "--figure", str(figure)]
    )  # fmt: skip
    assert made == [
        ("vader", SEED, 7e-3, [8]), ("vader", 0, 7e-3, [8]), ("dpo", 0, OWN["dpo"], [8]),
        ("ddpo", 0, OWN["ddpo"], [8]),
    ]  # fmt: skip
    found = json.loads(out.read_text())
    assert [(one["method"], one["lr"]) for one in found["search"]] == [("vader", 7e-3)]
    points = found["points"]
    assert [(one["method"], one["queries"]) for one in points] == [
        (method, queries) for method in METHODS for queries in (0, 8)
    ]
    base = [one for one in points if one["queries"] == 0]
    assert len({one["train"] for one in base}) == 1  # one base for all
    assert all(one["seconds"] > 0 for one in points if one["queries"])
    assert len({one["train"] for one in points}) == 4  # every method moved, its own way
    groups = ElementTree.parse(figure).getroot().iter("{http://www.w3.org/2000/svg}g")
    assert sum(one.get("id", "").startswith("axes_") for one in groups) == 4

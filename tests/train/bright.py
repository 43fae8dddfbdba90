"""A reward that is easily followed, and a database and settings to follow it with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import scorers
from data.records import Prompt, Run
from data.store import Store
from train.policy import WEIGHTS

TEXTS = ["a red circle moving left", "a blue square", "a red square moving right"]


class Brightness:
    """The mean value of the frames."""

    name, version, dimensions, differentiable = "brightness", "1", ("brightness",), True

    def __call__(self, frames: Tensor, prompts: list[str], fps: list[float]) -> Tensor:
        assert len(frames) == len(prompts) == len(fps)
        return frames.flatten(1).mean(1, keepdim=True)


def every_reward(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every reward name is the brightness of the clip."""
    for load in ("load_reward", "load"):
        monkeypatch.setattr(scorers, load, lambda name, **_: Brightness())
    monkeypatch.setattr(scorers, "card", lambda name: Brightness())


def settings(folder: Path, model: Path) -> dict[str, Any]:
    """Of a short run on the tiny model, with a database of three train prompts and a test one."""
    db = str(folder / "prefs.duckdb")
    with Store.open(db) as store:
        store.add([*(Prompt(text=text) for text in TEXTS), Prompt(text="a test", split="test")])
    return {
        "db": db, "model": str(model), "reward": "bright", "batch": 2, "rank": 2, "lr": 5e-3,
        "grid": 0, "out": str(folder / "runs"), "device": "cpu",
    }  # fmt: skip


def weights(run: Run) -> bytes:
    """The adapter's file."""
    return (Path(run.folder) / "adapter" / WEIGHTS).read_bytes()


def metrics(run: Run) -> list[dict[str, Any]]:
    """What a run logged."""
    lines = (Path(run.folder) / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]

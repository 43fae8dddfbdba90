"""A run whose process is killed goes on to the same bytes: the tiny model with random weights."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.train import world
from train import dpo
from train.policy import WEIGHTS


@pytest.fixture(scope="module")
def config(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("killed")
    return {
        "db": str(world.build(folder, [world.prompt(i) for i in range(3)])),
        "model": str(tiny_folder), "labels": "auto", "steps": 8, "batch": 2, "rank": 2,
        "lr": 1e-2, "save_every": 3, "evaluate_every": 5, "grid": 0, "held_out": 0.0,
        "device": "cpu", "auto_beta": 0.3, "plan": "none", "out": str(folder / "runs"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def whole(config: dict[str, Any]) -> Path:
    return train(config)


def train(config: dict[str, Any]) -> Path:
    return Path(dpo.run(dpo.Config(**config)).folder)


def logged(out: Path) -> int:
    return sum(len(file.read_text().splitlines()) for file in out.glob("*/metrics.jsonl"))


def test_at_a_random_step_it_resumes_to_the_same_bytes(
    config: dict[str, Any], whole: Path, tmp_path: Path, root: Path
) -> None:
    out = tmp_path / "cut"
    step = random.SystemRandom().randrange(1, 8)
    options = [
        text
        for name, value in (config | {"out": str(out)}).items()
        for text in (f"--{name.replace('_', '-')}", str(value))
    ]
    child = subprocess.Popen(
        [sys.executable, "-m", "train.dpo", *options],
        cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while child.poll() is None and logged(out) < step:
        time.sleep(0.001)
    child.kill()
    assert child.wait() == -9, f"the child was done before line {step}"
    (cut,) = out.iterdir()
    with (cut / "metrics.jsonl").open("a") as file:
        file.write('{"step": 11, "split": "tr')  # a kill may also come within a line
    assert dpo.main(["--resume", str(cut)]) == 0
    for name in (f"adapter/{WEIGHTS}", "metrics.jsonl"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), f"killed at line {step}"

"""`train.dpo` under DeepSpeed's ZeRO-2 on two gloo processes trains what DDP trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train import world
from train.policy import WEIGHTS

pytest.importorskip("deepspeed", reason="DeepSpeed is not installed: pip install deepspeed")
WAYS = (("2", 0), ("zero", 0), ("zero", 1))


@pytest.fixture(scope="module")
def left(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every process of `tests.train.deepspeed_ranks` left behind."""
    folder = tmp_path_factory.mktemp("deepspeed")
    db = world.build(folder, [world.prompt(i) for i in range(6)])
    program = [sys.executable, "-m", "tests.train.deepspeed_ranks"]
    done = subprocess.run(
        [*program, str(tiny_folder), str(db), str(folder)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def found(left: Path, name: str) -> dict[str, Any]:
    return torch.load(left / f"{name}.pt")


def run(left: Path, name: str) -> Path:
    (folder,) = (left / name).glob("dpo-*")
    return folder


@pytest.mark.parametrize("micro", [1, 2])
def test_steps_as_ddp_does_with_equal_adapters(left: Path, micro: int) -> None:
    ddp, one, other = (found(left, f"{name}-{micro}-{i}") for name, i in WAYS)
    assert not one["gradients"]  # DeepSpeed has taken them: it did step
    for mine, theirs in zip(ddp["metrics"], one["metrics"], strict=True):
        assert theirs["loss"] == pytest.approx(mine["loss"], rel=2e-4)
        assert theirs["gradient"] == pytest.approx(mine["gradient"], rel=2e-3)
    for name, value in ddp["state"].items():
        assert torch.allclose(one["state"][name], value, atol=1e-4)
        assert torch.equal(one["state"][name], other["state"][name])


@pytest.mark.parametrize("rank", [0, 1])
def test_the_optimizer_goes_on_where_it_was(left: Path, rank: int) -> None:
    first, again = found(left, f"zero-1-{rank}")["resumed"]
    assert again == first


def test_a_run_whose_process_was_killed_resumes_to_the_same_bytes(left: Path) -> None:
    whole, cut = run(left, "whole"), run(left, "cut")
    for name in (f"adapter/{WEIGHTS}", "metrics.jsonl"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()


def test_a_run_ends_where_ddp_ends(left: Path) -> None:
    ddp, zero = (
        [json.loads(line) for line in (run(left, name) / "metrics.jsonl").read_text().splitlines()]
        for name in ("ddp", "whole")
    )
    for mine, theirs in zip(ddp, zero, strict=True):
        assert theirs["loss"] == pytest.approx(mine["loss"], rel=2e-4)
    state = torch.load(run(left, "whole") / "state" / "latest.pt", weights_only=True)
    assert len(state["optimizer"]["parts"]) == 2

"""Several processes train what one would: real DDP and FSDP2 over gloo, on the tiny model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser

from data.errors import UserError
from tests.train import world
from train.policy import WEIGHTS
from train.run import distributed
from train.run.distributed import ALONE, Group

CONFIGS = Path(distributed.__file__).parents[1] / "configs"
ESS = (0.5 + 2 + 1 + 3) ** 2 / (0.25 + 4 + 1 + 9)  # 42.25 / 14.25 = 2.96...


@pytest.fixture(scope="module")
def left(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every process of `tests.train.ranks` left behind."""
    folder = tmp_path_factory.mktemp("ranks")
    db = world.build(folder, [world.prompt(i) for i in range(6)])
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.ranks", str(tiny_folder), str(db), str(folder)],
        cwd=root, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def found(left: Path, name: str) -> dict[str, Any]:
    return torch.load(left / f"{name}.pt")


MANY = ("2-1-0", "2-1-1", "4-1-0", "4-1-1", "4-1-2", "4-1-3", "sharded-1-0", "sharded-1-1")


class TestTheSameStep:
    """Named processes-micro-rank; four pairs of weights 0.5, 2, 1 and 3 in all."""

    @pytest.mark.parametrize("name", MANY)
    def test_has_the_gradient_of_one_process(self, left: Path, name: str) -> None:
        alone, shared = (found(left, one)["gradients"] for one in ("1-4-0", name))
        assert max(gradient.abs().max() for gradient in alone) > 0.1
        for one, other in zip(alone, shared, strict=True):
            assert torch.allclose(one, other, atol=1e-6)

    @pytest.mark.parametrize("name", MANY)
    def test_and_its_weighted_loss(self, left: Path, name: str) -> None:
        alone, shared = (found(left, one)["metrics"] for one in ("1-4-0", name))
        assert shared[0]["loss"] == alone[0]["loss"]  # ln 2 times the mean weight, 1.625
        for one, other in zip(alone, shared, strict=True):
            assert other["loss"] == pytest.approx(one["loss"], rel=2e-4)
            assert other["gradient"] == pytest.approx(one["gradient"], rel=2e-3)
            assert other["ess"] == pytest.approx(ESS)

    @pytest.mark.parametrize("size", ["2", "4", "sharded"])
    def test_leaves_equal_adapters_everywhere(self, left: Path, size: str) -> None:
        ranks = 4 if size == "4" else 2
        states = [found(left, f"{size}-1-{rank}")["state"] for rank in range(ranks)]
        for other in states[1:]:
            assert all(torch.equal(states[0][name], other[name]) for name in states[0])


class TestAKilledProcess:
    def test_leaves_a_state_that_resumes_to_the_same_bytes(self, left: Path) -> None:
        (whole,), (cut,) = ((left / name).glob("dpo-*") for name in ("whole", "cut"))
        name = f"adapter/{WEIGHTS}"
        assert (cut / name).read_bytes() == (whole / name).read_bytes()
        assert (cut / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()

    def test_and_one_process_alone_wrote(self, left: Path) -> None:
        (whole,) = (left / "whole").glob("dpo-*")
        steps = (whole / "metrics.jsonl").read_text().splitlines()
        assert len(steps) == len(set(steps)) == 4 + 3  # updates 0..3, evaluations at 0, 2, 4
        assert len(list((left / "whole").iterdir())) == 1

    @pytest.mark.parametrize("rank", [0, 1])
    def test_a_sharded_state_resumes(self, left: Path, rank: int) -> None:
        first, again = found(left, f"sharded-1-{rank}")["resumed"]
        assert again == first

    def test_all_weights_are_trained_sharded_and_saved_whole(self, left: Path) -> None:
        """The run itself compares what it saved, loaded into a fresh pipeline."""
        (run,) = (left / "full").glob("dpo-*")
        assert (run / "adapter" / "transformer" / "config.json").is_file()
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert lines[-1]["weights"] > 0 == lines[0]["weights"]

    def test_a_sharded_state_is_whole_in_the_file(self, left: Path) -> None:
        state = torch.load(left / "sharded-1-0" / "latest.pt", weights_only=True)
        alone = found(left, "1-4-0")["state"]
        shapes = {name: value.shape for name, value in state["adapter"].items()}
        assert shapes == {name: value.shape for name, value in alone.items()}


class TestShares:
    def test_are_equally_long_blocks(self) -> None:
        assert [Group(rank, 2).share("abcd") for rank in range(2)] == [["a", "b"], ["c", "d"]]
        # 5 by 3: two each, the last item again where there is none left
        shares = [Group(rank, 3).share("abcde") for rank in range(3)]
        assert shares == [["a", "b"], ["c", "d"], ["e", "e"]]
        assert Group(2, 3).share("a") == ["a"]
        assert ALONE.share("abc") == ["a", "b", "c"]

    def test_of_a_step_must_be_equal(self) -> None:
        distributed.demand_equal_shares(6, Group(0, 3))
        with pytest.raises(UserError, match="must be a multiple of 4"):
            distributed.demand_equal_shares(6, Group(0, 4))


class TestConfigurationFiles:
    """As `accelerate launch --config_file` reads them."""

    @pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
    def test_are_understood(self, file: Path) -> None:
        assert load_config_from_file(str(file)).mixed_precision == "no"

    def test_fsdp2_is_version_2_by_block(self) -> None:
        arguments, *_ = _validate_launch_command(
            launch_command_parser().parse_args(
                ["--config_file", str(CONFIGS / "fsdp2.yaml"), "-m", "train.dpo"]
            )
        )
        assert (arguments.use_fsdp, arguments.fsdp_version) == (True, 2)
        assert arguments.fsdp_auto_wrap_policy == "TRANSFORMER_BASED_WRAP"
        assert arguments.fsdp_cpu_ram_efficient_loading is False or (
            arguments.fsdp_cpu_ram_efficient_loading == "False"
        )

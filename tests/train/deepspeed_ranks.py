"""`train.dpo` under DeepSpeed's ZeRO-2 on two gloo processes: run as a program.

    DS_ACCELERATOR=cpu python -m tests.train.deepspeed_ranks MODEL DB OUT

leaves what every process found in OUT, for `test_deepspeed`, and the same without DeepSpeed. The
settings are those of `train/configs/deepspeed_zero2.yaml`, as `accelerate launch` hands them on.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import deepspeed  # pyright: ignore[reportMissingImports]
import torch
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_deepspeed_cmd_env

from tests.train.ranks import CONFIG, descend, load_once, resume, together, train
from train.run import distributed

FILE = Path(distributed.__file__).parents[1] / "configs" / "deepspeed_zero2.yaml"


def _launched() -> None:
    """The environment that `accelerate launch` gives each process."""
    given = ["--config_file", str(FILE), "--num_processes", "2", "-m", "train.dpo"]
    arguments, *_ = _validate_launch_command(launch_command_parser().parse_args(given))
    arguments.deepspeed_fields_from_accelerate_config = ""  # names of what clashes with a JSON file
    _, environment = prepare_deepspeed_cmd_env(arguments)
    os.environ |= {name: environment[name] for name in environment if "ACCELERATE_" in name}


def main(model: str, db: str, out: str) -> None:
    """Every scenario, one after the other."""
    torch.set_num_threads(1)
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # else compiled; gloo does too
    load_once(model)
    config = CONFIG | {"db": db, "model": model}
    for micro in (1, 2):
        assert together(2, descend, model, out, micro) == [0, 0]
    assert together(2, train, config | {"out": f"{out}/ddp"}) == [0, 0]
    _launched()
    for micro in (1, 2):
        assert together(2, descend, model, out, micro, "zero") == [0, 0]
    assert together(2, train, config | {"out": f"{out}/whole"}) == [0, 0]
    codes = together(2, train, config | {"out": f"{out}/cut"}, 3)
    assert codes[1] == -signal.SIGKILL, codes
    assert together(2, resume, f"{out}/cut") == [0, 0]


if __name__ == "__main__":
    main(*sys.argv[1:])

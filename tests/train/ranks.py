"""Training on several gloo processes: run as a program, so that they are forked from a clean one.

    python -m tests.train.ranks MODEL DB OUT

leaves what every process found in OUT, for `test_distributed`. One program does it all: the
imports are most of the time.
"""

from __future__ import annotations

import copy
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from data.records import Preference
from train import bank, dpo, models
from train.policy import attach
from train.preference import loop, passes
from train.preference.batches import Material
from train.preference.objective import Objective
from train.preference.reference import ReferenceErrors, in_parts
from train.run import distributed
from train.run.sharded import whole

WEIGHTS = (0.5, 2.0, 1.0, 3.0)
STEPS = 3
PROMPT = "a red circle moving left"


def together(size: int, work: Callable[..., None], *given: Any) -> list[int | None]:
    """Runs `work(*given)` in `size` processes; their exit codes."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    done = context.Barrier(size)
    processes = [
        context.Process(target=_rank, args=(rank, size, port, done, work, given))
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def _rank(
    rank: int, size: int, port: int, done: Any, work: Callable[..., None], given: Any
) -> None:
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size),
        "MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true",
    }  # fmt: skip
    work(*given)
    done.wait(60)  # gloo resets the connection of a process that still reads when another exits


def descend(model_folder: str, out: str, micro: int, sharded: bool = False) -> None:
    """A few steps on four pairs; each process leaves its metrics, first gradient and weights."""
    group = distributed.join("cpu")
    if sharded:
        _pretend_fsdp2(group)
    model = models.load(model_folder, device="cpu")
    policy = attach(model, rank=2, alpha=2, seed=0)
    shape = model.latent_shape(model.sample_defaults)
    clips = [f"{pair}{side}" for pair in range(4) for side in "ab"]
    material = Material(
        latents={clip: bank.noise("clips", clip, 0, shape) for clip in clips},
        conditions={"p": model.embed([PROMPT])},
    )
    labels = [
        Preference(
            pair=str(pair), prompt="p", chosen=f"{pair}a", rejected=f"{pair}b", probability=0.9,
            weight=weight, source="auto",
        )
        for pair, weight in enumerate(WEIGHTS)
    ]  # fmt: skip
    objective, known = Objective(), ReferenceErrors()
    optimizer = torch.optim.AdamW(policy.parameters, lr=1e-2)
    descent = passes.prepare(policy, optimizer, group, objective)

    def update(step: int) -> dict[str, float]:
        some, epochs = (group.share(each) for each in loop.pick(labels, step, 4, 0))
        parts = in_parts(policy, objective, material, known, some, epochs, size=micro, bank_seed=0)
        return loop.update(descent, parts, 1000.0, pairs=len(some))

    found = [update(0)]
    gradients = [whole(weight.grad).clone() for weight in policy.parameters]
    found += [update(step) for step in range(1, STEPS)]
    named = f"{'sharded' if sharded else group.size}-{micro}-{group.rank}"
    left = {"metrics": found, "gradients": gradients, "state": policy.state()}
    if sharded:
        left["resumed"] = _again(descent, Path(out) / named, lambda: update(STEPS))
    torch.save(left, Path(out) / f"{named}.pt")


def _again(
    descent: passes.Descent, folder: Path, update: Callable[[], dict[str, float]]
) -> list[dict[str, float]]:
    """A step after saving, and the same step after loading what process 0 saved."""
    loop.save_state(folder, STEPS, descent.policy, descent.optimizer, "labels")
    first = update()
    kept = folder.with_name(f"{folder.name[:-1]}0")
    assert loop.load_state(kept, descent.policy, descent.optimizer, "labels") == STEPS
    return [first, update()]


def train(config: dict[str, Any], killed_at: int | None = None, sharded: bool = False) -> None:
    """`train.dpo`; process 1 is killed before its update number `killed_at`."""
    _killing(killed_at)
    if sharded:
        join = distributed.join
        distributed.join = lambda device="auto": _pretend_fsdp2(join(device))
    dpo.run(dpo.Config(**config))


def resume(out: str) -> None:
    """`train.dpo --resume` of the one run in a folder."""
    (run,) = Path(out).iterdir()
    dpo.resume(str(run))


def _killing(step: int | None) -> None:
    update, count = loop.update, iter(range(100))

    def dying(*arguments: Any, **named: Any) -> Any:
        if next(count) == step and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        return update(*arguments, **named)

    loop.update = dying


def _pretend_fsdp2(group: distributed.Group) -> distributed.Group:
    """accelerate has FSDP2 on accelerators only; its code runs on gloo where it is told to."""
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    state = group.accelerator.state
    state.distributed_type = DistributedType.FSDP
    PartialState._shared_state["distributed_type"] = DistributedType.FSDP
    state.fsdp_plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap", cpu_ram_efficient_loading=False
    )
    return group


def main(model: str, db: str, out: str) -> None:
    """Every scenario, one after the other."""
    torch.set_num_threads(1)
    loaded = models.load(model, device="cpu")  # once, before there are processes
    models.load = lambda *_, **__: copy.deepcopy(loaded)
    for size, micro in ((1, 4), (2, 2), (2, 1), (4, 1)):
        assert together(size, descend, model, out, micro) == [0] * size
    assert together(2, descend, model, out, 1, True) == [0, 0]
    config = {
        "db": db, "model": model, "labels": "auto", "steps": 4, "batch": 4, "rank": 2, "lr": 1e-2,
        "save_every": 2, "evaluate_every": 2, "grid": 0, "held_out": 0.0, "device": "cpu",
        "cache": "none",
    }  # fmt: skip
    assert together(2, train, config | {"out": f"{out}/whole"}) == [0, 0]
    full = {"out": f"{out}/full", "train": "full", "steps": 2}
    assert together(2, train, config | full, None, True) == [0, 0]
    codes = together(2, train, config | {"out": f"{out}/cut"}, 3)
    assert codes[1] == -signal.SIGKILL, codes
    assert together(2, resume, f"{out}/cut") == [0, 0]


if __name__ == "__main__":
    main(*sys.argv[1:])

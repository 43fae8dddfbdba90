"""Training on several gloo processes: run as a program, so that they are forked from a clean one.

    python -m tests.train.ranks MODEL DB OUT

leaves what every process found in OUT, for `test_distributed`. One program does it all: the
imports are most of the time.
"""

from __future__ import annotations

import copy
import importlib
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from data.errors import UserError
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
CONFIG: dict[str, Any] = {
    "labels": "auto", "steps": 4, "batch": 4, "rank": 2, "lr": 1e-2, "save_every": 2,
    "evaluate_every": 2, "grid": 0, "held_out": 0.0, "device": "cpu", "cache": "none",
    "plan": "none",
}  # fmt: skip
"""Of `train.dpo`."""
LAZY = ("accelerate", "pandas", "train.preference.dpo_parts", "train.run.card", "train.run.export")
"""What `train.dpo` imports late (pyarrow imports pandas): once here, not in every process."""


def together(size: int, work: Callable[..., None], *given: Any) -> list[int | None]:
    """Runs `work(*given)` in `size` processes; their exit codes."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_rank, args=(rank, size, port, work, given)) for rank in range(size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def _rank(rank: int, size: int, port: int, work: Callable[..., None], given: Any) -> None:
    torch.set_num_threads(1)  # a fork's pool is made anew: by one thread, not by autograd's at once
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size),
        "MASTER_ADDR": "localhost", "MASTER_PORT": str(port),
        "ACCELERATE_USE_CPU": str("ACCELERATE_USE_DEEPSPEED" not in os.environ),
    }  # fmt: skip
    work(*given)


def descend(model_folder: str, out: str, micro: int, way: str = "") -> None:
    """A few steps on four pairs; each process leaves its metrics, first gradient and weights."""
    group = distributed.join("cpu")
    if way == "sharded":
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
        picked, epochs = loop.pick(labels, step, 4, 0)
        some, epochs = group.share(picked), group.share(epochs)
        parts = in_parts(policy, objective, material, known, some, epochs, size=micro, bank_seed=0)
        return loop.update(descent, parts, 1000.0, pairs=len(some))

    found = [update(0)]
    gradients = [whole(w.grad).clone() for w in policy.parameters if w.grad is not None]
    found += [update(step) for step in range(1, STEPS)]
    named = f"{way or group.size}-{micro}-{group.rank}"
    state = {name: value.clone() for name, value in policy.state().items()}  # before `_again`
    left = {"metrics": found, "gradients": gradients, "state": state}
    if way:
        left["resumed"] = _again(descent, Path(out) / named, lambda: update(STEPS))
    torch.save(left, Path(out) / f"{named}.pt")
    group.end()


def end(out: str, code: int) -> None:
    """Process 0 comes late, or leaves with an exit code; the other waits, or leaves with 4."""
    group = distributed.join("cpu")
    late = Path(out) / "late"
    if group.main:
        time.sleep(0.5)
        if code:
            raise SystemExit(code)
        late.touch()
    try:
        group.end()
    except UserError:
        raise SystemExit(4) from None
    assert late.exists()


def _again(
    descent: passes.Descent, folder: Path, update: Callable[[], dict[str, float]]
) -> list[list[dict[str, float]]]:
    """Two steps after saving, and the same after loading what process 0 saved.

    The second shows what the first one did with the optimizer's state.
    """
    loop.save_state(folder, STEPS, descent.policy, descent.optimizer, "labels")
    first = [update(), update()]
    kept = folder.with_name(f"{folder.name[:-1]}0")
    assert loop.load_state(kept, descent.policy, descent.optimizer, "labels") == STEPS
    return [first, [update(), update()]]


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


def load_once(model: str) -> None:
    """Loads the model, and what a run imports, before there are processes."""
    for name in LAZY:
        importlib.import_module(name)
    loaded = models.load(model, device="cpu")
    models.load = lambda *_, **__: copy.deepcopy(loaded)


def main(model: str, db: str, out: str) -> None:
    """Every scenario, one after the other."""
    torch.set_num_threads(1)
    load_once(model)
    for size, micro in ((1, 4), (2, 1), (4, 1)):
        assert together(size, descend, model, out, micro) == [0] * size
    assert together(2, descend, model, out, 1, "sharded") == [0, 0]
    assert together(2, end, out, 3) == [3, 4]
    assert together(2, end, out, 0) == [0, 0]
    config = CONFIG | {"db": db, "model": model}
    assert together(2, train, config | {"out": f"{out}/whole"}) == [0, 0]
    full = {"out": f"{out}/full", "train": "full", "steps": 2}
    assert together(2, train, config | full, None, True) == [0, 0]
    codes = together(2, train, config | {"out": f"{out}/cut"}, 3)
    assert codes[1] == -signal.SIGKILL, codes
    assert together(2, resume, f"{out}/cut") == [0, 0]


if __name__ == "__main__":
    main(*sys.argv[1:])

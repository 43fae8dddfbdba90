"""Rewards' gradients on several gloo processes: run as a program, for `test_reward_run`.

    python -m tests.train.reward_ranks MODEL OUT DB

leaves what every process found in OUT.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch

import scorers
from tests.train.bright import Brightness
from tests.train.ranks import together
from train import ddpo
from train.policy import Policy
from train.reward import ascent, reward_run, trajectory, vader_config
from train.run import distributed

TEXTS = ["a red circle moving left", "a blue square", "a red square", "a blue circle"]
WAYS: dict[str, dict[str, Any]] = {
    "last": {"k": 2},
    "drawn": {"backprop": "random", "eta": 0.5, "score_frames": "random", "micro": 1},
}


def climb(model: str, out: str, way: str) -> None:
    """Two updates on four clips; each process leaves its first gradient, metrics and weights."""
    scorers.load_reward = lambda name, **_: Brightness()  # pyright: ignore
    config = vader_config.Config(
        model=model,
        reward="bright",
        batch=4,
        rank=2,
        lr=1e-2,
        device="cpu",
        plan="none",
        **WAYS[way],
    )
    group = distributed.join("cpu")
    parts = reward_run.rolling(config, group, TEXTS)
    descent = ascent.prepare(parts.rolled, parts.policy, parts.optimizer, group)
    found = [ascent.update(descent, parts.rolled, config, ascent.drawn(TEXTS, 0, config))]
    gradients = [w.grad.clone() for w in parts.policy.parameters if w.grad is not None]
    found.append(ascent.update(descent, parts.rolled, config, ascent.drawn(TEXTS, 1, config)))
    left = {"metrics": found, "gradients": gradients, "state": parts.policy.state()}
    torch.save(left, Path(out) / f"{way}-{group.size}-{group.rank}.pt")
    group.end()


def follow(model: str, out: str, db: str) -> None:
    """Two steps of DDPO on four clips by the command; each process leaves what it ends with."""
    scorers.load = lambda name, **_: Brightness()  # pyright: ignore
    config = ddpo.Config(
        db=db, model=model, reward="bright", steps=2, batch=4, rank=2, lr=1e-2, grid=0,
        device="cpu", out=f"{out}/runs-{os.environ['WORLD_SIZE']}", save_every=2,
    )  # fmt: skip
    kept: dict[str, Any] = {"gradients": [], "metrics": []}
    update, join = trajectory.update, trajectory._join

    def updated(policy: Policy, *given: Any, **named: Any) -> dict[str, float]:
        found = update(policy, *given, **named)
        kept["metrics"].append(found)
        kept["state"] = policy.state()
        return found

    def joined(weights: list[torch.nn.Parameter], group: distributed.Group) -> None:
        join(weights, group)
        grads = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
        kept["gradients"].append(torch.cat([one.flatten() for one in grads]))

    trajectory.update, trajectory._join = updated, joined
    ddpo.run(config)
    torch.save(kept, Path(out) / f"ddpo-{config.out[-1]}-{os.environ['RANK']}.pt")


def main(model: str, out: str, db: str) -> None:
    """Every way, in one process and in two; the database is of who calls (it has threads)."""
    torch.set_num_threads(1)
    for size in (1, 2):
        for way in WAYS:
            assert together(size, climb, model, out, way) == [0] * size
        assert together(size, follow, model, out, db) == [0] * size


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Rewards' gradients on several gloo processes: run as a program, for `test_reward_run`.

    python -m tests.train.reward_ranks MODEL OUT

leaves what every process found in OUT.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

import scorers
from tests.train.bright import Brightness
from tests.train.ranks import together
from train.reward import ascent, reward_run, vader_config
from train.run import distributed

TEXTS = ["a red circle moving left", "a blue square", "a red square", "a blue circle"]
WAYS: dict[str, dict[str, Any]] = {
    "last": {"k": 2},
    "drawn": {"backprop": "random", "eta": 0.5, "score_frames": "random", "micro": 1},
}


def climb(model: str, out: str, way: str) -> None:
    """Two updates on four clips; each process leaves its first gradient, metrics and weights."""
    scorers.load_reward = lambda name, *, device: Brightness()  # pyright: ignore
    config = vader_config.Config(
        model=model, reward="bright", batch=4, rank=2, lr=1e-2, device="cpu", **WAYS[way]
    )
    group = distributed.join("cpu")
    parts = reward_run.prepared(config, group, TEXTS)
    optimizer = torch.optim.AdamW(parts.policy.parameters, lr=config.lr)
    descent = ascent.prepare(parts.rolled, parts.policy, optimizer, group)
    found = [ascent.update(descent, parts.rolled, config, ascent.drawn(TEXTS, 0, config))]
    gradients = [w.grad.clone() for w in parts.policy.parameters if w.grad is not None]
    found.append(ascent.update(descent, parts.rolled, config, ascent.drawn(TEXTS, 1, config)))
    left = {"metrics": found, "gradients": gradients, "state": parts.policy.state()}
    torch.save(left, Path(out) / f"{way}-{group.size}-{group.rank}.pt")


def main(model: str, out: str) -> None:
    """Every way, in one process and in two."""
    torch.set_num_threads(1)
    for way in WAYS:
        for size in (1, 2):
            assert together(size, climb, model, out, way) == [0] * size


if __name__ == "__main__":
    main(*sys.argv[1:])

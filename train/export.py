"""The end of a training run: save the adapter, prove that it loads, and show what it does.

An adapter is done when it makes a freshly loaded pipeline predict what the policy in memory
predicts. Users of other trainers report adapters that load without effect, or at another scale;
here that is an error.

Left out on purpose: merging the adapter into the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from data.console import say
from train.grid import Grid
from train.models import SampleSettings
from train.policy import WEIGHTS, Policy, Reloaded, compare_with_fresh
from train.runs import RunFolder

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
"""Largest difference of predictions (of order 1) that a reloaded adapter may have, by precision."""


def export(
    policy: Policy,
    run: RunFolder,
    *,
    prompts: Sequence[str],
    settings: SampleSettings,
    seed: int,
    shown: int,
) -> Reloaded:
    """Saves, reloads, compares; samples before and after; says where everything is.

    Args:
        policy: Trained.
        run: Its open run.
        prompts: At least one; the first is compared at, the first `shown` are sampled.
        settings: Of the sampler.
        seed: Of the samples.
        shown: How many prompts to sample; 0 for none.

    Raises:
        RuntimeError: The reloaded adapter predicts something else: a bug, not a user's error.
    """
    policy.save(run.adapter)
    reloaded = compare_with_fresh(policy, run.adapter, prompts[0])
    limit = TOLERANCE[policy.model.dtype]
    if not reloaded.difference <= limit:
        raise RuntimeError(
            f"The adapter in {run.adapter}, loaded into a fresh {policy.model.name}, predicts up "
            f"to {reloaded.difference:.3g} apart from the trained policy; allowed is {limit:g}."
        )
    if shown:
        sheet = Grid(policy, prompts[:shown], settings, run.samples, seed=seed).last()
        say(f"Before and after at the same seeds: {sheet}")
    say(
        f"Loaded into a fresh pipeline, the adapter predicts the same: largest difference "
        f"{reloaded.difference:.2g} (to the base model {reloaded.drift:.2g})."
    )
    source, dtype = policy.model.source, policy.model.dtype
    say(f"Adapter: {run.adapter}")
    say(f'    pipe = DiffusionPipeline.from_pretrained("{source}", dtype={dtype})')
    for line in loading(run.adapter):
        say(f"    {line}")
    return reloaded


def loading(adapter: Path) -> list[str]:
    """The lines of Python that put what was saved into a diffusers pipeline `pipe`."""
    if (adapter / WEIGHTS).is_file():
        return [f'pipe.load_lora_weights("{adapter}")']
    parts = sorted({path.parent for path in adapter.glob("*/*.safetensors")})
    return [
        f'pipe.{part.name} = type(pipe.{part.name}).from_pretrained("{part}")' for part in parts
    ]

"""The end of a training run: save the adapter, prove that it loads, and show what it does.

An adapter is done when it makes a freshly loaded pipeline predict what the policy in memory
predicts. Users of other trainers report adapters that load without effect, or at another scale;
here that is an error.

Left out on purpose: merging the adapter into the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import diffusers
import torch

from data.console import say
from train.models import SampleSettings, VideoModel
from train.policy import WEIGHTS, Policy, Reloaded, compare_with_fresh
from train.run.grid import Grid
from train.run.runs import RunFolder

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
    say(f"Adapter: {run.adapter}")
    for line in loading(run.adapter, policy.model):
        say(f"    {line}")
    return reloaded


def loading(adapter: Path, model: VideoModel) -> list[str]:
    """Python that loads what was saved: by diffusers alone where that can be, else by our own."""
    parts = sorted({path.parent for path in adapter.glob("*/*.safetensors")})
    lines = [
        f'pipe.{part.name} = type(pipe.{part.name}).from_pretrained("{part}")' for part in parts
    ]
    if (adapter / WEIGHTS).is_file():
        lines = model.lora.usage(adapter, WEIGHTS)
    if lines and hasattr(diffusers, type(model.pipeline).__name__):
        load = f'pipe = DiffusionPipeline.from_pretrained("{model.source}", dtype={model.dtype})'
        return ["import torch", "from diffusers import DiffusionPipeline", "", load, *lines]
    return [
        "from pathlib import Path", "from train import models, policy", "",
        f'model = models.load("{model.source}")', f'policy.load(model, Path("{adapter}"))',
    ]  # fmt: skip

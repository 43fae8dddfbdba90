"""Frames through a network a few at a time, with recomputation instead of memory where wanted.

A clip has more frames than a large network takes at once. Without gradients that only bounds
memory; with them, each group of frames is checkpointed: its activations are dropped and computed
again on the way back, so that memory is that of one group, whatever the number of frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

AT_ONCE = 32
"""Frames per pass without gradients."""
IN_CACHE = 2**16
"""Pixels per pass of what is done pixel by pixel: its steps find them in a core's own cache."""
WITH_GRADIENTS = 4
"""Frames per checkpointed pass."""


def in_groups(
    network: Callable[[Tensor], Tensor], frames: Tensor, at_once: int = AT_ONCE
) -> Tensor:
    """`network` over the first dimension of `frames`, group by group, joined again."""
    grads = torch.is_grad_enabled() and frames.requires_grad
    size = min(at_once, WITH_GRADIENTS) if grads else at_once
    groups = frames.split(size)
    if not grads:
        return torch.cat([network(group) for group in groups])
    kept = [checkpoint(network, group, use_reentrant=False) for group in groups]
    return torch.cat(cast("list[Tensor]", kept))


def per_frame(
    network: Callable[[Tensor], Tensor], frames: Float[Tensor, "b t c h w"], at_once: int = AT_ONCE
) -> Float[Tensor, "b t *k"]:
    """`network` on every frame of every clip, by clip and frame again."""
    return in_groups(network, frames.flatten(0, 1), at_once).unflatten(0, frames.shape[:2])


def per_pixel(
    measure: Callable[[Tensor], Tensor], frames: Float[Tensor, "b t c h w"]
) -> Float[Tensor, "b t *k"]:
    """`measure`, which works pixel by pixel, on every frame, as many at once as stay in cache."""
    return per_frame(measure, frames, max(1, IN_CACHE // frames[0, 0, 0].numel()))

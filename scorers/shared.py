"""What several scorers make of the same frames, made once: levels, sizes, features of a backbone.

    with sharing():
        for judge in judges:
            judge(frames, prompts, fps)

Scorers stay functions of the frames: inside `sharing` the second one that asks for a thing is given
what the first one made, outside of it everybody makes their own, and the numbers are the same bit
for bit. What was made is kept for as long as the block lasts, per thread; a block within a block is
part of it. It is found by the very tensor (not by its values), by whether gradients are wanted, and
by a key that says everything else that it depends on. Gradients add up in what is shared.

A checkpoint that is made again after the block has ended makes what it was given too, and PyTorch
refuses that: open the block inside the checkpoint, around all that share.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

Made = TypeVar("Made")
_MADE: ContextVar[dict[Hashable, tuple[Tensor, Any]] | None] = ContextVar("made", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """Inside, what `once` makes of a tensor is made once."""
    if _MADE.get() is not None:
        yield
        return
    token = _MADE.set({})
    try:
        yield
    finally:
        _MADE.reset(token)


def once(frames: Tensor, key: Hashable, make: Callable[[], Made]) -> Made:
    """What `make` gives, or what it gave for these frames and this key before."""
    made = _MADE.get()
    if made is None:
        return make()
    place = (id(frames), torch.is_grad_enabled(), key)
    if place not in made:
        made[place] = frames, make()  # the frames too: as long as they live their id is theirs
    return made[place][1]


def levels(frames: Float[Tensor, "b t c h w"]) -> UInt8[np.ndarray, "b t h w c"]:
    """Frames in [0, 1] as whole levels 0 to 255 on the CPU, without gradients: for OpenCV."""
    return once(frames, "levels", lambda: _levels(frames))


def _levels(frames: Float[Tensor, "b t c h w"]) -> UInt8[np.ndarray, "b t h w c"]:
    whole = (frames.detach().clamp(0, 1) * 255).round().byte()
    return whole.permute(0, 1, 3, 4, 2).cpu().numpy()

"""Clips for scorers, made from nothing: drawn scenes, noise, and what can be wrong with a clip."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from data import shapes

PROMPT = "a red circle moving right slowly on a white background"


def tensor(clip: np.ndarray) -> Float[Tensor, "b t c h w"]:
    """A uint8 clip `t h w c` as a batch of one in [0, 1]."""
    return torch.from_numpy(clip).permute(0, 3, 1, 2)[None].float() / 255


def drawn(*, frames: int = 9, size: int = 48, **words: str) -> Float[Tensor, "b t c h w"]:
    """A drawn scene; `words` change its attributes."""
    stated = shapes.parse(PROMPT) | {"size": "big"} | words
    return tensor(shapes.render(shapes.place(stated, np.random.default_rng(0)), frames, size))


def noise(*shape: int, seed: int = 0) -> Float[Tensor, "b t c h w"]:
    """Independent uniform values."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def noisy(frames: Float[Tensor, "b t c h w"], sigma: float) -> Float[Tensor, "b t c h w"]:
    """Gaussian noise of standard deviation `sigma` (of the range) on top."""
    draw = torch.randn(frames.shape, generator=torch.Generator().manual_seed(1))
    return (frames + sigma * draw).clamp(0, 1)


def panned(frames: int, shift: int, *, size: int = 128) -> Float[Tensor, "b t c h w"]:
    """A smooth random texture that moves `shift` px to the right per frame, wrapping around."""
    coarse = noise(1, 3, size // 8, size // 8)
    texture = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)
    return torch.stack([texture.roll(shift * step, -1) for step in range(frames)], 1)

"""Copies of a clip that are surely worse, or surely the same: pure functions on frames.

A gold pair needs an answer that nobody careful disputes. So each spoils what a person looks for
first, and says so when the clip gives nothing to spoil: a clip that stands still is not worse
frozen. Pure: NumPy, no IO; random order by seed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

Frames = UInt8[np.ndarray, "t h w 3"]
SEEN = 1.0
"""Mean absolute difference of a frame, of 255, above which somebody sees it, on small clips too."""
BLUR = 8
"""A blurred clip keeps details of about one part in this of its shorter side."""
_PASSES = 3  # three box blurs are nearly a Gaussian


def frozen(frames: Frames, seed: int = 0) -> Frames:
    """The first frame throughout."""
    del seed
    return np.repeat(frames[:1], len(frames), axis=0)


def shuffled(frames: Frames, seed: int = 0) -> Frames:
    """The same frames in an order by `seed`, in which few neighbours stay neighbours."""
    orders = (np.random.default_rng([seed, n]).permutation(len(frames)) for n in range(16))
    return frames[min(orders, key=_neighbours)]


def _neighbours(order: np.ndarray) -> int:
    return int(np.count_nonzero(np.diff(order) == 1))


def blurred(frames: Frames, seed: int = 0) -> Frames:
    """Every frame out of focus: three box blurs of the shorter side over `BLUR`."""
    del seed
    reach = max(1, round(min(frames.shape[1:3]) / BLUR / 2))
    soft = frames.astype(np.float32)
    for _ in range(_PASSES):
        soft = _box(_box(soft, reach, axis=1), reach, axis=2)
    return np.clip(np.rint(soft), 0, 255).astype(np.uint8)


def _box(values: np.ndarray, reach: int, *, axis: int) -> np.ndarray:
    """Mean over 2 `reach` + 1 neighbours along `axis`; the edge is repeated."""
    width = 2 * reach + 1
    pad = [(reach + 1, reach) if at == axis else (0, 0) for at in range(values.ndim)]
    total = np.cumsum(np.pad(values, pad, mode="edge"), axis=axis, dtype=np.float64)
    size = values.shape[axis]
    ends = np.take(total, range(width, width + size), axis=axis)
    starts = np.take(total, range(size), axis=axis)
    return ((ends - starts) / width).astype(np.float32)


SPOILED: dict[str, Callable[[Frames, int], Frames]] = {
    "frozen": frozen,
    "shuffled": shuffled,
    "blurred": blurred,
}
"""Ways to spoil a clip, by name."""


def seen(before: Frames, after: Frames) -> bool:
    """Whether the difference of two clips of one size is one that a person notices."""
    apart = np.abs(before.astype(np.int16) - after.astype(np.int16))
    return float(apart.mean(axis=(1, 2, 3)).max()) > SEEN

"""Movement, its smoothness and flicker along it, from one optical flow pass without weights.

Flow is OpenCV's DIS (Kroeger et al. 2016) between neighbouring frames, forth and back, on luminance
with the shorter side at 256 px, where VBench's threshold is 6 px. All three measures read the same
flows:

- `dynamic_degree`: speed of the fastest 5 % of pixels in px per 1/8 s, mean over pairs, over 6 px.
VBench
  (RAFT, `dynamic_degree.py`) thins the clip to about 8 frames per second and turns the same number
  into yes or no at 1; a yes or no cannot rank candidates.
- `motion_smoothness`: with F the flow to the next and B the flow to the previous frame, steady
motion has
  F = -B at every pixel. 1 - |F + B| / (|F| + |B| + 1 px), means over the 5 % of pixels that move
  most. In [0, 1] by the triangle inequality. VBench interpolates frames by a network (AMT-S)
  instead.
- `temporal_flickering`: 1 minus the mean absolute difference to the next frame taken along the
flow,
  where flow forth and back agree (both frames see the point). VBench's own is in
  `scorers/flicker.py`.

Left out on purpose: telling camera from object motion. Not differentiable: OpenCV knows no
gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from scorers.protocol import Card, check
from scorers.shared import levels

SIDE, THRESHOLD, RATE = 256, 6.0, 8.0  # px, px per 1/RATE s at that side, 1/s: VBench
FASTEST = 0.05  # share of pixels, VBench
CARD = Card(
    summary="movement, smoothness, flicker along optical flow (OpenCV DIS)",
    ranges={
        "temporal_flickering": (0.0, 1.0),
        "motion_smoothness": (0.0, 1.0),
        "dynamic_degree": (0.0, float("inf")),
    },
    differentiable=False,
)
_NOTHING = float("nan")
_STILL = 1.0  # px per frame at SIDE: jitter of the flow itself is not acceleration

Field = Float[np.ndarray, "h w 2"]
Fields = Sequence[Field]  # each where DIS put it: joined they would leave the cache


def resized(clip: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t i j 3"]:
    """The clip with its shorter side at SIDE px, or at half of that if it is smaller still."""
    height, width = clip.shape[1:3]
    shorter = min(height, width)
    scale = (SIDE if shorter >= SIDE / 2 else SIDE / 2) / shorter
    size = (round(width * scale), round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, size, interpolation=method) for frame in clip])


def flows(clip: UInt8[np.ndarray, "t h w 3"]) -> tuple[list[Field], list[Field]]:
    """Flow forth (frame t to t + 1) and back (t + 1 to t), each t - 1 fields of (x, y) in px."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip]
    start: Any = None  # from nothing; DIS would go on from a field that it is given
    forth = [dis.calc(now, then, start) for now, then in pairwise(grey)]
    back = [dis.calc(then, now, start) for now, then in pairwise(grey)]
    return forth, back


@lru_cache(maxsize=8)
def _places(height: int, width: int) -> Float[np.ndarray, "h w 2"]:
    """(x, y) of every pixel."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([x, y], -1)


def along(image: np.ndarray, flow: Field) -> np.ndarray:
    """`image` read at each pixel's place moved by `flow`."""
    return _read(image, _places(*flow.shape[:2]) + flow)


def _read(image: np.ndarray, where: Field) -> np.ndarray:
    in_one: Any = None  # x and y are in one map
    return cv2.remap(image, where, in_one, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _agree(flow: Field, there: Field) -> np.ndarray:
    """Where forth and back undo each other: what both frames see (Sundaram, Brox, Keutzer 2010)."""
    both = flow + there
    both *= both
    both -= 0.01 * (flow * flow + there * there)
    return both[..., 0] + both[..., 1] <= 0.5


def _speed(field: Field) -> Float[np.ndarray, "h w"]:
    """Lengths, px."""
    return cv2.magnitude(field[..., 0], field[..., 1])


def _fastest(speed: Float[np.ndarray, "h w"]) -> np.ndarray:
    """Flat indices of the FASTEST share of pixels."""
    count = max(1, round(FASTEST * speed.size))
    flat = torch.from_numpy(speed.ravel())  # a third of the time of NumPy's argpartition
    return flat.topk(count, sorted=False).indices.numpy()


def _unit(fields: Fields) -> float:
    """Pixels of these fields per pixel at a shorter side of SIDE."""
    return min(fields[0].shape[:2]) / SIDE


def movement(forth: Fields, fps: float) -> float:
    """Speed of the fastest pixels over VBench's threshold, mean over pairs of frames."""
    speeds = map(_speed, forth)
    fastest = [speed.ravel()[_fastest(speed)].mean() for speed in speeds]
    return float(np.mean(fastest) / _unit(forth) * fps / RATE / THRESHOLD)


def smoothness(forth: Fields, back: Fields) -> float:
    """1 - acceleration over speed at the fastest pixels; mean over frames with two neighbours."""
    values, floor = [], _STILL * _unit(forth)
    for then, before in zip(forth[1:], back, strict=False):
        speed, change = _speed(then) + _speed(before), _speed(then + before)
        top = _fastest(speed)
        values.append(1 - change.ravel()[top].mean() / (speed.ravel()[top].mean() + floor))
    return float(np.mean(values)) if values else _NOTHING


def steadiness(clip: UInt8[np.ndarray, "t h w 3"], forth: Fields, back: Fields) -> float:
    """1 - mean difference along the flow over points that both frames see, mean over pairs."""
    values = []
    for now, then, flow, reverse in zip(clip, clip[1:], forth, back, strict=False):
        where = _places(*flow.shape[:2]) + flow
        seen = _agree(flow, _read(reverse, where))
        mask = seen.view(np.uint8) if seen.any() else np.ones_like(seen, np.uint8)
        difference = cv2.mean(cv2.absdiff(_read(then, where), now), mask)[:3]
        values.append(1 - np.mean(difference) / 255)
    return float(np.mean(values))


class Flow:
    """The scorer `flow`. A single frame has no motion (NaN), two have no acceleration (NaN)."""

    name, version = "flow", "1"
    dimensions = tuple(CARD.ranges)
    differentiable = CARD.differentiable

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b d"]:
        """The three measures per clip, on the CPU; `prompts` play no part."""
        del prompts
        check(frames)
        rows = [judge(clip, rate) for clip, rate in zip(levels(frames), fps, strict=True)]
        return torch.tensor(rows, dtype=torch.float32, device=frames.device)


def judge(clip: UInt8[np.ndarray, "t h w 3"], fps: float) -> tuple[float, float, float]:
    """The three measures of one clip, in the order of `CARD.ranges`."""
    if len(clip) < 2:
        return _NOTHING, _NOTHING, _NOTHING
    large = resized(clip)
    forth, back = flows(large)
    return steadiness(large, forth, back), smoothness(forth, back), movement(forth, fps)


def load(*, device: Any = "cpu", dtype: torch.dtype = torch.float32) -> Flow:
    """The scorer. It has no weights and runs on the CPU whatever `device` says."""
    del device, dtype
    return Flow()

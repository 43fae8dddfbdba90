"""Motion smoothness by leaving frames out: how well the others tell what was in between.

VBench's procedure (`vbench/motion_smoothness.py`): frames 0, 2, 4, ... are kept, the frame between
each two neighbours is made from them, cut to whole levels, and compared with the real one:
1 - mean |real - made| / 255. VBench makes it with AMT-S, whose licence forbids commercial use
(`scorers/amt.py` takes it if you bring it). Here it is made by optical flow (OpenCV DIS, that of
`scorers/flow.py`: read where the shorter side is 256 px, used at full size): both neighbours are
moved half of the way towards each other and averaged. It needs no weights, and it is named as what
it is: VBench's range 0.706 to 0.9975 was measured with AMT-S. Version 1 read the flow at full size,
which took three times as long; it put the same real clips in the same order, at most .0012 higher.

A still clip gets 1: the measure rewards stillness. Not differentiable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from scorers.flow import along, flows, resized
from scorers.protocol import Card, Measure
from scorers.shared import levels

Frame = UInt8[np.ndarray, "h w 3"]
CARD = Card(
    summary="frames left out are made again by optical flow (OpenCV DIS; VBench uses AMT-S)",
    ranges={"motion_smoothness": (0.0, 1.0)},
    differentiable=False,
)


def left_out(
    frames: Float[Tensor, "b t c h w"], made: Callable[[Frame, Frame], np.ndarray]
) -> Float[Tensor, "b d"]:
    """1 - mean difference of the odd frames to those that `made` makes of their neighbours.

    Fewer than three frames leave nothing out (NaN).
    """
    rows = [_smoothness(clip, made) for clip in levels(frames)]
    return torch.tensor(rows, dtype=torch.float32, device=frames.device)[:, None]


def _smoothness(
    clip: UInt8[np.ndarray, "t h w 3"], made: Callable[[Frame, Frame], np.ndarray]
) -> float:
    differences = [
        np.abs(real.astype(np.float32) - np.trunc(made(before, after))).mean()
        for (before, after), real in zip(pairwise(clip[::2]), clip[1::2], strict=False)
    ]
    return 1 - float(np.mean(differences)) / 255 if differences else float("nan")


def between(before: Frame, after: Frame) -> np.ndarray:
    """The frame half-way between two, 0 to 255."""
    (forth,), (back,) = flows(resized(np.stack([before, after])))
    one, other = (along(frame.astype(np.float32), _half(flow, frame.shape))
                  for frame, flow in ((before, forth), (after, back)))  # fmt: skip
    return (one + other) / 2


def _half(flow: Float[np.ndarray, "i j 2"], shape: Sequence[int]) -> Float[np.ndarray, "h w 2"]:
    """Minus half of a flow that was read at another size, for frames of this shape."""
    (height, width), (high, wide) = shape[:2], flow.shape[:2]
    scale = np.array([width / wide, height / high], np.float32)
    return cv2.resize(flow, (width, height)) * (-scale / 2)


def load(*, device: Any = "cpu", dtype: torch.dtype = torch.float32) -> Measure:
    """The scorer. It has no weights and runs on the CPU whatever `device` says."""
    del device, dtype
    values = partial(left_out, made=between)
    return Measure(name="halfway", version="2", card=CARD, values=values)

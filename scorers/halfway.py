"""Motion smoothness by leaving frames out: how well the others tell what was in between.

VBench's procedure (`vbench/motion_smoothness.py`): frames 0, 2, 4, ... are kept, the frame between
each two neighbours is made from them, cut to whole levels, and compared with the real one:
1 - mean |real - made| / 255. VBench makes it with AMT-S, whose licence forbids commercial use
(`scorers/amt.py` takes it if you bring it). Here it is made by optical flow (OpenCV DIS): both
neighbours are moved half of the way towards each other and averaged. It needs no weights, and it is
named as what it is: VBench's range 0.706 to 0.9975 was measured with AMT-S.

A still clip gets 1: the measure rewards stillness. Not differentiable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from scorers.protocol import Card, check

Frame = UInt8[np.ndarray, "h w 3"]
CARD = Card(
    summary="frames left out are made again by optical flow (OpenCV DIS; VBench uses AMT-S)",
    ranges={"motion_smoothness": (0.0, 1.0)},
    differentiable=False,
)


class Halfway:
    """The scorer `halfway`. Fewer than three frames leave nothing out (NaN)."""

    name, version = "halfway", "1"
    dimensions = tuple(CARD.ranges)
    differentiable = CARD.differentiable

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b d"]:
        """The measure per clip, on the CPU; `prompts` and `fps` play no part."""
        del prompts, fps
        return left_out(frames, between)


def left_out(
    frames: Float[Tensor, "b t c h w"], made: Callable[[Frame, Frame], np.ndarray]
) -> Float[Tensor, "b d"]:
    """1 - mean difference of the odd frames to those that `made` makes of their neighbours."""
    check(frames)
    clips = (frames.detach().clamp(0, 1) * 255).round().byte().permute(0, 1, 3, 4, 2).cpu().numpy()
    rows = [_smoothness(clip, made) for clip in clips]
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
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    one, other = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after))
    start: Any = None
    forth, back = dis.calc(one, other, start), dis.calc(other, one, start)
    height, width = one.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))

    def read(frame: Frame, flow: np.ndarray) -> np.ndarray:
        moved = (x - flow[..., 0] / 2, y - flow[..., 1] / 2)
        return cv2.remap(
            frame.astype(np.float32), *moved, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )

    return (read(before, forth) + read(after, back)) / 2


def load(*, device: Any = "cpu", dtype: torch.dtype = torch.float32) -> Halfway:
    """The scorer. It has no weights and runs on the CPU whatever `device` says."""
    del device, dtype
    return Halfway()

"""Temporal flickering as VBench measures it: 1 minus the mean difference of neighbouring frames.

VBench (`temporal_flickering.py`) takes the mean absolute difference over all pixels, channels and
pairs of neighbouring frames, over 255. On anything but a static scene that also punishes movement:
VBench runs it on videos that it first filtered to be static, and OmniScore on arbitrary prompts
runs it unfiltered. Profile `vbench` uses it as it is; `lite` uses the measure along optical flow in
`scorers/flow.py`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scorers.protocol import Card, Measure

VERSION = "1"
CARD = Card(
    summary="1 - mean difference of neighbouring frames (VBench; punishes movement)",
    ranges={"temporal_flickering": (0.0, 1.0)},
    differentiable=True,
)


def stillness(frames: Float[Tensor, "b t c h w"]) -> Float[Tensor, " b"]:
    """1 - mean |I_t - I_{t+1}| of frames in [0, 1]; in [0, 1]. One frame: NaN."""
    if frames.shape[1] < 2:
        return frames.new_full(frames.shape[:1], float("nan"))
    pairs = pairwise(frames.unbind(1))  # one at a time: they stay in the cache
    return 1 - torch.stack([(then - now).abs().flatten(1).mean(1) for now, then in pairs]).mean(0)


def _values(frames: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b d"]:
    return stillness(frames)[:, None]


def load(*, device: Any = "cpu", dtype: torch.dtype = torch.float32) -> Measure:
    """The scorer. It has no weights: `device` and `dtype` are those of the frames."""
    del device, dtype
    return Measure(name="flicker", version=VERSION, card=CARD, values=_values)

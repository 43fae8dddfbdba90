"""What a clip looks like, in numbers that need no scorer: for grids and for the watch on a reward.

All lie in [0, 1], as means over a clip: `saturated`, share of pixel values at 0 or 1; `chroma`,
largest minus smallest channel of a pixel; `fine`, distance of a pixel's luminance from the mean of
its 3 x 3 neighbourhood; `motion`, absolute difference to the next frame.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scorers.protocol import luminance


def measured(frames: Float[Tensor, "b t 3 h w"]) -> dict[str, Float[Tensor, " b"]]:
    """What needs no scorer, per clip of frames in [0, 1]."""
    luma = luminance(frames)
    around = F.avg_pool2d(luma, 3, stride=1)
    steps = frames.diff(dim=1) if frames.shape[1] > 1 else torch.zeros_like(frames)
    values = {
        "saturated": ((frames <= 0) | (frames >= 1)).float(),
        "chroma": frames.amax(2) - frames.amin(2),
        "fine": (luma[..., 1:-1, 1:-1] - around).abs(),
        "motion": steps.abs(),
    }
    return {name: value.flatten(1).mean(1) for name, value in values.items()}

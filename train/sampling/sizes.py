"""Pictures made to fit a size: centre crop to its aspect, then the average over areas.

What training does to clips that are not of the model's size, and sampling to the first images of
image-to-video, so that both see the same part of a picture.
"""

from __future__ import annotations

from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F


def covered(
    frames: UInt8[Tensor, "t c h w"], height: int, width: int
) -> Float[Tensor, "t c height width"]:
    """Frames in [0, 255] of that size (pixels); those that have it are unchanged."""
    h, w = frames.shape[2:]
    high = min(h, round(w * height / width))
    wide = min(w, round(h * width / height))
    top, left = (h - high) // 2, (w - wide) // 2
    cropped = frames[:, :, top : top + high, left : left + wide].float()
    return F.interpolate(cropped, (height, width), mode="area")

"""Colourfulness of Hasler and Süsstrunk, in place of an aesthetic predictor.

Hasler and Süsstrunk, "Measuring colourfulness in natural images" (2003), metric M3: with rg = R - G
and yb = (R + G) / 2 - B, M = sqrt(var rg + var yb) + 0.3 sqrt(mean rg ^ 2 + mean yb ^ 2) over the
pixels of a frame; the mean over frames. What differs: frames are in [0, 1], so their scale (0 not
colourful, 33 moderately, 59 quite, 82 highly, 109 extremely) is divided by 255.

It stands in for the aesthetic dimension and knows nothing of composition or subject. As a reward it
does what it says: it saturates colours.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scorers.chunks import per_pixel
from scorers.protocol import Card, Measure

# At a corner of the RGB cube rg^2 + yb^2 is at most 1 + 1/4. So with mean m the value is at most
# sqrt(1.25 - m^2) + 0.3 m, whose maximum is sqrt(1.25 * 1.09) = 1.167.
VERSION = "1"
CARD = Card(
    summary="colourfulness (Hasler and Süsstrunk 2003), frames in [0, 1]",
    ranges={"aesthetic_quality": (0.0, 1.17)},
    differentiable=True,
)
_LEAST = 1e-12  # keeps the gradient of the root finite on grey frames; 1e-6 in the result


def colourfulness(frames: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, " b"]:
    """M3 of frames in [0, 1], mean over frames; 0 for grey."""
    return per_pixel(_of_frames, frames).mean(1)


def _of_frames(frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    red, green, blue = frames.flatten(2).unbind(1)
    opponents = torch.stack([red - green, (red + green) / 2 - blue], dim=1)
    offset = opponents.mean(2, keepdim=True)
    spread = (opponents - offset).square().mean(2).sum(1)
    return (spread + _LEAST).sqrt() + 0.3 * (offset.square().sum((1, 2)) + _LEAST).sqrt()


def _values(frames: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b d"]:
    return colourfulness(frames)[:, None]


def load(*, device: Any = "cpu", dtype: torch.dtype = torch.float32) -> Measure:
    """The scorer. It has no weights: `device` and `dtype` are those of the frames."""
    del device, dtype
    return Measure(name="colour", version=VERSION, card=CARD, values=_values)

"""Does the picture stay the same thing: two classical stand-ins for feature similarity.

Both compare each frame with the first and with the one before it, as VBench does with DINO and CLIP
features, by the shared part (histogram intersection, Swain and Ballard 1991) of two histograms that
do not know where things are. Movement alone therefore costs nothing; VBench's own two dimensions
and every pixel or SSIM similarity fall with movement.

- `subject_consistency`: orientations of edges, weighted by their strength, in 16 directions.
- `background_consistency`: colours, in 8 x 8 x 8 cells of the RGB cube, shared linearly between
cells.

Frames are first reduced to a shorter side of 128 px. Left out on purpose: any idea of what the
subject is. Both are differentiable almost everywhere, but a clip of equal frames is already at the
top.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from scorers.protocol import Card, Measure, luminance

SIDE, DIRECTIONS, CELLS = 128, 16, 8
VERSION = "1"
CARD = Card(
    summary="edge directions and colours stay the same (histograms, blind to place)",
    ranges={"subject_consistency": (0.0, 1.0), "background_consistency": (0.0, 1.0)},
    differentiable=True,
)
_FOCUS = 8  # an edge counts for directions within about 25 degrees: cos^8 falls to a half
_LEAST = 1e-8  # keeps the root differentiable on flat pixels; far below one level squared
_FAINT = 1e-3  # mean edge strength (a quarter of a level) below which a frame has no structure


def _reduced(frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 i j"]:
    """Shorter side at most SIDE px, by area, so that thin detail fades instead of twinkling."""
    scale = SIDE / min(frames.shape[2:])
    if scale >= 1:
        return frames
    size = [max(SIDE, round(side * scale)) for side in frames.shape[2:]]
    return F.interpolate(frames, size=size, mode="area")


def orientations(frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
    """Share of edge strength per direction (dark to bright), plus one cell for "no edges"."""
    luma = luminance(frames)
    across = (luma[:, 1:-1, 2:] - luma[:, 1:-1, :-2]) / 2
    down = (luma[:, 2:, 1:-1] - luma[:, :-2, 1:-1]) / 2
    strength = (across**2 + down**2 + _LEAST).sqrt()
    angle = torch.arange(DIRECTIONS, device=frames.device) * (2 * torch.pi / DIRECTIONS)
    facing = [
        ((across * x + down * y) / strength).clamp(min=0) ** _FOCUS * strength
        for x, y in zip(angle.cos(), angle.sin(), strict=True)
    ]
    found = torch.stack(facing, 1).mean((2, 3))
    padded = F.pad(found, (0, 1), value=_FAINT)
    return padded / padded.sum(1, keepdim=True)


def colours(frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
    """Share of pixels per cell of the RGB cube; a pixel between cells is shared linearly."""
    place = frames.clamp(0, 1).flatten(2) * (CELLS - 1)
    low = place.detach().floor().clamp(max=CELLS - 2)
    upper = place - low
    cells = frames.new_zeros(frames.shape[0], CELLS**3)
    for corner in range(8):
        steps = torch.tensor([corner >> 2, corner >> 1 & 1, corner & 1], device=frames.device)
        red, green, blue = (low + steps[:, None]).long().unbind(1)
        share = torch.where(steps[:, None].bool(), upper, 1 - upper).prod(1)
        cells = cells.scatter_add(1, (red * CELLS + green) * CELLS + blue, share)
    return cells / cells.sum(1, keepdim=True)


def stays(histograms: Float[Tensor, "b t k"]) -> Float[Tensor, " b"]:
    """Mean over frames 1.. of the shared part with the first and with the previous; in [0, 1]."""
    now, before, first = histograms[:, 1:], histograms[:, :-1], histograms[:, :1]
    shared = torch.minimum(now, before).sum(2) + torch.minimum(now, first).sum(2)
    return shared.mean(1) / 2


def _values(frames: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b d"]:
    small = _reduced(frames.flatten(0, 1))
    both = (measure(small).unflatten(0, frames.shape[:2]) for measure in (orientations, colours))
    return torch.stack([stays(histograms) for histograms in both], 1)


def load(*, device: Any = "cpu", dtype: torch.dtype = torch.float32) -> Measure:
    """The scorer; a single frame cannot be judged (NaN). It has no weights: `device` is unused."""
    del device, dtype
    return Measure(name="consistency", version=VERSION, card=CARD, values=_values)

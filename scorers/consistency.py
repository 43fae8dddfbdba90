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

import math
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from scorers.chunks import per_pixel
from scorers.protocol import Card, Measure, luminance

SIDE, DIRECTIONS, CELLS = 128, 16, 8
VERSION = "1"
CARD = Card(
    summary="edge directions and colours stay the same (histograms, blind to place)",
    ranges={"subject_consistency": (0.0, 1.0), "background_consistency": (0.0, 1.0)},
    differentiable=True,
)
_LEAST = 1e-8  # keeps the root differentiable on flat pixels; far below one level squared
_FAINT = 1e-3  # mean edge strength (a quarter of a level) below which a frame has no structure


def _reduced(frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 i j"]:
    """Shorter side at most SIDE px, by area, so that thin detail fades instead of twinkling.

    The mean over all pixels that a new one touches, as `interpolate(mode="area")`; twice as fast.
    """
    scale = SIDE / min(frames.shape[2:])
    if scale >= 1:
        return frames
    height, width = (max(SIDE, round(side * scale)) for side in frames.shape[2:])
    wide = _fewer_rows(frames.flatten(0, 2), len(frames) * 3, height)
    small = _fewer_rows(wide.T.contiguous(), 1, width).T
    return small.unflatten(0, (-1, 3, height)).contiguous()


def _fewer_rows(rows: Float[Tensor, "n w"], blocks: int, count: int) -> Float[Tensor, "m w"]:
    """In each of `blocks` blocks of rows, `count` means of the rows that each of them touches."""
    held = len(rows) // blocks
    at = torch.arange(count, device=rows.device) * held
    first, touched = at // count, -(-(at + held) // count) - at // count
    tap = torch.arange(int(touched.max()), device=rows.device)
    part = (tap < touched[:, None]) / touched[:, None]
    block = torch.arange(blocks, device=rows.device)[:, None, None] * held
    index = (first[:, None] + tap).clamp(max=held - 1) + block
    parts = part.to(rows).repeat(blocks, 1)  # weighted sums of rows, in one go
    return F.embedding_bag(index.flatten(0, 1), rows, mode="sum", per_sample_weights=parts)


def orientations(frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
    """Share of edge strength per direction (dark to bright), plus one cell for "no edges".

    An edge counts for directions within about 25 degrees of its own: there cos^8 falls to a half.
    """
    luma = luminance(frames)
    across = (luma[:, 1:-1, 2:] - luma[:, 1:-1, :-2]) / 2
    down = (luma[:, 2:, 1:-1] - luma[:, :-2, 1:-1]) / 2
    strength = (across**2 + down**2 + _LEAST).sqrt()
    edges = torch.stack([across / strength, down / strength], 1).flatten(2)
    angles = torch.arange(DIRECTIONS // 2) * (2 * math.pi / DIRECTIONS)
    cosine = torch.stack([angles.cos(), angles.sin()], 1).to(frames) @ edges
    every = strength.flatten(1)[..., None] / strength[0].numel()
    seen = [side.relu().square().square().square() @ every for side in (cosine, -cosine)]
    padded = F.pad(torch.cat(seen, 1)[..., 0], (0, 1), value=_FAINT)
    return padded / padded.sum(1, keepdim=True)


def colours(frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
    """Share of pixels per cell of the RGB cube; a pixel between cells is shared linearly."""
    place = frames.clamp(0, 1).flatten(2) * (CELLS - 1)
    low = place.detach().floor().clamp(max=CELLS - 2)
    (red, green, blue), upper = low.long().unbind(1), place - low
    first = (red * CELLS + green) * CELLS + blue
    shares = [part.unbind(1) for part in (1 - upper, upper)]
    cells = frames.new_zeros(frames.shape[0], CELLS**3)
    for r, g, b in product((0, 1), repeat=3):
        share = shares[r][0] * shares[g][1] * shares[b][2]
        cells = cells.scatter_add(1, first + ((r * CELLS + g) * CELLS + b), share)
    return cells / cells.sum(1, keepdim=True)


def stays(histograms: Float[Tensor, "b t k"]) -> Float[Tensor, " b"]:
    """Mean over frames 1.. of the shared part with the first and with the previous; in [0, 1]."""
    now, before, first = histograms[:, 1:], histograms[:, :-1], histograms[:, :1]
    shared = torch.minimum(now, before).sum(2) + torch.minimum(now, first).sum(2)
    return shared.mean(1) / 2


def _histograms(frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
    small = _reduced(frames)
    return torch.cat([orientations(small), colours(small)], 1)


def _values(frames: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b d"]:
    both = per_pixel(_histograms, frames).split([DIRECTIONS + 1, CELLS**3], 2)
    return torch.stack([stays(histograms) for histograms in both], 1)


def load(*, device: Any = "cpu", dtype: torch.dtype = torch.float32) -> Measure:
    """The scorer; a single frame cannot be judged (NaN). It has no weights: `device` is unused."""
    del device, dtype
    return Measure(name="consistency", version=VERSION, card=CARD, values=_values)

"""Sharpness that noise does not fool, in place of an image quality network.

After Zhu and Milanfar, "Automatic parameter selection for denoising algorithms using a no-reference
measure of image content" (2010): in a patch with structure tensor eigenvalues l1 >= l2, the
dominant gradient sqrt(l1) counts by its coherence (sqrt l1 - sqrt l2) / (sqrt l1 + sqrt l2). Blur
lowers the first, noise the second, so that added noise does not look sharp (as it does to the
variance of the Laplacian).

What differs: instead of choosing patches by a threshold, and so that contrast does not matter, the
sum over all patches is divided by the sum of the patches' ranges of luminance. Gradients are those
of 2 x 2 pixels (Roberts), whose two components are independent in noise. A straight edge that steps
from one pixel to the next gives 1, one spread over w pixels 1 / sqrt(w); fine stripes can give
more, up to the documented range. A blank frame has nothing sharp: 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scorers.chunks import per_pixel
from scorers.protocol import Card, Measure, luminance

PATCH, STRIDE = 8, 4  # pixels; patches overlap by half
_LEAST = 1e-10  # keeps roots differentiable: a gradient of 1e-5 per pixel
_CONTRAST = 1e-3  # a patch's range of luminance of about this (a quarter of a level) is blank
VERSION = "1"
CARD = Card(
    summary="coherent edge sharpness (after Zhu and Milanfar 2010), noise does not raise it",
    ranges={"imaging_quality": (0.0, PATCH**0.5)},
    differentiable=True,
)


def _blocks(image: Tensor) -> tuple[Tensor, ...]:
    """Rows 0, 1, 2 and 3 of each block of four, `n h/4 w` each."""
    count = image.shape[1] // STRIDE
    return image[:, : count * STRIDE].unflatten(1, (count, STRIDE)).unbind(2)


def _window_sum(image: Float[Tensor, "n h w"]) -> Float[Tensor, "n i j"]:
    """Sum over every patch: over its rows, then over its columns; four times less to add."""
    for _ in range(2):
        block = reduce(torch.add, _blocks(image))
        image = (block[:, :-1] + block[:, 1:]).mT
    return image


def _range(luma: Float[Tensor, "n h w"]) -> Float[Tensor, "n i j"]:
    """Largest minus smallest luminance of the pixels that a patch of gradients sees."""
    return _extreme(luma, torch.maximum) - _extreme(luma, torch.minimum)


def _extreme(image: Tensor, of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Of patches of `PATCH` + 1 px: two blocks of four and the row that follows them."""
    for _ in range(2):
        block, after = reduce(of, _blocks(image)), image[:, PATCH::STRIDE]
        count = after.shape[1]
        image = of(of(block[:, :count], block[:, 1 : count + 1]), after).mT
    return image


def edge_sharpness(frames: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, " b"]:
    """Share of local contrast in clean, narrow edges, of frames in [0, 1]; mean over frames."""
    return per_pixel(_of_frames, frames).mean(1)


def _of_frames(frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    luma = luminance(frames)
    falling = luma[:, 1:, 1:] - luma[:, :-1, :-1]
    rising = luma[:, :-1, 1:] - luma[:, 1:, :-1]
    # Along the diagonals; turned by 45 degrees the tensor has the same eigenvalues.
    ff, rr, fr = (_window_sum(g) / 2 for g in (falling**2, rising**2, falling * rising))
    middle = (ff + rr) / 2
    half = (((ff - rr) / 2) ** 2 + fr**2 + _LEAST**2).sqrt()
    strong = (middle + half + _LEAST).sqrt()
    weak = ((middle - half).clamp(min=0) + _LEAST).sqrt()
    edges = strong / PATCH**0.5 * (strong - weak) / (strong + weak)
    contrast = _range(luma) + _CONTRAST
    return edges.sum((1, 2)) / contrast.sum((1, 2))


def _values(frames: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b d"]:
    return edge_sharpness(frames)[:, None]


def load(*, device: Any = "cpu", dtype: torch.dtype = torch.float32) -> Measure:
    """The scorer. It has no weights: `device` and `dtype` are those of the frames."""
    del device, dtype
    return Measure(name="sharpness", version=VERSION, card=CARD, values=_values)

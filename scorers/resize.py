"""Sizes, lengths and normalisation before a network: the dialects, kept apart by name.

A score depends on how a frame was made smaller as much as on the network behind it, and published
numbers come from at least five ways that all call themselves "the CLIP preprocessing":

| name | size | method | antialias | afterwards |
|---|---|---|---|---|
| `vbench` | shorter side, centre crop | bicubic | no | values may leave [0, 1] |
| `vbench-uint8` | shorter side, centre crop | bicubic | no | clamped, rounded to 1/255 |
| `official` | shorter side, centre crop | bicubic | yes | clamped, rounded to 1/255 (as Pillow) |
| `letterbox` | longer side, zero border | bicubic | yes | clamped, rounded to 1/255 |
| `vader` | squashed to the square | bilinear | yes | - |

Everything is `torch.nn.functional.interpolate`, which equals torchvision's tensor resize bit for
bit, needs no torchvision, and is differentiable; a rounding passes its gradient straight through.
Antialiasing is always said: torchvision changed its default in 0.17, and VADER's numbers with it.

Left out on purpose: Pillow's own arithmetic, whose last digit differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Mode = Literal["bilinear", "bicubic"]
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def shorter(
    frames: Float[Tensor, "n 3 h w"], side: int, *, mode: Mode, antialias: bool
) -> Float[Tensor, "n 3 i j"]:
    """Shorter side to `side` px, the other in proportion (cut, not rounded: torchvision)."""
    height, width = frames.shape[2:]
    longer = int(side * max(height, width) / min(height, width))
    size = (side, longer) if height <= width else (longer, side)
    return _interpolated(frames, size, mode, antialias=antialias)


def centre(frames: Float[Tensor, "n 3 h w"], side: int) -> Float[Tensor, "n 3 side side"]:
    """The middle `side` x `side` px; offsets round half to even (torchvision)."""
    height, width = frames.shape[2:]
    top, left = round((height - side) / 2), round((width - side) / 2)
    return frames[:, :, top : top + side, left : left + side]


def rounded(frames: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Clamped to [0, 1] and rounded to whole 255ths; the gradient passes the rounding unchanged."""
    clamped = frames.clamp(0, 1)
    return clamped + ((clamped * 255).round() / 255 - clamped).detach()


def resampled(frames: Float[Tensor, "b t c h w"], wanted: int) -> Float[Tensor, "b n c h w"]:
    """`wanted` frames, linearly between the clip's own, from its first to its last."""
    if frames.shape[1] == wanted:
        return frames
    at = torch.linspace(0, frames.shape[1] - 1, wanted, device=frames.device)
    low = at.floor().long()
    part = (at - low).to(frames.dtype)[:, None, None, None]
    high = (low + 1).clamp(max=frames.shape[1] - 1)
    return frames[:, low] * (1 - part) + frames[:, high] * part


def normalised(
    frames: Float[Tensor, "n 3 h w"], mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "n 3 h w"]:
    """(x - mean) / std per channel."""
    middle, spread = (
        torch.tensor(values, dtype=frames.dtype, device=frames.device)[:, None, None]
        for values in (mean, std)
    )
    return (frames - middle) / spread


def vbench(frames: Float[Tensor, "n 3 h w"], side: int) -> Float[Tensor, "n 3 side side"]:
    """VBench on float frames (`clip_transform`): bicubic overshoot stays in."""
    return centre(shorter(frames, side, mode="bicubic", antialias=False), side)


def vbench_uint8(frames: Float[Tensor, "n 3 h w"], side: int) -> Float[Tensor, "n 3 side side"]:
    """VBench on uint8 frames: torchvision clamps and rounds after the resize."""
    return centre(rounded(shorter(frames, side, mode="bicubic", antialias=False)), side)


def official(frames: Float[Tensor, "n 3 h w"], side: int) -> Float[Tensor, "n 3 side side"]:
    """As the models' own processors do on 8-bit pictures."""
    return centre(rounded(shorter(frames, side, mode="bicubic", antialias=True)), side)


def letterbox(frames: Float[Tensor, "n 3 h w"], side: int) -> Float[Tensor, "n 3 side side"]:
    """Longer side to `side` px, the rest black: HPSv2's own. Nothing is cut or distorted."""
    height, width = frames.shape[2:]
    scale = side / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = rounded(_interpolated(frames, size, "bicubic", antialias=True))
    top, left = (side - size[0]) // 2, (side - size[1]) // 2
    return F.pad(small, (left, side - size[1] - left, top, side - size[0] - top))


def vader(frames: Float[Tensor, "n 3 h w"], side: int) -> Float[Tensor, "n 3 side side"]:
    """VADER (`*_loss_fn`): squashed to a square, so a wide clip is judged with narrow things."""
    return _interpolated(frames, (side, side), "bilinear", antialias=True)


DIALECTS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "vbench": vbench,
    "vbench-uint8": vbench_uint8,
    "official": official,
    "letterbox": letterbox,
    "vader": vader,
}
"""Frames `n 3 h w` in [0, 1] and a side in px to `n 3 side side`, by name."""


def _interpolated(
    frames: Tensor, size: tuple[int, int], mode: Mode, *, antialias: bool
) -> Float[Tensor, "n 3 i j"]:
    if tuple(frames.shape[2:]) == size:
        return frames
    return F.interpolate(frames, size, mode=mode, align_corners=False, antialias=antialias)

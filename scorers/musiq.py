"""Imaging quality as VBench measures it: MUSIQ trained on SPAQ, mean over frames, over 100.

The network is `scorers/nets/musiq.py`. A frame whose longer side exceeds 512 px is first reduced to
it (bilinear, no antialias, both sides cut to whole px: VBench's mode `longer`). Always 0 to 1 here;
VBench's results per video are 0 to 100.

The checkpoint is pyiqa's conversion, which is for non-commercial use. Left out on purpose: reading
the original JAX file (`spaq_ckpt.npz`, Apache-2.0), which could not be tried here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from scorers import weights
from scorers.chunks import in_groups
from scorers.nets.musiq import Musiq as Network
from scorers.nets.stored import fill, frozen, tensors
from scorers.protocol import Card, check

WEIGHTS = ("musiq-spaq",)
CARD = Card(
    summary="MUSIQ-SPAQ over 100, mean over frames (VBench)",
    ranges={"imaging_quality": (-1.0, 2.0)},
    differentiable=True,
    weights=WEIGHTS[0],
    licence="CC-BY-NC-SA-4.0 (non-commercial)",
)
LONGEST = 512
_FRAMES_AT_ONCE = 8


class Musiq:
    """The scorer `musiq`."""

    name, version = "musiq", "1"
    dimensions = tuple(CARD.ranges)
    differentiable = CARD.differentiable

    def __init__(self, network: Network) -> None:
        self._network = network

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b d"]:
        """Mean quality of the frames per clip; `prompts` and `fps` play no part."""
        del prompts, fps
        check(frames)
        found = in_groups(self._quality, reduced(frames.flatten(0, 1)), _FRAMES_AT_ONCE)
        return found.float().unflatten(0, frames.shape[:2]).mean(1, keepdim=True) / 100

    def _quality(self, frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        kept = self._network.head.weight
        return self._network(frames.to(kept.device, kept.dtype))


def reduced(frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 i j"]:
    """Longer side at most 512 px."""
    scale = LONGEST / max(frames.shape[2:])
    if scale >= 1:
        return frames
    size = [int(scale * side) for side in frames.shape[2:]]
    return F.interpolate(frames, size, mode="bilinear", align_corners=False)


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None
) -> Musiq:
    """The scorer with its published weights."""
    path = weights.find(WEIGHTS[0], weights_dir) / weights.TABLE[WEIGHTS[0]].files[0]
    state = tensors(path)
    return Musiq(frozen(fill(Network(), state.get("params", state), path), device, dtype))

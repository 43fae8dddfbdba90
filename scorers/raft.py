"""Dynamic degree as VBench measures it: does RAFT's optical flow say that the clip moves.

Network: RAFT (Teed and Deng 2020), 20 updates; torchvision's weights `C_T_V1` are those that VBench
loads, converted. Frames are thinned to about 8 per second, `max(1, round(fps / 8))`. Per pair of
neighbours: mean of the largest 5 % of flow lengths. The threshold is 6 px at a shorter side of
256 px. With N frames left, a clip moves when at least `round(N / 4)` pairs exceed it (halves to
even, as Python rounds) and at least one does: two frames that stand still move in VBench.

- `dynamic_degree`: 1 or 0, VBench's own. A yes or no cannot rank candidates, so there is also
- `movement`: the mean over pairs of the same length, over the threshold.

A camera that pans counts as movement. Clips below 128 px are enlarged by a whole number, because
the network cannot read them otherwise, and the flow is divided by it; VBench has no such rule.
Each frame's features are computed for both of its pairs, as in the library. Differentiable in
`movement` only, so it promises no gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from scorers import weights
from scorers.nets.stored import fill, frozen, tensors
from scorers.protocol import Card, check

WEIGHTS = ("raft-large",)
CARD = Card(
    summary="RAFT optical flow: moving or not (VBench), and by how much",
    ranges={"dynamic_degree": (0.0, 1.0), "movement": (0.0, float("inf"))},
    differentiable=False,
    weights=WEIGHTS[0],
    licence="BSD-3-Clause",
    only_float32=True,
)
RATE, THRESHOLD, SIDE = 8.0, 6.0, 256  # frames per second, px at a shorter side of SIDE px
FASTEST, UPDATES = 0.05, 20
_LEAST, _MULTIPLE = 128, 8  # px: what the network reads
_PAIRS_AT_ONCE = 4


class Raft:
    """The scorer `raft`. A single frame has no motion (NaN)."""

    name, version = "raft", "1"
    dimensions = tuple(CARD.ranges)
    differentiable = CARD.differentiable

    def __init__(self, network: nn.Module, updates: int = UPDATES) -> None:
        self._network, self._updates = network, updates

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b d"]:
        """Moving or not, and how much, per clip; `prompts` play no part."""
        del prompts
        check(frames)
        with torch.no_grad():
            rows = [self._judge(clip, rate) for clip, rate in zip(frames, fps, strict=True)]
        return torch.tensor(rows, dtype=torch.float32, device=frames.device)

    def _judge(self, clip: Float[Tensor, "t 3 h w"], fps: float) -> tuple[float, float]:
        thinned = clip[:: max(1, round(fps / RATE))]
        if len(thinned) < 2:
            return float("nan"), float("nan")
        shorter = min(clip.shape[2:])
        factor = -(-_LEAST // shorter)
        large = _padded(_enlarged(thinned, factor)) * 2 - 1
        speeds = torch.cat(
            [
                self._speeds(large[at : at + _PAIRS_AT_ONCE + 1])
                for at in range(0, len(large) - 1, _PAIRS_AT_ONCE)
            ]
        )
        return moving(speeds / factor, shorter)

    def _speeds(self, frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " m"]:
        """Mean of the largest lengths per pair of neighbours, px."""
        kept = next(self._network.parameters())
        seen = frames.to(kept.device, kept.dtype)
        flow = self._network(seen[:-1], seen[1:], num_flow_updates=self._updates)[-1]
        length = flow.float().norm(dim=1).flatten(1)
        return length.topk(int(length.shape[1] * FASTEST)).values.mean(1).cpu()


def moving(speeds: Float[Tensor, " m"], shorter: int) -> tuple[float, float]:
    """(1 or 0, mean speed over the threshold) from the speed of each pair.

    Args:
        speeds: Mean of the largest 5 % of flow lengths, px per pair.
        shorter: Side of the clip, px.
    """
    threshold = THRESHOLD * shorter / SIDE
    enough = round(4 * (len(speeds) + 1) / 16)
    fast = int((speeds > threshold).sum())
    return float(fast >= max(1, enough)), float(speeds.mean() / threshold)


def _enlarged(frames: Float[Tensor, "t 3 h w"], factor: int) -> Float[Tensor, "t 3 i j"]:
    if factor == 1:
        return frames
    return F.interpolate(frames, scale_factor=factor, mode="bicubic", align_corners=False).clamp(
        0, 1
    )


def _padded(frames: Float[Tensor, "t 3 h w"]) -> Float[Tensor, "t 3 i j"]:
    """Both sides to a multiple of 8 px by repeating the border, half on each side (RAFT)."""
    down, right = (-side % _MULTIPLE for side in frames.shape[2:])
    edges = (right // 2, right - right // 2, down // 2, down - down // 2)
    return F.pad(frames, edges, mode="replicate")


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None
) -> Raft:
    """The scorer with its published weights; the network stays in float32 (its lookup needs it)."""
    from torchvision.models.optical_flow import raft_large

    del dtype
    path = weights.find(WEIGHTS[0], weights_dir) / weights.TABLE[WEIGHTS[0]].files[0]
    network = fill(raft_large(weights=None), tensors(path), path)
    return Raft(frozen(network, device, torch.float32))

"""Subject consistency as VBench measures it: DINO features of each frame stay alike.

Backbone: DINO v1 ViT-B/16 (Caron et al. 2021), class token after the last norm, 768 values. Frames:
shorter side 224 px, bilinear, no antialias, no crop; ImageNet normalisation. The mean is that of
`scorers/features.py`.

At sizes other than 224 x 224 DINO stretches its table of positions by (h + 0.1) / 14, where the
library aims at whole sizes; with random tables the two differ by 8.6 %. The rule is written out
here. Left out on purpose: DINOv2 and v3, to which VBench's range does not belong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from scorers import resize, weights
from scorers.chunks import in_groups
from scorers.features import consistency
from scorers.nets.stored import frozen, pretrained
from scorers.protocol import Card, check

if TYPE_CHECKING:
    from transformers import ViTModel

WEIGHTS = ("dino-vitb16",)
CARD = Card(
    summary="DINO ViT-B/16 features of the frames stay alike (VBench)",
    ranges={"subject_consistency": (0.0, 1.0)},
    differentiable=True,
    weights=WEIGHTS[0],
    licence="Apache-2.0",
)
SIDE = 224
_EPSILON = 1e-6  # of DINO's layer norms; the hub's configuration says 1e-12


class Dino:
    """The scorer `dino`."""

    name, version = "dino", "1"
    dimensions = tuple(CARD.ranges)
    differentiable = CARD.differentiable

    def __init__(self, network: ViTModel, side: int = SIDE) -> None:
        self._network, self._side = network, side

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b d"]:
        """The consistency per clip; `prompts` and `fps` play no part."""
        del prompts, fps
        check(frames)
        small = resize.shorter(frames.flatten(0, 1), self._side, mode="bilinear", antialias=False)
        seen = resize.normalised(small, resize.IMAGENET_MEAN, resize.IMAGENET_STD)
        found = in_groups(self._features, seen).unflatten(0, frames.shape[:2])
        return consistency(found)[:, None]

    def _features(self, frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        parts = self._network.embeddings
        kept = parts.patch_embeddings.projection.weight
        patches = parts.patch_embeddings(frames.to(kept.device, kept.dtype))
        patch = kept.shape[-1]
        table = positions(
            parts.position_embeddings, frames.shape[2] // patch, frames.shape[3] // patch
        )
        begin = parts.cls_token.expand(len(frames), -1, -1)
        hidden = torch.cat([begin, patches], 1) + table
        for layer in self._network.layers:
            hidden = layer(hidden)
        return self._network.layernorm(hidden)[:, 0]


def positions(table: Float[Tensor, "1 n d"], high: int, wide: int) -> Float[Tensor, "1 m d"]:
    """DINO's table of positions for `high` x `wide` patches, the class token's first."""
    begin, grid = table[:, :1], table[:, 1:]
    side = round(grid.shape[1] ** 0.5)
    if (high, wide) == (side, side):
        return table
    square = grid.unflatten(1, (side, side)).permute(0, 3, 1, 2)
    scale = ((high + 0.1) / side, (wide + 0.1) / side)
    larger = F.interpolate(
        square, scale_factor=scale, mode="bicubic", align_corners=False,
        recompute_scale_factor=False,
    )  # fmt: skip
    return torch.cat([begin, larger.flatten(2).transpose(1, 2)], 1)


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None
) -> Dino:
    """The scorer with its published weights."""
    from transformers import ViTModel

    folder = weights.find(WEIGHTS[0], weights_dir)
    network = pretrained(
        ViTModel.from_pretrained, folder, add_pooling_layer=False, layer_norm_eps=_EPSILON
    )
    return Dino(frozen(network, device, dtype))

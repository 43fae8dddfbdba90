"""Subject consistency as VBench measures it: DINO features of each frame stay alike.

Backbone: DINO v1 ViT-B/16 (Caron et al. 2021), class token after the last norm, 768 values. Frames:
shorter side 224 px, bilinear, no antialias, no crop; ImageNet normalisation. The mean is that of
`scorers/features.py`.

At sizes other than squares of 14 x 14 patches DINO stretches its table of positions by
(h + 0.1) / 14, where the library aims at whole sizes; with random tables the two differ by 8.6 %.
The rule is written out here. Left out on purpose: DINOv2 and v3, to which VBench's range does not
belong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from scorers import resize, weights
from scorers.chunks import per_frame
from scorers.features import consistency
from scorers.nets.stored import frozen, pretrained
from scorers.protocol import Card, Measure

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
VERSION = "2"
_EPSILON = 1e-6  # of DINO's layer norms; the hub's configuration says 1e-12


def scorer(network: ViTModel, side: int = SIDE) -> Measure:
    """The scorer with this network, on frames with a shorter side of `side` px."""

    def features(frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        small = resize.shorter(frames, side, mode="bilinear", antialias=False)
        return class_tokens(
            network, resize.normalised(small, resize.IMAGENET_MEAN, resize.IMAGENET_STD)
        )

    def values(frames: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b d"]:
        return consistency(per_frame(features, frames))[:, None]

    return Measure(name="dino", version=VERSION, card=CARD, values=values)


def class_tokens(network: ViTModel, seen: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
    """What the network makes of normalised pictures of any size."""
    parts = network.embeddings
    kept = parts.patch_embeddings.projection.weight
    patches = parts.patch_embeddings(seen.to(kept.device, kept.dtype))
    height, width = seen.shape[2:]
    table = positions(parts.position_embeddings, height, width, kept.shape[-1])
    begin = parts.cls_token.expand(len(seen), -1, -1)
    hidden = torch.cat([begin, patches], 1) + table
    for layer in network.layers:
        hidden = layer(hidden)
    return network.layernorm(hidden)[:, 0]


def positions(
    table: Float[Tensor, "1 n d"], height: int, width: int, patch: int
) -> Float[Tensor, "1 m d"]:
    """DINO's table of positions for a picture of this size in px, the class token's first.

    A picture that is not square has its table stretched even where it has as many patches.
    """
    begin, grid = table[:, :1], table[:, 1:]
    side, high, wide = round(grid.shape[1] ** 0.5), height // patch, width // patch
    if height == width and high * wide == side**2:
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
) -> Measure:
    """The scorer with its published weights."""
    from transformers import ViTModel

    folder = weights.find(WEIGHTS[0], weights_dir)
    network = pretrained(
        ViTModel.from_pretrained, folder, add_pooling_layer=False, layer_norm_eps=_EPSILON
    )
    return scorer(frozen(network, device, dtype))

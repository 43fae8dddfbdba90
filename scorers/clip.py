"""Background consistency as VBench measures it: CLIP features of each frame stay alike.

Backbone: OpenAI CLIP ViT-B/32 (Radford et al. 2021), projected embedding of 512 values. Frames:
dialect `vbench` of `scorers/resize.py` at 224 px. The mean is that of `scorers/features.py`. In
spite of its name nothing is masked out: it is the whole frame.

VBench computes in half precision on a GPU and in single on a CPU, which moves the third digit; here
the features are as the scorer was loaded, and the cosine is float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from scorers import resize, weights
from scorers.chunks import in_groups
from scorers.features import consistency
from scorers.nets.stored import frozen, pretrained
from scorers.protocol import Card, check

if TYPE_CHECKING:
    from transformers import CLIPVisionModelWithProjection

WEIGHTS = ("clip-vit-b-32",)
CARD = Card(
    summary="CLIP ViT-B/32 features of the frames stay alike (VBench; whole frame)",
    ranges={"background_consistency": (0.0, 1.0)},
    differentiable=True,
    weights=WEIGHTS[0],
    licence="MIT",
)


class Clip:
    """The scorer `clip`."""

    name, version = "clip", "1"
    dimensions = tuple(CARD.ranges)
    differentiable = CARD.differentiable

    def __init__(self, network: CLIPVisionModelWithProjection) -> None:
        self._network = network

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b d"]:
        """The consistency per clip; `prompts` and `fps` play no part."""
        del prompts, fps
        check(frames)
        found = in_groups(self._features, frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        return consistency(found)[:, None]

    def _features(self, frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        return image_features(self._network, frames, "vbench")


def image_features(
    network: CLIPVisionModelWithProjection, frames: Float[Tensor, "n 3 h w"], dialect: str
) -> Float[Tensor, "n d"]:
    """Projected embeddings, not normalised.

    Args:
        network: Any CLIP image tower of transformers.
        frames: RGB in [0, 1].
        dialect: A name in `resize.DIALECTS`.
    """
    side = network.config.image_size
    if not isinstance(side, int):
        raise TypeError(f"the tower reads pictures of {side}; it must be one number of pixels")
    small = resize.DIALECTS[dialect](frames, side)
    seen = resize.normalised(small, resize.CLIP_MEAN, resize.CLIP_STD)
    return network(seen.to(network.device, network.dtype)).image_embeds


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None
) -> Clip:
    """The scorer with its published weights."""
    return Clip(image_tower(WEIGHTS[0], device, dtype, weights_dir))


def image_tower(
    name: str, device: Any, dtype: torch.dtype, weights_dir: Any
) -> CLIPVisionModelWithProjection:
    """The image half of a CLIP model of `weights.TABLE`."""
    from transformers import CLIPVisionModelWithProjection

    folder = weights.find(name, weights_dir)
    network = pretrained(CLIPVisionModelWithProjection.from_pretrained, folder)
    return frozen(network, device, dtype)

"""Background consistency as VBench measures it: CLIP features of each frame stay alike.

Backbone: OpenAI CLIP ViT-B/32 (Radford et al. 2021), projected embedding of 512 values. Frames:
dialect `vbench` of `scorers/resize.py` at 224 px. The mean is that of `scorers/features.py`. In
spite of its name nothing is masked out: it is the whole frame.

VBench computes in half precision on a GPU and in single on a CPU, which moves the third digit; here
the features are as the scorer was loaded, and the cosine is float32.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from scorers import resize, weights
from scorers.chunks import per_frame
from scorers.features import consistency
from scorers.nets.stored import pooled, pretrained
from scorers.protocol import Card, Measure
from scorers.shared import once

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


def scorer(network: CLIPVisionModelWithProjection) -> Measure:
    """The scorer with this network."""

    def values(frames: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b d"]:
        return consistency(frame_features(network, frames, dialect="vbench"))[:, None]

    return Measure(name="clip", version="1", card=CARD, values=values)


def frame_features(
    network: CLIPVisionModelWithProjection, frames: Float[Tensor, "b t 3 h w"], *, dialect: str
) -> Float[Tensor, "b t d"]:
    """`image_features` of every frame, one pass for all who ask for this tower and dialect."""
    features = partial(image_features, network, dialect=dialect)
    return once(frames, (network, dialect), lambda: per_frame(features, frames))


def image_features(
    network: CLIPVisionModelWithProjection, frames: Float[Tensor, "n 3 h w"], *, dialect: str
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
) -> Measure:
    """The scorer with its published weights."""
    return scorer(image_tower(WEIGHTS[0], device, dtype, weights_dir))


def image_tower(
    name: str, device: Any, dtype: torch.dtype, weights_dir: Any
) -> CLIPVisionModelWithProjection:
    """The image half of a CLIP model of `weights.TABLE`, one for all who read it."""
    from transformers import CLIPVisionModelWithProjection

    kind, folder = CLIPVisionModelWithProjection, weights.find(name, weights_dir)
    return pooled(kind, folder, device, dtype, lambda: pretrained(kind.from_pretrained, folder))

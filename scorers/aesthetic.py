"""How beautiful the frames are: LAION's aesthetic predictor v2 on CLIP ViT-L/14, VADER's reward.

`aesthetic` is the "improved-aesthetic-predictor", in about [1, 10], mean over the frames. Its head
is five linear layers with nothing between them, so they are folded into one vector when they are
loaded. Dialect `official`; `vader` squashes the frame, as VADER does. LAION v1, another number
under another name (`aesthetic_quality`, VBench's), is `scorers/laion.py`.

VADER's target of 10 is never reached and belongs to its loss. Easily hacked: it likes saturated,
centred, painterly pictures; watch a reward that was not trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from scorers import weights
from scorers.clip import frame_features, image_tower
from scorers.nets.stored import tensors
from scorers.protocol import Card, Measure

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import CLIPVisionModelWithProjection

WEIGHTS = ("clip-vit-l-14", "laion-v2")
CARD = Card(
    summary="LAION aesthetic predictor v2 on CLIP L/14, mean over frames (VADER)",
    ranges={"aesthetic": (-100.0, 100.0)},
    differentiable=True,
    weights=" + ".join(WEIGHTS),
    licence="MIT; Apache-2.0",
)


@dataclass(frozen=True)
class Head:
    """A linear function of the unit embedding, and in which dialect it is read."""

    weight: Float[Tensor, " d"]
    bias: float
    dialect: str
    scale: float = 1.0


def rated(
    frames: Float[Tensor, "b t 3 h w"], *, network: CLIPVisionModelWithProjection, head: Head
) -> Float[Tensor, "b d"]:
    """The head's mean over the frames of each clip."""
    unit = F.normalize(frame_features(network, frames, dialect=head.dialect).float(), dim=-1)
    value = (unit @ head.weight.to(unit.device) + head.bias) * head.scale
    return value.mean(1, keepdim=True)


def scorer(network: CLIPVisionModelWithProjection, head: Head) -> Measure:
    """The scorer with this image tower and head."""
    values = partial(rated, network=network, head=head)
    return Measure(name="aesthetic", version=f"1-{head.dialect}", card=CARD, values=values)


def linear(state: Mapping[str, Tensor], dialect: str, *, scale: float = 1.0) -> Head:
    """A chain of linear layers as the one linear function that it is.

    Args:
        state: `<any>.<number>.weight` and `.bias`, or `weight` and `bias`; in the order of numbers.
        dialect: Of the frames.
        scale: Of the result.
    """
    names = sorted(
        (name.removesuffix("weight") for name in state if name.endswith("weight")),
        key=lambda name: int("".join(filter(str.isdigit, name)) or 0),
    )
    width = state[f"{names[0]}weight"].shape[1]
    whole, offset = torch.eye(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)
    for name in names:
        layer, bias = state[f"{name}weight"].double(), state[f"{name}bias"].double()
        whole, offset = layer @ whole, layer @ offset + bias
    return Head(whole[0].float(), float(offset[0]), dialect, scale)


def v2(path: Path, dialect: str) -> Head:
    """LAION v2's head from its file."""
    return linear(tensors(path), dialect)


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None,
    dialect: str = "official",
) -> Measure:  # fmt: skip
    """The reward with its published weights; `dialect` is `official` or `vader`."""
    network = image_tower(WEIGHTS[0], device, dtype, weights_dir)
    folder = weights.find(WEIGHTS[1], weights_dir)
    head = v2(folder / weights.TABLE[WEIGHTS[1]].files[0], dialect)
    return scorer(network, head)

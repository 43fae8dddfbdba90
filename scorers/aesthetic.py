"""How beautiful the frames are: LAION's two predictors on CLIP ViT-L/14, under two names.

- `aesthetic_quality` is LAION v1, one linear layer, divided by 10: what VBench measures
  (`vbench/aesthetic_quality.py`), with its dialect `vbench`. In about [0.3, 0.75].
- `aesthetic` is LAION v2 ("improved-aesthetic-predictor"), in about [1, 10]: VADER's reward. Its
  head is five linear layers with nothing between them, so they are folded into one vector when they
  are loaded. Dialect `official`; `vader` squashes the frame, as VADER does.

Features are computed once where both heads ask for one dialect, and the clip's value is the mean
over its frames. VADER's target of 10 is never reached and belongs to its loss. Easily hacked: it
likes saturated, centred, painterly pictures; watch a reward that was not trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from scorers import weights
from scorers.chunks import in_groups
from scorers.clip import image_features, image_tower
from scorers.nets.stored import tensors
from scorers.protocol import Card, check

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


class Aesthetic:
    """One or more heads on one image tower."""

    differentiable = CARD.differentiable

    def __init__(
        self, name: str, version: str, network: CLIPVisionModelWithProjection,
        heads: Mapping[str, Head],
    ) -> None:  # fmt: skip
        self.name, self.version = name, version
        self.dimensions = tuple(heads)
        self._network, self._heads = network, dict(heads)

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b d"]:
        """Each head's mean over the frames; `prompts` and `fps` play no part."""
        del prompts, fps
        check(frames)
        flat, unit = frames.flatten(0, 1), {}
        for dialect in {head.dialect for head in self._heads.values()}:
            found = in_groups(lambda some, how=dialect: self._features(some, how), flat)
            unit[dialect] = F.normalize(found.float(), dim=-1)
        values = [
            (unit[head.dialect] @ head.weight.to(flat.device) + head.bias) * head.scale
            for head in self._heads.values()
        ]
        return torch.stack(values, 1).unflatten(0, frames.shape[:2]).mean(1)

    def _features(self, frames: Float[Tensor, "n 3 h w"], dialect: str) -> Float[Tensor, "n d"]:
        return image_features(self._network, frames, dialect)


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
) -> Aesthetic:  # fmt: skip
    """The reward with its published weights; `dialect` is `official` or `vader`."""
    network = image_tower(WEIGHTS[0], device, dtype, weights_dir)
    folder = weights.find(WEIGHTS[1], weights_dir)
    head = v2(folder / weights.TABLE[WEIGHTS[1]].files[0], dialect)
    return Aesthetic("aesthetic", f"1-{dialect}", network, {"aesthetic": head})

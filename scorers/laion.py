"""Aesthetic quality as VBench measures it: LAION v1 on CLIP ViT-L/14, over 10.

One linear layer on the unit embedding (`vbench/aesthetic_quality.py`), in about [0.3, 0.75], mean
over the frames, dialect `vbench`. Not VADER's number: that is LAION v2, `scorers/aesthetic.py`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from scorers import weights
from scorers.aesthetic import Head, linear, rated
from scorers.clip import image_tower
from scorers.nets.stored import tensors
from scorers.protocol import Card, Measure

if TYPE_CHECKING:
    from transformers import CLIPVisionModelWithProjection

WEIGHTS = ("clip-vit-l-14", "laion-v1")
CARD = Card(
    summary="LAION aesthetic predictor v1 on CLIP L/14 over 10, mean over frames (VBench)",
    ranges={"aesthetic_quality": (-10.0, 10.0)},
    differentiable=True,
    weights=" + ".join(WEIGHTS),
    licence="MIT",
)


def scorer(network: CLIPVisionModelWithProjection, head: Head) -> Measure:
    """The scorer with this image tower and head."""
    values = partial(rated, network=network, head=head)
    return Measure(name="laion", version="1", card=CARD, values=values)


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None
) -> Measure:
    """The scorer with its published weights."""
    network = image_tower(WEIGHTS[0], device, dtype, weights_dir)
    folder = weights.find(WEIGHTS[1], weights_dir)
    state = tensors(folder / weights.TABLE[WEIGHTS[1]].files[0])
    return scorer(network, linear(state, "vbench", scale=0.1))

"""Aesthetic quality as VBench measures it: LAION v1 on CLIP ViT-L/14, over 10.

The same scorer as `scorers/aesthetic.py` with another head and another dialect; that page says how
the two numbers differ.
"""

from __future__ import annotations

from typing import Any

import torch

from scorers import weights
from scorers.aesthetic import Aesthetic, linear
from scorers.clip import image_tower
from scorers.nets.stored import tensors
from scorers.protocol import Card

WEIGHTS = ("clip-vit-l-14", "laion-v1")
CARD = Card(
    summary="LAION aesthetic predictor v1 on CLIP L/14 over 10, mean over frames (VBench)",
    ranges={"aesthetic_quality": (-10.0, 10.0)},
    differentiable=True,
    weights=" + ".join(WEIGHTS),
    licence="MIT",
)


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None
) -> Aesthetic:
    """The scorer with its published weights."""
    network = image_tower(WEIGHTS[0], device, dtype, weights_dir)
    folder = weights.find(WEIGHTS[1], weights_dir)
    state = tensors(folder / weights.TABLE[WEIGHTS[1]].files[0])
    head = linear(state, "vbench", scale=0.1)
    return Aesthetic("laion", "1", network, {"aesthetic_quality": head})

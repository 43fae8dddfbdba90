"""Wan 2.2 A14B: two experts that share nothing; three of four steps are the first one's."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import WanPipeline
from torch import Tensor

from tests.train import families, tiny, tiny_image
from train.models import VideoModel

IDLE = ("transformer_2",)
"""Not reached by a level of high noise."""


def save(folder: Path, seed: int = 0) -> Path:
    with torch.random.fork_rng(devices=[]):
        parts = tiny_image.parts(seed)
        torch.manual_seed(seed)
        made = WanPipeline(
            **parts,
            transformer=tiny_image.transformer(),
            transformer_2=tiny_image.transformer(),
            boundary_ratio=0.6,
        )
    return families.write(made, folder, tiny.SETTINGS | {"guidance_scale": 4.0})


def theirs(model: VideoModel, noise: Tensor, prompt: str, steps: int, guidance: float) -> Tensor:
    """With the published guidance of both experts, 4 and 3."""
    return tiny_image.theirs(
        model, noise, prompt, steps, guidance, guidance_scale_2=3.0, max_sequence_length=8
    )

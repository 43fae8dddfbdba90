"""Wan 2.2 A14B image-to-video: two experts, no CLIP."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import WanImageToVideoPipeline
from torch import Tensor

from tests.train import families, tiny, tiny_image
from train.models import VideoModel

IDLE = ("transformer_2",)
"""Not reached by a level of high noise."""


def save(folder: Path, seed: int = 0) -> Path:
    with torch.random.fork_rng(devices=[]):
        parts = tiny_image.parts(seed)
        torch.manual_seed(seed)
        channels = 2 * tiny.LATENTS + 1  # noisy, known, and a mask per frame of a latent frame
        made = WanImageToVideoPipeline(
            **parts,
            transformer=tiny_image.transformer(channels),
            transformer_2=tiny_image.transformer(channels),
            boundary_ratio=0.6,
        )
    return families.write(made, folder, tiny.SETTINGS)


def theirs(model: VideoModel, noise: Tensor, prompt: str, steps: int, guidance: float) -> Tensor:
    return tiny_image.theirs(model, noise, prompt, steps, guidance, max_sequence_length=8)

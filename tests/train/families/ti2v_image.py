"""Wan 2.2 TI2V-5B as image-to-video: the first latent frame is given, its tokens are at level 0."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import WanImageToVideoPipeline
from torch import Tensor

from tests.train import families, tiny, tiny_image
from train.models import VideoModel


def save(folder: Path, seed: int = 0) -> Path:
    with torch.random.fork_rng(devices=[]):
        parts = tiny_image.parts(seed)
        torch.manual_seed(seed)
        made = WanImageToVideoPipeline(
            **parts, transformer=tiny_image.transformer(), expand_timesteps=True
        )
    return families.write(made, folder, tiny.SETTINGS)


def theirs(model: VideoModel, noise: Tensor, prompt: str, steps: int, guidance: float) -> Tensor:
    return tiny_image.theirs(model, noise, prompt, steps, guidance, max_sequence_length=8)

"""Wan 2.1 image-to-video: mask and latents beside the noise, and the image through CLIP.

diffusers takes what stands before 512 tokens of text for the image.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import WanImageToVideoPipeline
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

from tests.train import families, tiny, tiny_image
from train.models import VideoModel


def save(folder: Path, seed: int = 0) -> Path:
    with torch.random.fork_rng(devices=[]):
        parts = tiny_image.parts(seed)
        torch.manual_seed(seed)
        clip = CLIPVisionConfig(
            hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            image_size=16, patch_size=8,
        )  # fmt: skip
        made = WanImageToVideoPipeline(
            **parts,
            image_encoder=CLIPVisionModel(clip),
            image_processor=CLIPImageProcessor(crop_size=16, size=16),
            transformer=tiny_image.transformer(
                2 * tiny.LATENTS + 1, image_dim=16, added_kv_proj_dim=24
            ),
        )
    return families.write(made, folder, tiny.SETTINGS | {"max_sequence_length": 512})


def theirs(model: VideoModel, noise: Tensor, prompt: str, steps: int, guidance: float) -> Tensor:
    return tiny_image.theirs(model, noise, prompt, steps, guidance)

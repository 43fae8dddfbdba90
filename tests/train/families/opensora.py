"""Open-Sora 1.2: one pair of blocks, groups of 17 frames, a halving of frames twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from transformers import T5Config, T5EncoderModel

from tests.train import families, tiny
from train.models.opensora import OpenSoraPipeline
from train.nets.stdit3 import STDiT3
from train.nets.temporal_vae import TemporalVae

SETTINGS = {
    "frames": 17, "height": 16, "width": 32, "fps": 24.0, "num_inference_steps": 3,
    "guidance_scale": 2.0, "max_sequence_length": 0,
}  # fmt: skip
IMAGE: dict[str, Any] = {
    "block_out_channels": (8, 8), "layers_per_block": 1, "norm_num_groups": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2,
    "latent_channels": 4,
}  # fmt: skip
TIME: dict[str, Any] = {"filters": 8, "blocks": 1, "groups": 4}
DENOISER: dict[str, Any] = {
    "hidden_size": 24, "depth": 1, "num_heads": 2, "caption_channels": 16, "model_max_length": 8,
}  # fmt: skip


def save(folder: Path, seed: int = 0) -> Path:
    """Latents are 4 x 5 x 8 x 16."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = OpenSoraPipeline(
            vae=AutoencoderKL(**IMAGE, scaling_factor=0.18215),
            temporal_vae=TemporalVae(**TIME),
            text_encoder=T5EncoderModel(T5Config(**tiny.T5)),
            tokenizer=tiny.tokenizer(8),
            transformer=STDiT3(**DENOISER),
        )
    return families.write(made, folder, SETTINGS)

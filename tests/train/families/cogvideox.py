"""CogVideoX 5B: rotary positions, zero terminal SNR, shifted noise, DDIM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)
from torch import Tensor
from transformers import T5Config, T5EncoderModel

from tests.train import tiny
from tests.train.families import write
from train.models import VideoModel

SETTINGS = {
    "frames": 9, "height": 32, "width": 32, "fps": 8.0, "num_inference_steps": 3,
    "guidance_scale": 2.0, "max_sequence_length": 8,
}  # fmt: skip


def pipeline(seed: int = 0, *, patch_size_t: int | None = None) -> CogVideoXPipeline:
    """Latents are 4 x 3 x 8 x 8 and scaled by 0.7; `patch_size_t` 2 makes it a 1.5."""
    down: Any = ("CogVideoXDownBlock3D",) * 3
    up: Any = ("CogVideoXUpBlock3D",) * 3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CogVideoXPipeline(
            tokenizer=tiny.tokenizer(8),
            text_encoder=T5EncoderModel(T5Config(**tiny.T5)),
            vae=AutoencoderKLCogVideoX(
                down_block_types=down, up_block_types=up,
                block_out_channels=tiny.widths(3), latent_channels=4, layers_per_block=1,
                norm_num_groups=2, temporal_compression_ratio=4, scaling_factor=0.7,
            ),
            scheduler=CogVideoXDDIMScheduler(
                beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012,
                prediction_type="v_prediction", rescale_betas_zero_snr=True,
                snr_shift_scale=3.0, timestep_spacing="trailing",
            ),
            transformer=CogVideoXTransformer3DModel(
                num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4,
                time_embed_dim=8, text_embed_dim=16, num_layers=2, sample_width=8,
                sample_height=8, sample_frames=9, patch_size=2, patch_size_t=patch_size_t,
                max_text_seq_length=8, use_rotary_positional_embeddings=True,
                patch_bias=patch_size_t is None,
            ),
        )  # fmt: skip


def save(folder: Path, seed: int = 0) -> Path:
    """See `pipeline`."""
    return write(pipeline(seed), folder, SETTINGS)


def theirs(model: VideoModel, noise: Tensor, prompt: str, steps: int, guidance: float) -> Tensor:
    """`CogVideoXPipeline`'s own sampling, from noise with time first."""
    settings = model.sample_defaults
    return model.pipeline(
        prompt, height=settings.height, width=settings.width, num_frames=settings.frames,
        num_inference_steps=steps, guidance_scale=guidance, latents=noise.transpose(1, 2),
        max_sequence_length=8, output_type="pt",
    ).frames  # fmt: skip

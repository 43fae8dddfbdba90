"""Mochi 1, with a scheduler that counts backwards."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLMochi,
    FlowMatchEulerDiscreteScheduler,
    MochiPipeline,
    MochiTransformer3DModel,
)
from torch import Tensor
from transformers import T5Config, T5EncoderModel

from tests.train import tiny
from tests.train.families import write
from train.models import VideoModel

SETTINGS = {
    "frames": 7, "height": 16, "width": 32, "fps": 30.0, "num_inference_steps": 3,
    "guidance_scale": 2.0, "max_sequence_length": 8,
}  # fmt: skip


def save(folder: Path, seed: int = 0) -> Path:
    """Latents are 12 x 2 x 2 x 4: the pipeline's factors, 8 and 6, are written into it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = MochiPipeline(
            tokenizer=tiny.tokenizer(8),
            text_encoder=T5EncoderModel(T5Config(**tiny.T5)),
            vae=AutoencoderKLMochi(
                encoder_block_out_channels=tiny.widths(4, 32),
                decoder_block_out_channels=tiny.widths(4, 32),
                layers_per_block=(1,) * 5, add_attention_block=(False,) * 5,
            ),
            scheduler=FlowMatchEulerDiscreteScheduler(invert_sigmas=True),
            transformer=MochiTransformer3DModel(
                num_attention_heads=2, attention_head_dim=8, num_layers=2,
                pooled_projection_dim=16, in_channels=12, text_embed_dim=16, time_embed_dim=8,
                max_sequence_length=8,
            ),
            force_zeros_for_empty_prompt=True,
        )  # fmt: skip
        with torch.no_grad():  # else the clip has no positions
            made.transformer.pos_frequencies.normal_()
    return write(made, folder, SETTINGS)


def theirs(model: VideoModel, noise: Tensor, prompt: str, steps: int, guidance: float) -> Tensor:
    """`MochiPipeline`'s own sampling."""
    settings = model.sample_defaults
    return model.pipeline(
        prompt, height=settings.height, width=settings.width, num_frames=settings.frames,
        num_inference_steps=steps, guidance_scale=guidance, latents=noise,
        max_sequence_length=8, output_type="pt",
    ).frames  # fmt: skip

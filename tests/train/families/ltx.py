"""LTX-Video with the shift that grows with the clip, and patches of one latent position."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLLTXVideo,
    FlowMatchEulerDiscreteScheduler,
    LTXPipeline,
    LTXVideoTransformer3DModel,
)
from torch import Tensor
from transformers import T5Config, T5EncoderModel

from tests.train import tiny
from tests.train.families import write
from train.models import VideoModel

SETTINGS = {
    "frames": 9, "height": 32, "width": 64, "fps": 25.0, "num_inference_steps": 3,
    "guidance_scale": 2.0, "max_sequence_length": 8,
}  # fmt: skip


def save(folder: Path, seed: int = 0) -> Path:
    return write(pipeline(seed), folder, SETTINGS)


def pipeline(seed: int = 0) -> LTXPipeline:
    """Latents are 8 x 3 x 4 x 8 and have a mean and a deviation of their own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = AutoencoderKLLTXVideo(
            latent_channels=8, block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
            down_block_types=("LTXVideoDownBlock3D",) * 2,
            layers_per_block=(1, 1, 1), decoder_layers_per_block=(1, 1, 1),
            spatio_temporal_scaling=(True, True), decoder_spatio_temporal_scaling=(True, True),
            decoder_inject_noise=(False,) * 3, downsample_type=("conv",) * 2,
            upsample_residual=(False,) * 2, upsample_factor=(1,) * 2,
            patch_size=2, patch_size_t=1,
        )  # fmt: skip
        vae.latents_mean.copy_(torch.linspace(-0.5, 0.5, 8))
        vae.latents_std.copy_(torch.linspace(0.5, 2.0, 8))
        return LTXPipeline(
            tokenizer=tiny.tokenizer(8),
            text_encoder=T5EncoderModel(T5Config(**tiny.T5)),
            vae=vae,
            scheduler=FlowMatchEulerDiscreteScheduler(
                use_dynamic_shifting=True, shift_terminal=0.1, base_shift=0.95, max_shift=2.05,
                base_image_seq_len=64, max_image_seq_len=256,
            ),
            transformer=LTXVideoTransformer3DModel(
                in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=12,
                cross_attention_dim=24, num_layers=2, caption_channels=16,
            ),
        )  # fmt: skip


def theirs(model: VideoModel, noise: Tensor, prompt: str, steps: int, guidance: float) -> Tensor:
    """`LTXPipeline`'s own sampling, from packed noise."""
    settings, pipeline = model.sample_defaults, model.pipeline
    return pipeline(
        prompt, height=settings.height, width=settings.width, num_frames=settings.frames,
        frame_rate=settings.fps, num_inference_steps=steps, guidance_scale=guidance,
        latents=pipeline._pack_latents(noise), max_sequence_length=8, output_type="pt",
    ).frames  # fmt: skip

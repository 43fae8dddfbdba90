"""Stable Video Diffusion: two levels, four frames, its own scheduler's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from diffusers.pipelines.stable_video_diffusion import pipeline_stable_video_diffusion as module
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from tests.train import families, tiny_image
from train import bank
from train.models import VideoModel, svd
from train.models.wan_image import pictures

SETTINGS = {
    "frames": 4, "height": 16, "width": 32, "fps": 7.0, "num_inference_steps": 3,
    "guidance_scale": 2.5, "max_sequence_length": 0,
}  # fmt: skip


VAE: dict[str, Any] = {
    "block_out_channels": (32, 32), "layers_per_block": 1,
    "down_block_types": ("DownEncoderBlock2D",) * 2,
}  # fmt: skip


def save(folder: Path, seed: int = 0) -> Path:
    """Latents are 4 x 4 x 8 x 16."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip = CLIPVisionConfig(
            hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
            image_size=224, patch_size=56, projection_dim=16,
        )  # fmt: skip
        made = StableVideoDiffusionPipeline(
            vae=AutoencoderKLTemporalDecoder(**VAE),
            image_encoder=CLIPVisionModelWithProjection(clip),
            # 64: with a channel per group of its 32, the norms would take the clock out again
            unet=UNetSpatioTemporalConditionModel(
                block_out_channels=(64, 64), layers_per_block=1, sample_size=8, num_frames=4,
                down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
                up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
                cross_attention_dim=16, num_attention_heads=2, addition_time_embed_dim=8,
                projection_class_embeddings_input_dim=24,
            ),
            scheduler=EulerDiscreteScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
                prediction_type="v_prediction", sigma_min=0.002, sigma_max=700.0,
                timestep_spacing="leading", timestep_type="continuous", use_karras_sigmas=True,
            ),
            feature_extractor=CLIPImageProcessor(crop_size=224, size=224),
        )  # fmt: skip
    return families.write(made, folder, SETTINGS)


def theirs(model: VideoModel, noise: Tensor, prompt: str, steps: int, guidance: float) -> Tensor:
    """The pipeline's own sampling, with our draw of the image's noise."""
    settings = model.sample_defaults
    image = tiny_image.first(settings).pixels
    grain = bank.noise("image", svd._name(image[0]), 0, tuple(image[0].shape))[None]
    with mock.patch.object(module, "randn_tensor", return_value=grain):
        return model.pipeline(
            pictures(image), height=settings.height, width=settings.width,
            num_frames=settings.frames, num_inference_steps=steps, max_guidance_scale=guidance,
            fps=int(settings.fps), latents=noise, output_type="pt",
        ).frames  # fmt: skip

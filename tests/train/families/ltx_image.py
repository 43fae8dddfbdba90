"""LTX-Video as image-to-video: the first latent frame is given, its tokens are at level 0."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import LTXImageToVideoPipeline
from torch import Tensor

from tests.train import tiny_image
from tests.train.families import ltx, write
from train.models import VideoModel


def save(folder: Path, seed: int = 0) -> Path:
    return write(LTXImageToVideoPipeline(**ltx.pipeline(seed).components), folder, ltx.SETTINGS)


def image_latents(model: VideoModel) -> Tensor:
    """Of the first image, by the VAE itself and the pipeline's own scale: the mean, not a draw."""
    vae = model.pipeline.vae
    pixels = tiny_image.first(model.sample_defaults).pixels[:, :, None]
    raw = vae.encode(pixels * 2 - 1).latent_dist.mode()
    return model.pipeline._normalize_latents(raw, vae.latents_mean, vae.latents_std)


@torch.no_grad()
def theirs(model: VideoModel, noise: Tensor, prompt: str, steps: int, guidance: float) -> Tensor:
    """The pipeline's own sampling, from packed noise after the image's latents."""
    settings, pipeline = model.sample_defaults, model.pipeline
    begun = torch.cat([image_latents(model), noise[:, :, 1:]], dim=2)
    return pipeline(
        prompt=prompt, height=settings.height, width=settings.width, num_frames=settings.frames,
        frame_rate=settings.fps, num_inference_steps=steps, guidance_scale=guidance,
        latents=pipeline._pack_latents(begun), max_sequence_length=8, output_type="pt",
    ).frames  # fmt: skip

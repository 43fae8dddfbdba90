"""A first image, and what the tiny Wan pipelines of 2.2 and of image-to-video are made of."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import WanTransformer3DModel
from jaxtyping import Float
from torch import Tensor

from tests.train import tiny
from train.models import SampleSettings, VideoModel
from train.models.protocol import FirstFrames
from train.models.wan_image import pictures


def first(settings: SampleSettings, seed: int = 0) -> FirstFrames:
    """One image of whole bytes, so that a picture of it is it."""
    drawn = torch.Generator().manual_seed(seed)
    size = (1, 3, settings.height, settings.width)
    return FirstFrames(torch.randint(0, 256, size, generator=drawn) / 255, settings.frames)


def transformer(channels: int = tiny.LATENTS, **rest: Any) -> WanTransformer3DModel:
    """Of `channels` in; patches are of one latent frame."""
    return WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=channels,
        out_channels=tiny.LATENTS, text_dim=16, freq_dim=16, ffn_dim=32, num_layers=2,
        rope_max_seq_len=32, **rest,
    )  # fmt: skip


def parts(seed: int) -> dict[str, Any]:
    """The tiny Wan pipeline's components but for its transformer."""
    made = tiny.pipeline(seed).components
    return {name: made[name] for name in ("tokenizer", "text_encoder", "vae", "scheduler")}


def theirs(
    model: VideoModel, noise: Tensor, prompt: str, steps: int, guidance: float, **rest: Any
) -> Float[Tensor, "b t c h w"]:
    """A Wan pipeline's own sampling, from the first image where it takes one."""
    settings, more = model.sample_defaults, dict(rest)
    if model.image_conditioned:
        (more["image"],) = pictures(first(settings).pixels)
    return model.pipeline(
        prompt=prompt, height=settings.height, width=settings.width,
        num_frames=settings.frames - 1,  # it adds one where time is not compressed
        num_inference_steps=steps, guidance_scale=guidance, latents=noise, output_type="pt", **more,
    ).frames  # fmt: skip

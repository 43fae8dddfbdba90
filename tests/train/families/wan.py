"""Wan 2.1, of the same kind as the built-in model; built in `tests.train.tiny`."""

from __future__ import annotations

from torch import Tensor

from tests.train.tiny import save
from train.models import VideoModel

__all__ = ["save", "theirs"]


def theirs(model: VideoModel, noise: Tensor, prompt: str, steps: int, guidance: float) -> Tensor:
    """`WanPipeline`'s own sampling."""
    settings, pipeline = model.sample_defaults, model.pipeline
    factor = pipeline.vae_scale_factor_temporal
    return pipeline(
        prompt, height=settings.height, width=settings.width,
        num_frames=settings.frames - (factor == 1),  # it adds one where time is not compressed
        num_inference_steps=steps, guidance_scale=guidance, latents=noise,
        max_sequence_length=16 if model.name == "shapes" else 8, output_type="pt",
    ).frames  # fmt: skip

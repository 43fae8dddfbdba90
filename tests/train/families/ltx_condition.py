"""LTX-Video 0.9.5 and later from a first image: their own levels and positions."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, LTXConditionPipeline
from diffusers.pipelines.ltx import pipeline_ltx_condition
from torch import Tensor

from tests.train import tiny_image
from tests.train.families import ltx, write
from train.models import VideoModel
from train.models.wan_image import pictures


def save(folder: Path, seed: int = 0) -> Path:
    """The scheduler does not shift, as in the published ones."""
    parts: dict[str, Any] = dict(ltx.pipeline(seed).components)
    parts["scheduler"] = FlowMatchEulerDiscreteScheduler()
    return write(LTXConditionPipeline(**parts), folder, ltx.SETTINGS)


def theirs(model: VideoModel, noise: Tensor, prompt: str, steps: int, guidance: float) -> Tensor:
    """The pipeline's own sampling, whose noise is ours and whose image is its latents' mean."""
    settings, where = model.sample_defaults, pipeline_ltx_condition
    with (
        mock.patch.object(where, "randn_tensor", return_value=noise.clone()),
        mock.patch.object(where, "retrieve_latents", lambda found, **_: found.latent_dist.mode()),
        torch.no_grad(),
    ):
        return model.pipeline(
            image=pictures(tiny_image.first(settings).pixels)[0], prompt=prompt,
            height=settings.height, width=settings.width, num_frames=settings.frames,
            frame_rate=settings.fps, num_inference_steps=steps, guidance_scale=guidance,
            image_cond_noise_scale=0.0, max_sequence_length=8, output_type="pt",
        ).frames  # fmt: skip

"""AnimateDiff: two levels with motion modules, of at most eight frames."""

from __future__ import annotations

from pathlib import Path

from diffusers import AnimateDiffPipeline, DDIMScheduler, UNetMotionModel
from torch import Tensor

from tests.train import families
from tests.train.tiny_unet import LATENTS, SETTINGS, WIDTH, parts
from train.models import VideoModel


def unet() -> UNetMotionModel:
    return UNetMotionModel(
        sample_size=8, in_channels=LATENTS, out_channels=LATENTS, block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlockMotion", "DownBlockMotion"),
        up_block_types=("UpBlockMotion", "CrossAttnUpBlockMotion"),
        layers_per_block=1, norm_num_groups=8, cross_attention_dim=WIDTH, num_attention_heads=2,
        motion_max_seq_length=8, motion_num_attention_heads=2,
    )  # fmt: skip


def save(folder: Path, seed: int = 0) -> Path:
    scheduler = DDIMScheduler(beta_schedule="linear", clip_sample=False, steps_offset=1)
    made = AnimateDiffPipeline(**parts(seed, unet=unet), motion_adapter=None, scheduler=scheduler)
    return families.write(made, folder, SETTINGS)


def theirs(model: VideoModel, noise: Tensor, prompt: str, steps: int, guidance: float) -> Tensor:
    """`AnimateDiffPipeline`'s own sampling."""
    return model.pipeline(
        prompt, num_frames=4, height=16, width=16, num_inference_steps=steps,
        guidance_scale=guidance, latents=noise, output_type="pt",
    ).frames  # fmt: skip

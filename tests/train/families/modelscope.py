"""ModelScope: two levels; its scheduler ends at timestep 0, as the published one does."""

from __future__ import annotations

from pathlib import Path

from diffusers import DDIMScheduler, TextToVideoSDPipeline, UNet3DConditionModel
from torch import Tensor

from tests.train import families
from tests.train.tiny_unet import LATENTS, SETTINGS, WIDTH, parts
from train.models import VideoModel


def unet() -> UNet3DConditionModel:
    return UNet3DConditionModel(
        sample_size=8, in_channels=LATENTS, out_channels=LATENTS, block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        layers_per_block=1, norm_num_groups=8, cross_attention_dim=WIDTH, attention_head_dim=4,
    )  # fmt: skip


def save(folder: Path, seed: int = 0) -> Path:
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1,
    )  # fmt: skip
    made = TextToVideoSDPipeline(**parts(seed, unet=unet), scheduler=scheduler)
    return families.write(made, folder, SETTINGS)


def theirs(model: VideoModel, noise: Tensor, prompt: str, steps: int, guidance: float) -> Tensor:
    """`TextToVideoSDPipeline`'s own sampling."""
    return model.pipeline(
        prompt, num_frames=4, height=16, width=16, num_inference_steps=steps,
        guidance_scale=guidance, latents=noise, output_type="pt",
    ).frames  # fmt: skip

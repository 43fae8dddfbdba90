"""HunyuanVideo, guidance-distilled, with a tokenizer whose prompt template is 95 tokens long."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLHunyuanVideo,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideoPipeline,
    HunyuanVideoTransformer3DModel,
)
from diffusers.pipelines.hunyuan_video.pipeline_hunyuan_video import DEFAULT_PROMPT_TEMPLATE
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, LlamaConfig, LlamaModel

from tests.train import tiny
from tests.train.families import write
from train.models import VideoModel

SETTINGS = {
    "frames": 5, "height": 16, "width": 32, "fps": 24.0, "num_inference_steps": 3,
    "guidance_scale": 1.0, "max_sequence_length": 8,
}  # fmt: skip


def save(folder: Path, seed: int = 0) -> Path:
    """Latents are 4 x 2 x 4 x 8, scaled by 0.5."""
    prefix = DEFAULT_PROMPT_TEMPLATE["template"].split("{}")[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = HunyuanVideoPipeline(
            tokenizer=tiny.words(prefix, DEFAULT_PROMPT_TEMPLATE["crop_start"]),
            text_encoder=LlamaModel(
                LlamaConfig(
                    vocab_size=16, hidden_size=16, intermediate_size=32, num_hidden_layers=3,
                    num_attention_heads=2, max_position_embeddings=128,
                )
            ),
            tokenizer_2=tiny.tokenizer(77),
            text_encoder_2=CLIPTextModel(
                CLIPTextConfig(
                    vocab_size=16, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
                    num_attention_heads=2, eos_token_id=1, pad_token_id=0, bos_token_id=3,
                )
            ),
            vae=AutoencoderKLHunyuanVideo(
                latent_channels=4, block_out_channels=tiny.widths(3), layers_per_block=1,
                down_block_types=("HunyuanVideoDownBlock3D",) * 3,
                up_block_types=("HunyuanVideoUpBlock3D",) * 3, norm_num_groups=2,
                scaling_factor=0.5, spatial_compression_ratio=4, temporal_compression_ratio=4,
                mid_block_add_attention=False,
            ),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
            transformer=HunyuanVideoTransformer3DModel(
                in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=8,
                num_layers=1, num_single_layers=1, num_refiner_layers=1, patch_size=2,
                guidance_embeds=True, text_embed_dim=16, pooled_projection_dim=16,
                rope_axes_dim=(2, 2, 4),
            ),
        )  # fmt: skip
    return write(made, folder, SETTINGS)


def theirs(model: VideoModel, noise: Tensor, prompt: str, steps: int, guidance: float) -> Tensor:
    """`HunyuanVideoPipeline`'s own sampling at its own embedded guidance of 6."""
    settings = model.sample_defaults
    return model.pipeline(
        prompt, negative_prompt="", true_cfg_scale=guidance,
        height=settings.height, width=settings.width, num_frames=settings.frames,
        num_inference_steps=steps, latents=noise, max_sequence_length=8, output_type="pt",
    ).frames  # fmt: skip

"""HunyuanVideo 1.5, with a chat template of 108 tokens before the prompt, as the pipeline cuts."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLHunyuanVideo15,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideo15Pipeline,
    HunyuanVideo15Transformer3DModel,
)
from diffusers.guiders import ClassifierFreeGuidance
from torch import Tensor
from transformers import Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel, T5Config, T5EncoderModel

from tests.train import tiny
from tests.train.families import write
from train.models import VideoModel

SETTINGS = {
    "frames": 5, "height": 16, "width": 32, "fps": 24.0, "num_inference_steps": 3,
    "guidance_scale": 2.0, "max_sequence_length": 8,
}  # fmt: skip


def save(folder: Path, seed: int = 0, *, use_meanflow: bool = False) -> Path:
    """Latents are 4 x 2 x 4 x 8, scaled by 0.5."""
    tokenizer = tiny.words("", 0)
    tokenizer.chat_template = "{{ '<fill>' * 108 }}{{ messages[1]['content'] }}<|eot_id|>"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = HunyuanVideo15Pipeline(
            tokenizer=tokenizer,
            text_encoder=Qwen2_5_VLTextModel(
                Qwen2_5_VLTextConfig(
                    vocab_size=16, hidden_size=16, intermediate_size=32, num_hidden_layers=3,
                    num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=128,
                    bos_token_id=None, eos_token_id=None,
                    rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 2]},
                )
            ),
            tokenizer_2=tiny.tokenizer(256),
            text_encoder_2=T5EncoderModel(T5Config(**tiny.T5)),
            vae=AutoencoderKLHunyuanVideo15(
                latent_channels=4, block_out_channels=tiny.widths(3), layers_per_block=1,
                spatial_compression_ratio=4, temporal_compression_ratio=4, scaling_factor=0.5,
            ),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
            transformer=HunyuanVideo15Transformer3DModel(
                in_channels=9, out_channels=4, num_attention_heads=2, attention_head_dim=8,
                num_layers=2, num_refiner_layers=1, text_embed_dim=16, text_embed_2_dim=16,
                image_embed_dim=8, rope_axes_dim=(2, 2, 4), task_type="t2v",
                use_meanflow=use_meanflow,
            ),
            guider=ClassifierFreeGuidance(guidance_scale=2.0),
        )  # fmt: skip
    return write(made, folder, SETTINGS)


def theirs(model: VideoModel, noise: Tensor, prompt: str, steps: int, guidance: float) -> Tensor:
    """`HunyuanVideo15Pipeline`'s own sampling, guided by its own object."""
    settings = model.sample_defaults
    assert model.pipeline.guider.guidance_scale == guidance
    return model.pipeline(
        prompt, height=settings.height, width=settings.width, num_frames=settings.frames,
        num_inference_steps=steps, latents=noise, output_type="pt",
    ).frames  # fmt: skip

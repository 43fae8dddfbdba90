"""A tiny `WanPipeline` with random weights, of the same kind as the built-in model."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel

FRAMES, SIZE, LATENTS, PATCH = 9, 16, 4, 2
SETTINGS = {
    "frames": FRAMES, "height": SIZE, "width": SIZE, "fps": 8.0,
    "num_inference_steps": 3, "guidance_scale": 2.0, "max_sequence_length": 8,
}  # fmt: skip
WORDS = ("a", "red", "blue", "circle", "square", "moving", "left", "right")


def pipeline(seed: int = 0) -> WanPipeline:
    """Random weights; latents are 4 x 9 x 8 x 8 and have a mean and a deviation of their own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = T5Tokenizer(
            vocab=[
                ("<pad>", 0.0),
                ("</s>", 0.0),
                ("<unk>", -9.0),
                *((f"▁{w}", -1.0) for w in WORDS),
            ],
            extra_ids=0,
        )
        tokenizer.model_max_length = SETTINGS["max_sequence_length"]
        made = WanPipeline(
            tokenizer=tokenizer,
            text_encoder=UMT5EncoderModel(
                UMT5Config(
                    vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1,
                    num_heads=2, dropout_rate=0.0, tie_word_embeddings=False,
                )
            ),
            vae=AutoencoderKLWan(
                base_dim=8, z_dim=LATENTS, dim_mult=[1], num_res_blocks=0, attn_scales=[],
                temperal_downsample=[], in_channels=3 * PATCH**2, out_channels=3 * PATCH**2,
                patch_size=PATCH, scale_factor_temporal=1, scale_factor_spatial=PATCH,
                latents_mean=[0.1, -0.2, 0.0, 0.3], latents_std=[0.5, 1.0, 2.0, 0.25],
            ),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=2.0),
            transformer=WanTransformer3DModel(
                patch_size=(3, 2, 2), num_attention_heads=2, attention_head_dim=12,
                in_channels=LATENTS, out_channels=LATENTS, text_dim=16, freq_dim=16, ffn_dim=32,
                num_layers=2, rope_max_seq_len=32,
            ),
        )  # fmt: skip
    return made


def save(folder: Path, seed: int = 0) -> Path:
    """The pipeline and its `shapes.json` in a folder that `train.models.load` takes."""
    pipeline(seed).save_pretrained(folder)
    (folder / "shapes.json").write_text(json.dumps(SETTINGS))
    return folder

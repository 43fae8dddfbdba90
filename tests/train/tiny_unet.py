"""What the tiny UNet families share: CLIP text of letters, an image autoencoder.

Random weights. Latents are 4 x 4 x 8 x 8: four channels, four frames, half the height and width.
"""

from __future__ import annotations

import string
from typing import Any

import torch
from diffusers import AutoencoderKL
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

LENGTH, WIDTH, LATENTS = 40, 16, 4
SETTINGS = {
    "frames": 4, "height": 16, "width": 16, "fps": 8.0,
    "num_inference_steps": 4, "guidance_scale": 2.0, "max_sequence_length": LENGTH,
}  # fmt: skip
TEXT: dict[str, Any] = {
    "vocab_size": 3 + 2 * 26, "hidden_size": WIDTH, "intermediate_size": 32,
    "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": LENGTH,
    "hidden_act": "gelu", "projection_dim": WIDTH, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "block_out_channels": (8, 16), "layers_per_block": 1, "latent_channels": LATENTS,
    "norm_num_groups": 8, "sample_size": 16, "scaling_factor": 0.5,
}  # fmt: skip


def tokenizer() -> CLIPTokenizer:
    """One token per letter; "!" is token 0 and pads."""
    letters = [letter + end for end in ("", "</w>") for letter in string.ascii_lowercase]
    words = ["!", "<|startoftext|>", "<|endoftext|>", *letters]
    return CLIPTokenizer(
        {word: i for i, word in enumerate(words)}, [], pad_token="!", model_max_length=LENGTH
    )


def text_encoder() -> CLIPTextModel:
    """Two layers."""
    return CLIPTextModel(CLIPTextConfig(**TEXT))


def vae() -> AutoencoderKL:
    """Two levels."""
    return AutoencoderKL(**VAE)


def parts(seed: int, **others: Any) -> dict[str, Any]:
    """Autoencoder, text encoder, tokenizer, and `others` called, all drawn from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        drawn = {name: make() for name, make in others.items()}
        return {"vae": vae(), "text_encoder": text_encoder(), "tokenizer": tokenizer(), **drawn}

"""A tiny `WanPipeline` with random weights, of the same kind as the built-in model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast, T5Tokenizer, UMT5Config, UMT5EncoderModel

FRAMES, SIZE, LATENTS, PATCH = 9, 16, 4, 2
SETTINGS = {
    "frames": FRAMES, "height": SIZE, "width": SIZE, "fps": 8.0,
    "num_inference_steps": 3, "guidance_scale": 2.0, "max_sequence_length": 8,
}  # fmt: skip
WORDS = ("a", "red", "blue", "circle", "square", "moving", "left", "right")
T5: dict[str, Any] = {
    "vocab_size": 3 + len(WORDS), "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1,
    "num_heads": 2, "dropout_rate": 0.0, "tie_word_embeddings": False,
}  # fmt: skip
"""Of a one-layer text encoder that fits `tokenizer`; embeddings have 16 channels."""


def widths(count: int, width: int = 8) -> Any:
    """One width per block of a network whose annotation allows one block."""
    return (width,) * count


def tokenizer(length: int) -> Any:
    """A `T5Tokenizer`: one token per word of `WORDS`, `</s>` at the end, `length` at most."""
    made = T5Tokenizer(
        vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), *((f"▁{w}", -1.0) for w in WORDS)],
        extra_ids=0,
    )
    made.model_max_length = length
    return made


def words(prefix: str, length: int) -> Any:
    """A `PreTrainedTokenizerFast`: one token per word; `prefix` before a text takes `length`."""
    special = ["<pad>", "<unk>", "<|eot_id|>", "<fill>"]
    model = WordLevel({word: i for i, word in enumerate([*special, *WORDS])}, unk_token="<unk>")
    made = Tokenizer(model)
    made.pre_tokenizer = WhitespaceSplit()
    made.add_special_tokens(special)
    fill = length - len(made.encode(prefix).ids)
    made.post_processor = TemplateProcessing(
        single=["<fill>"] * fill + ["$A"], special_tokens=[("<fill>", special.index("<fill>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", padding_side="right"
    )


def pipeline(seed: int = 0) -> WanPipeline:
    """Random weights; latents are 4 x 9 x 8 x 8 and have a mean and a deviation of their own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = WanPipeline(
            tokenizer=tokenizer(SETTINGS["max_sequence_length"]),
            text_encoder=UMT5EncoderModel(UMT5Config(**T5)),
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
    """The pipeline and its `sampling.json` in a folder that `train.models.load` takes."""
    pipeline(seed).save_pretrained(folder)
    (folder / "sampling.json").write_text(json.dumps(SETTINGS))
    return folder

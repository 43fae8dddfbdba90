"""Wan 2.1 text-to-video at its real size with random weights: for speed and memory, not for clips.

The denoiser and the VAE have the published 1.3B configuration; the text encoder is one thin layer
of the real width, since prompts are embedded once. Weights are drawn on the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel

SIZES: dict[str, Any] = {
    "num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960, "num_layers": 30,
}  # fmt: skip
"""Of the denoiser; the library's own defaults are the rest."""
WORDS = ("a", "red", "blue", "circle", "square")


def pipeline(device: str, dtype: torch.dtype) -> WanPipeline:
    """The pipeline on its device, 1.4 billion random parameters."""
    words = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", -9.0),
        *((f"▁{word}", -1.0) for word in WORDS),
    ]
    tokenizer = T5Tokenizer(vocab=words, extra_ids=0)
    tokenizer.model_max_length = 512
    with _on(device, dtype):
        transformer = WanTransformer3DModel(**SIZES)
        vae = AutoencoderKLWan()
        text = UMT5EncoderModel(
            UMT5Config(vocab_size=8, d_model=4096, d_kv=8, d_ff=64, num_layers=1, num_heads=2)
        )
    return WanPipeline(
        tokenizer=tokenizer,
        text_encoder=text,
        vae=vae,
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def save(folder: Path, device: str, dtype: torch.dtype) -> Path:
    """The pipeline in a folder that `train.models.load` takes (about 3 GB)."""
    pipeline(device, dtype).save_pretrained(folder)
    return folder


@contextmanager
def _on(device: str, dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)

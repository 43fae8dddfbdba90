"""Every number of the built-in model's training, in one frozen dataclass.

Left out on purpose: a file format for it. A run writes the values that it used to `config.json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from data import shapes as world
from train.options import option

MAX_TOKENS = 16  # caption tokens that the denoiser was trained with; samplers must pass the same


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one training run; the defaults are those of the weights in the repository."""

    out: str = option("runs/shapes", "folder of the run; stages that it holds are not run again")
    stage: Literal["all", "vae", "denoiser", "encoder"] = option("all", "what to train")
    seed: int = option(0, "of everything that is drawn")
    device: str = option("cpu", "cpu, cuda, cuda:1, ...")
    backend: Literal["eager", "inductor"] = option(
        "eager", "inductor compiles the transformer: a tenth faster, needs a C++ compiler"
    )
    clips: int = option(8000, "clips for autoencoder and denoiser")
    frames: int = option(world.FRAMES, "per clip")
    size: int = option(world.SIZE, "height and width in pixels, a multiple of 8")
    vae_steps: int = option(1400, "optimizer steps")
    vae_batch: int = option(64, "frames per step")
    vae_rate: float = option(2e-3, "AdamW's highest rate")
    vae_width: int = option(64, "channels")
    latent_channels: int = option(8, "channels of a latent, for 4 x 4 pixels")
    text_width: int = option(64, "dimensions of a caption's tokens")
    heads: int = option(4, "attention heads of the denoiser")
    head_width: int = option(32, "dimensions of a head")
    layers: int = option(4, "blocks of the denoiser")
    ffn_width: int = option(256, "inner dimensions of a block's perceptron")
    denoiser_steps: int = option(
        4500, "optimizer steps; beyond, candidates for one prompt are all right and hardly differ"
    )
    denoiser_schedule: int = option(10_000, "steps of the cosine that the rate follows")
    denoiser_batch: int = option(32, "clips per step")
    denoiser_rate: float = option(1.5e-3, "AdamW's highest rate")
    muon_rate: float = option(3e-3, "Muon's highest rate, on AdamW's scale")
    caption_dropout: float = option(0.12, "share of captions dropped, for guidance")
    ema: float = option(0.999, "decay of the averaged weights")
    shift: float = option(2.0, "of the sampler's noise levels")
    guidance: float = option(1.5, "classifier-free guidance that `sampling.json` recommends")
    encoder_clips: int = option(5000, "clips for the text-video encoder")
    encoder_steps: int = option(2500, "optimizer steps")
    encoder_batch: int = option(24, "clips per step")
    encoder_rate: float = option(2e-3, "AdamW's highest rate")

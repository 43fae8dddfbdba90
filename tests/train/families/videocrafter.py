"""VideoCrafter2 at two levels, and its published sampler written out once more."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.train import families
from tests.train.tiny_unet import LATENTS, SETTINGS, WIDTH, parts
from train.models import VideoModel
from train.models.videocrafter import VideoCrafterPipeline
from train.nets.convert import scheduler
from train.nets.videocrafter import VideoCrafterUNet

UNET: dict[str, Any] = {
    "in_channels": LATENTS, "model_channels": 32, "channel_mult": (1, 2), "num_res_blocks": 1,
    "attention_levels": 1, "num_head_channels": 16, "context_dim": WIDTH,
}  # fmt: skip


def save(folder: Path, seed: int = 0) -> Path:
    drawn = parts(seed, unet=partial(VideoCrafterUNet, **UNET))
    return families.write(VideoCrafterPipeline(**drawn, scheduler=scheduler()), folder, SETTINGS)


def theirs(model: VideoModel, noise: Tensor, prompt: str, steps: int, guidance: float) -> Tensor:
    """The published sampler with eta 0, from its own tables of levels and scales."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    shares = (1 - betas).cumprod(0).float()
    scales = torch.cat([torch.linspace(1, 0.7, 400), torch.full((1000,), 0.7)])
    at = torch.arange(0, 1000, 1000 // steps) + 1
    before = torch.cat([torch.tensor([0]), at[:-1]])
    told, plain = model.embed([prompt, ""]).tensors["text"].chunk(2)
    x, unet = noise, model.components["unet"]
    for i in reversed(range(steps)):
        t, fps = at[i : i + 1].float(), torch.tensor([28.0])
        with torch.no_grad():
            with_text, without = unet(x, t, told, fps=fps), unet(x, t, plain, fps=fps)
        e = without + guidance * (with_text - without)
        x0 = (x - (1 - shares[at[i]]).sqrt() * e) / shares[at[i]].sqrt() / scales[at[i]]
        now = before[i]
        x = shares[now].sqrt() * scales[now] * x0 + (1 - shares[now]).sqrt() * e
    frames = x.transpose(1, 2).flatten(0, 1) / 0.5
    with torch.no_grad():
        return ((model.pipeline.vae.decode(frames).sample + 1) / 2).clamp(0, 1)[None]

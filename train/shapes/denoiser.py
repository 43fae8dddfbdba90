"""The denoiser of `shapes`: a small Wan transformer and its text encoder, by flow matching.

Rectified flow (Lipman et al. 2023; Liu et al. 2023): x_sigma = (1 - sigma) x0 + sigma noise, the
network predicts noise - x0, sigma is logit-normal (Esser et al. 2024). The matrices of the blocks
are trained by Muon (Jordan 2024), everything else by AdamW, with one cosine schedule and an average
of the weights. Captions are drawn anew at each step, with parts left out, and dropped altogether
now and then for classifier-free guidance.

The step counter seeds every draw, so that a resumed run goes on as if it had not stopped. Left out
on purpose: mixed precision (slower than float32 on the processor that the weights were trained on),
several devices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import tqdm
from transformers import T5Tokenizer, UMT5EncoderModel

from data import shapes as world
from train.shapes import text
from train.shapes.config import MAX_TOKENS, Config
from train.shapes.muon import Muon

PATCH = (3, 2, 2)  # latent frames, rows and columns per token
_SAVE_EVERY = 500


@dataclass
class Parts:
    """What is trained together."""

    transformer: WanTransformer3DModel
    encoder: UMT5EncoderModel
    tokenizer: T5Tokenizer

    def modules(self) -> nn.ModuleDict:
        """Both networks under stable names, for state and parameters."""
        return nn.ModuleDict({"transformer": self.transformer, "encoder": self.encoder})


def build(config: Config) -> Parts:
    """Fresh networks (they draw their weights from the global state: seed around the call)."""
    tokenizer = text.tokenizer()
    transformer: Any = WanTransformer3DModel(
        patch_size=PATCH, num_attention_heads=config.heads,
        attention_head_dim=config.head_width, in_channels=config.latent_channels,
        out_channels=config.latent_channels, text_dim=config.text_width, freq_dim=64,
        ffn_dim=config.ffn_width, num_layers=config.layers, rope_max_seq_len=64,
    )  # fmt: skip
    encoder: Any = text.encoder(config, len(tokenizer))
    return Parts(transformer.to(config.device), encoder.to(config.device), tokenizer)


def embed(parts: Parts, captions: list[str]) -> Float[Tensor, "b s d"]:
    """Embeddings as WanPipeline makes them: padded to MAX_TOKENS with zeros."""
    tokens = parts.tokenizer(
        captions, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
    ).to(parts.encoder.device)
    states = parts.encoder(tokens.input_ids, tokens.attention_mask).last_hidden_state
    return states * tokens.attention_mask[..., None]


def captions_at(step: int, pick: np.ndarray, what: list[world.Scene], config: Config) -> list[str]:
    """The captions of the picked scenes at this step; some are dropped, and then empty."""
    rng = np.random.default_rng([config.seed, 3, step])
    drop = rng.random(len(pick)) < config.caption_dropout
    written = [world.random_caption(what[i], rng) for i in pick]
    return ["" if gone else words for gone, words in zip(drop, written, strict=True)]


def loss_at(
    step: int,
    parts: Parts,
    latents: Float[Tensor, "n c t h w"],
    what: list[world.Scene],
    config: Config,
) -> Float[Tensor, ""]:
    """The flow-matching error of the batch of this step; latents are normalised per channel."""
    pick = np.random.default_rng([config.seed, 2, step]).integers(
        len(what), size=config.denoiser_batch
    )
    x0 = latents[torch.from_numpy(pick)].to(config.device)
    draw = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    noise = torch.randn(x0.shape, generator=draw).to(x0)
    sigma = torch.sigmoid(1.2 * torch.randn(len(pick), generator=draw) + 0.5).to(x0)
    s = sigma[:, None, None, None, None]
    condition = embed(parts, captions_at(step, pick, what, config))
    guess = parts.transformer((1 - s) * x0 + s * noise, 1000 * sigma, condition, return_dict=False)[
        0
    ]
    return ((guess - (noise - x0)) ** 2).mean()


def optimizers(parts: Parts, config: Config) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for the rest."""
    inside = [p for p in parts.transformer.blocks.parameters() if p.ndim == 2]
    chosen = {id(p) for p in inside}
    rest = [p for p in parts.modules().parameters() if id(p) not in chosen]
    return [
        Muon(inside, lr=config.muon_rate),
        torch.optim.AdamW(rest, lr=config.denoiser_rate, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def pace(step: int, config: Config) -> float:
    """The share of the full rate at this step: a short warm-up, then one cosine to zero."""
    warm = min(1.0, (step + 1) / min(300, config.denoiser_schedule))
    return warm * 0.5 * (1 + math.cos(math.pi * step / config.denoiser_schedule))


def train(
    parts: Parts, latents: Float[Tensor, "n c t h w"], what: list[world.Scene], config: Config
) -> None:
    """Trains in place, going on from `out/denoiser.pt`; ends with the averaged weights."""
    modules, made = parts.modules(), optimizers(parts, config)
    rates = [group["lr"] for optimizer in made for group in optimizer.param_groups]
    average = {k: v.detach().clone() for k, v in modules.state_dict().items()}
    saved = Path(config.out) / "denoiser.pt"
    first = _resume(saved, modules, made, average) if saved.exists() else 0
    weights = list(modules.parameters())
    with tqdm(total=config.denoiser_steps, initial=first, desc="denoiser", mininterval=5) as bar:
        for step in range(first, config.denoiser_steps):
            for optimizer, rate in zip(made, rates, strict=True):
                optimizer.param_groups[0]["lr"] = rate * pace(step, config)
            loss = loss_at(step, parts, latents, what, config)
            loss.backward()
            nn.utils.clip_grad_norm_(weights, 1.0)
            for optimizer in made:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            _follow(average, modules, min(config.ema, (1 + step) / (10 + step)))
            bar.update()
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
            if (step + 1) % _SAVE_EVERY == 0 or step + 1 == config.denoiser_steps:
                _save(saved, step + 1, modules, made, average)
    modules.load_state_dict(average)


@torch.no_grad()
def _follow(average: dict[str, Tensor], modules: nn.Module, keep: float) -> None:
    now = modules.state_dict()
    torch._foreach_lerp_(list(average.values()), [now[k] for k in average], 1 - keep)


def _save(
    path: Path,
    step: int,
    modules: nn.Module,
    made: list[torch.optim.Optimizer],
    average: dict[str, Tensor],
) -> None:
    state = {"step": step, "now": modules.state_dict(), "average": average}
    partial = path.with_suffix(".part")
    torch.save(state | {"optimizers": [o.state_dict() for o in made]}, partial)
    partial.replace(path)  # a run that is stopped here keeps the checkpoint before


def _resume(
    path: Path, modules: nn.Module, made: list[torch.optim.Optimizer], average: dict[str, Tensor]
) -> int:
    state = torch.load(path, weights_only=True)
    modules.load_state_dict(state["now"])
    for optimizer, old in zip(made, state["optimizers"], strict=True):
        optimizer.load_state_dict(old)
    for name, value in state["average"].items():
        average[name].copy_(value)
    return int(state["step"])

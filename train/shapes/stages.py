"""Trains the built-in model `shapes` again, from nothing, by seed: vae, denoiser, encoder.

    python -m train.shapes --out runs/shapes [--stage vae|denoiser|encoder|all] [--device cuda]

Each stage reads what the one before left in `--out`. What is there is not trained again, and the
denoiser goes on from its last checkpoint; delete a stage's file to train it anew. `out/pipeline`
and `out/scorer` hold the result.

Left out on purpose: copying the result over the weights in the repository. Do that by hand, after
`python -m train.shapes.evaluate --model OUT/pipeline`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan

from data.errors import UserError, user_errors
from scorers import shapes as judge
from train.options import parser
from train.shapes import denoiser, encoder, export, material, vae
from train.shapes.config import Config

_SAMPLE = 512  # clips that the latents' mean and deviation are taken from


def fit_vae(config: Config) -> None:
    """Trains the autoencoder and writes the latents' statistics into its configuration."""
    folder = Path(config.out) / "vae"
    if folder.exists():
        return
    pixels = material.clips(config, material.scenes(config))
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model: Any = vae.build(config)
    model.to(config.device)
    vae.train(model, pixels, config)
    latents = vae.encode_all(model, pixels[:_SAMPLE], config.device)
    model.register_to_config(
        latents_mean=latents.mean((0, 2, 3, 4)).tolist(),
        latents_std=latents.std((0, 2, 3, 4)).tolist(),
    )
    model.save_pretrained(folder)


def fit_denoiser(config: Config) -> None:
    """Trains transformer and text encoder on the latents, and exports the pipeline."""
    model = _vae(config)
    parts = fresh_parts(config)
    latents = _latents(model, config)
    if config.backend == "inductor":
        parts.transformer.compile()
    denoiser.train(parts, latents, material.scenes(config), config)
    export.export(model, parts, config, Path(config.out) / "pipeline")


def fit_encoder(config: Config) -> None:
    """Trains the text-video encoder; its weights go to `out/scorer`."""
    folder = Path(config.out) / "scorer"
    if folder.exists():
        return
    what, clips = encoder.material(config, _vae(config))
    model = encoder.fresh(config)
    encoder.train(model, what, clips, config)
    judge.save(model, folder)


def fresh_parts(config: Config) -> denoiser.Parts:
    """Untrained transformer and text encoder, drawn from the seed."""
    with torch.random.fork_rng():
        torch.manual_seed(config.seed + 1)
        return denoiser.build(config)


def _vae(config: Config) -> AutoencoderKLWan:
    folder = Path(config.out) / "vae"
    if not folder.exists():
        raise UserError(f"{folder} is missing: run --stage vae first, or --stage all")
    model: Any = AutoencoderKLWan.from_pretrained(folder)
    return model.to(config.device)


def _latents(model: AutoencoderKLWan, config: Config) -> torch.Tensor:
    """Normalised latents of the training clips, kept in `out/latents.npy`."""
    path = Path(config.out) / "latents.npy"
    if not path.exists():
        pixels = material.clips(config, material.scenes(config))
        np.save(path, vae.encode_all(model, pixels, config.device).half().numpy())
    raw = torch.from_numpy(np.load(path)).float()
    about: Any = model.config
    mean, std = torch.tensor(about.latents_mean), torch.tensor(about.latents_std)
    return (raw - mean.view(1, -1, 1, 1, 1)) / std.view(1, -1, 1, 1, 1)


FIT = {"vae": fit_vae, "denoiser": fit_denoiser, "encoder": fit_encoder}


def run(config: Config) -> None:
    """Runs one stage, or all of them in order."""
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(dataclasses.asdict(config), indent=2) + "\n")
    for name in FIT if config.stage == "all" else (config.stage,):
        FIT[name](config)


@user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """The command line of this module."""
    options = parser(Config, "python -m train.shapes", __doc__ or "")
    run(Config(**vars(options.parse_args(argv))))

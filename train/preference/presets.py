"""Settings by name for `train.dpo --preset`: what was published, and what is known to move a model.

A preset fills in options; one that is given on the command line beside it wins. VideoDPO (Liu et
al. 2024, arXiv 2412.14167) publishes beta 5000, learning rate 6e-6, 3000 steps of 8 pairs, pairs of
the best and the worst of N = 4 clips per prompt, and weights with exponent alpha 0.72 over a
numerator beta of 1 that are not normalised. Its released code differs where `source` says so.

A learning rate of 6e-6 is for whole networks. LoRAs at such rates stay next to their start (Wan at
rank 256, 5e-6 and beta 2000: "changes too small to see", flow_grpo issue 54); the `lora-` presets
take rates at which users report, or we measured on `shapes`, that samples change.

Left out on purpose: what a preset cannot set, such as the sampler of the clips (`train.sample -n
4`); and LoRA dropout, which VideoDPO's T2V-Turbo code has at 0.1: it would make policy and
reference differ by a draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data.errors import UserError
from train.preference.dpo_config import Config

_VIDEODPO: Mapping[str, Any] = {
    "beta": 5000.0, "lr": 6e-6, "steps": 3000, "batch": 8, "micro": 1, "weights": "paper",
    "weight_normalise": "none", "loss": "diffusion-dpo", "labels": "auto",
    "evaluate_every": 250, "save_every": 250,
}  # fmt: skip
"""Shared by its base models; how often one looks and saves is ours."""
_LORA: Mapping[str, Any] = {"labels": "human", "evaluate_every": 50, "save_every": 50}


@dataclass(frozen=True)
class Preset:
    """Options by their name in `Config`, and where they are from."""

    options: Mapping[str, Any]
    source: str


PRESETS: dict[str, Preset] = {
    "videodpo-vc2": Preset(
        {**_VIDEODPO, "train": "full", "frames": 16, "height": 320, "width": 512},
        "the paper, on VideoCrafter2: the whole UNet; the shipped configuration switches weights "
        "off (--weights none), and 8 is 1 pair x 4 GPUs x 2 accumulated",
    ),
    "videodpo-t2v-turbo": Preset(
        {**_VIDEODPO, "rank": 64, "batch": 4, "frames": 2, "height": 320, "width": 512},
        "the released code, on T2V-Turbo: a LoRA of rank 64, 4 pairs, 2 frames; its dropout 0.1 is "
        "0 here, and its constant weight of 0.72 is not repeated",
    ),
    "videodpo-cogvideo": Preset(
        {**_VIDEODPO, "train": "full"},
        "the paper's shared settings, on CogVideo; code and further settings were never released",
    ),
    "lora-shapes": Preset(
        {**_LORA, "lr": 5e-4, "beta": 1000.0, "rank": 8, "steps": 100, "batch": 16},
        "the defaults: measured on `shapes` (docs/log.md); beyond 150 steps samples get worse",
    ),
    "lora-wan": Preset(
        {**_LORA, "lr": 5e-5, "beta": 1000.0, "rank": 64, "alpha": 64.0, "steps": 500, "batch": 32,
         "micro": 1, "checkpointing": "blocks", "dtype": "bfloat16"},
        "Wan and other flow models: users train with beta 500 to 2000 and rates of 1e-5 to 1e-4, "
        "and with 32 pairs or more; not measured here",
    ),
    "lora-strong": Preset(
        {**_LORA, "lr": 1e-4, "beta": 500.0, "rank": 64, "alpha": 64.0, "steps": 500, "batch": 32,
         "micro": 1, "checkpointing": "blocks", "dtype": "bfloat16", "anchor": 0.1},
        "where lora-wan is not seen in the samples: twice the rate, half of beta, and an anchor "
        "against drift; not measured here",
    ),
}  # fmt: skip


def settled(preset: str | None, given: Mapping[str, Any]) -> Config:
    """The settings of a preset, with the given ones in place of its own.

    Args:
        preset: A name of `PRESETS`; None for the defaults.
        given: Options by their name in `Config`.

    Raises:
        UserError: No such preset, or a setting that cannot train anything.
    """
    if preset is None:
        return Config(**given)
    if preset not in PRESETS:
        raise UserError(f"Unknown preset {preset!r}; choose one of {', '.join(PRESETS)}")
    return Config(**{**PRESETS[preset].options, **given})

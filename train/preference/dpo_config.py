"""Settings of `train.dpo`: every option with its default, unit and source, and what is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from data.errors import UserError
from train.options import option

if TYPE_CHECKING:
    from train.preference.labelled import Weighting

_AT_LEAST_ONE = ("micro", "draws", "segments", "stop_rises", "grid_every")
_RANGES = {
    "flips": (0, 0.5), "sft": (0, math.inf), "anchor": (0, math.inf), "auto_beta": (1e-3, 0.5),
    "memory": (1e-6, math.inf),
    "held_out": (0, 1), "stop_drift": (0, math.inf),
}  # fmt: skip
_COUNTS = ("steps", "batch", "rank", "evaluate_every", "evaluate_pairs", "save_every")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one run. Everything that changes its result is here, and is kept with it."""

    db: str = option("prefs.duckdb", "database with pairs, scores and votes")
    labels: str = option(
        "human", "`human` votes, OmniScore's opinion (`auto`), or both (`posterior`)"
    )
    model: str = option("shapes", "`shapes` (built in), a diffusers folder, or a hub id")
    steps: int = option(100, "optimizer steps; on `shapes` 75 to 150 are enough")
    batch: int = option(16, "pairs per step")
    micro: int | None = option(None, "pairs that go through the network together; none: all")
    checkpointing: Literal["none", "half", "blocks", "all"] = option(
        "none",
        "what is computed again on the way back, for less memory: every second block, every block, "
        "or (all) every block and one clip of a pair after the other",
    )
    lr: float = option(5e-4, "AdamW's learning rate; for large models 1e-5 to 1e-4")
    beta: float = option(1000.0, "pull towards the reference; published: 2000 to 5000")
    loss: str = option("diffusion-dpo", "diffusion-dpo, hinge, ipo, cdpo, robust or kto")
    flips: float = option(0.1, "cdpo and robust: share of labels that are the wrong way round")
    sft: float = option(0.0, "weight of the chosen clips' own errors beside the loss")
    anchor: float = option(
        0.0, "weight of the squared distance to the reference's predictions beside the loss"
    )
    beta_schedule: Literal["constant", "epsilon", "snr"] = option(
        "constant",
        "beta by noise level: constant, epsilon ((1 - t)^2 for flow matching) or snr (Min-SNR, 5)",
    )
    auto_beta: float | None = option(
        None, "beta follows the pairs so that their mean gradient factor is this, such as 0.2"
    )
    segments: int = option(1, "stretches of a clip's latent frames with a margin each (DenseDPO)")
    as_released: bool = option(
        default=False,
        text="VideoDPO's released reductions, and a draw for each clip; for comparison only",
    )
    draws: int | None = option(
        None, "noise draws per pair before they come again; none: a new one in every epoch"
    )
    optimizer: Literal["adamw", "adamw8bit"] = option(
        "adamw", "adamw8bit keeps its states in 8 bits (needs bitsandbytes)"
    )
    storage: Literal["dtype", "float8"] = option(
        "dtype", "of the frozen weights between uses; float8: half of bfloat16's memory"
    )
    compile: bool = option(
        default=False, text="compile the network's repeated blocks: faster after a slow first step"
    )
    offload: Literal["none", "encoders", "groups"] = option(
        "none",
        "what waits in the CPU's memory on a GPU: text encoders and autoencoder while they are "
        "not needed, or (groups) those and the network's blocks too",
    )
    plan: Literal["none", "say", "auto"] = option(
        "say",
        "say: what a step is expected to take (not on `shapes`, where it is little); auto: also "
        "set --checkpointing and --micro so that it fits into memory, with the least to compute",
    )
    memory: float | None = option(
        None, "GiB that --plan auto may use; none: nine tenths of what is free on the device"
    )
    cache: str = option(
        "auto", "folder of latents, text and reference errors; auto: beside the database; or none"
    )
    cache_limit: float = option(50.0, "GiB that the cache may take; the oldest entries go first")
    train: Literal["lora", "full"] = option(
        "lora", "a LoRA, or all weights beside a frozen copy of them (VideoDPO's VideoCrafter2)"
    )
    rank: int = option(8, "of the LoRA on the attention's projections")
    alpha: float | None = option(None, "LoRA's alpha; none: the rank, so that its scale is 1")
    seed: int = option(0, "of the LoRA's start, the order of pairs, noise and noise levels")
    held_out: float = option(0.1, "share of prompts never trained on, by hash of the prompt")
    profile: str | None = option(
        None, "OmniScore profile; none: the calibration in use, or what pairs were made with"
    )
    weights: str = option("paper", "pair weights: paper, code, max-bin (VideoDPO) or none")
    weight_alpha: float | None = option(None, "exponent in place of the preset's")
    weight_beta: float | None = option(None, "numerator in place of the preset's")
    weight_clip: float | None = option(None, "largest weight, before normalisation")
    weight_normalise: Literal["none", "mean"] = option(
        "mean", "`mean` scales the weights to mean 1 over all labels; VideoDPO does not"
    )
    fit: Literal["auto", "exact", "resize"] = option(
        "auto", "clips of another size: refuse, or crop and resize; auto: resize for `shapes`"
    )
    frames: int | None = option(None, "frames per clip; none: the model's")
    height: int | None = option(None, "pixels; none: the model's")
    width: int | None = option(None, "pixels; none: the model's")
    sampler_steps: int | None = option(None, "denoising steps of samples; none: the model's")
    guidance: float | None = option(None, "guidance scale of samples; none: the model's")
    from_adapter: str | None = option(
        None, "run, folder or file of an adapter to go on from; it is then the reference"
    )
    evaluate_every: int = option(20, "steps between evaluations on held-out pairs")
    evaluate_pairs: int = option(64, "most pairs that an evaluation takes")
    save_every: int = option(10, "steps between saved states")
    rise_limit: float = option(
        0.25, "chosen_rise at which to warn: on `shapes`, samples get worse from there on"
    )
    stop_rises: int | None = option(
        None, "stop where chosen_rise rose at this many evaluations in a row; none: never"
    )
    stop_drift: float | None = option(
        None, "stop where predictions are this far (mean square) from the reference's; none: never"
    )
    trackers: str = option("", "tensorboard, trackio, ... (accelerate's), with commas; empty: none")
    grid: int = option(4, "prompts sampled before and after training; 0: none")
    grid_every: int | None = option(
        None, "steps between samples of those prompts while it trains; none: only at the end"
    )
    device: str = option("auto", "cpu, cuda, cuda:1, ...; auto: the GPU where there is one")
    dtype: Literal["float32", "bfloat16"] = option(
        "float32", "of the frozen weights; the LoRA is float32"
    )
    out: str = option("runs", "folder that the run's folder is made in")

    def __post_init__(self) -> None:
        """Refuse numbers that cannot train anything."""
        for name in (*_COUNTS, "lr", "beta", "cache_limit"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"{self._shown(name)}; it must be above 0")
        for name in _AT_LEAST_ONE:
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise UserError(f"{self._shown(name)}; it must be at least 1")
        for name, (low, high) in _RANGES.items():
            if getattr(self, name) is not None and not low <= getattr(self, name) < high:
                raise UserError(f"{self._shown(name)}; it must lie in [{low:g}, {high:g})")
        if self.as_released and (self.segments > 1 or self.beta_schedule != "constant"):
            raise UserError(
                "--as-released has one error per latent column at a constant beta: leave out "
                "--segments and --beta-schedule"
            )

        if self.train == "full" and (self.storage == "float8" or self.offload == "groups"):
            raise UserError(
                "--train full trains all weights: leave out --storage float8 and --offload groups, "
                "which are for frozen ones"
            )

    def _shown(self, name: str) -> str:
        return f"--{name.replace('_', '-')} is {getattr(self, name)}"

    @property
    def weighting(self) -> Weighting:
        """The weight options as `train.preference.labelled` takes them."""
        from train.preference.labelled import Weighting

        return Weighting(
            preset=self.weights,
            alpha=self.weight_alpha,
            beta=self.weight_beta,
            clip=self.weight_clip,
            normalise=self.weight_normalise,
        )

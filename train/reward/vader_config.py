"""Settings of runs on rewards: options with defaults and units, and the published experiments.

`--preset vader-hps-modelscope` is VADER's run of that reward on that base model, where they were
published together; `vader-hps` leaves the base model's own sampler settings out. An option that is
given beside it wins. Sources are the released scripts (learning rate 2e-4, LoRA of rank 16 with
alpha 8 or 16, clips in batches of 1 times 8 or 16 accumulated) and table 1 of the paper. No code of
the runs on Stable Video Diffusion was released: their rewards and the three rounds are the paper's,
learning rate, rank and batch are those of the other bases, the sampler's settings the model's own,
and the number of steps is ours. What differs: the batch is in one update here, frames are resized
by the scorer's dialect `vader`, and PickScore and the action see each clip's own prompt. Left out:
rewards of the code that are not in the paper (weather, compression).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from data.errors import UserError
from train.options import option

_PARTS = ("network", "blocks", "decoder", "reward")

_REWARDS: dict[str, dict[str, Any]] = {
    # 0.1 |score - 10|
    "aesthetic": {
        "reward": "aesthetic?dialect=vader:0.1", "loss": "distance", "target": 1.0,
    },
    # 1 - cosine
    "hps": {"reward": "hpsv2.1?dialect=vader", "loss": "distance", "target": 1.0},
    # (1.5 * 0.1 |aesthetic - 10| + |1 - cosine|) / 2: below both targets one distance from 1.25
    "aesthetic-hps": {
        "reward": "aesthetic?dialect=vader:0.075,hpsv2.1?dialect=vader:0.5",
        "loss": "distance",
        "target": 1.25,
    },
    # |1 - score / 100|
    "pickscore": {"reward": "pickscore:0.01", "loss": "distance", "target": 1.0},
    # the mean confidence of what is detected
    "removal": {"reward": "yolos?form=paper&target=book", "loss": "distance", "target": 1.0},
    "action": {"reward": "action", "loss": "distance", "target": 1.0, "score_frames": "every:2"},
    # minus the error of what is masked; that all frames are seen is ours
    "vjepa": {"reward": "vjepa", "loss": "negative-mean", "score_frames": "all"},
}  # fmt: skip
_BASES: dict[str, dict[str, Any]] = {
    "": {},
    "videocrafter2": {
        "sampler_steps": 25, "eta": 1.0, "guidance": 12.0, "frames": 12, "height": 320,
        "width": 512, "alpha": 8.0, "steps": 450,
    },
    "opensora": {
        "sampler_steps": 30, "guidance": 7.0, "score_frames": "latent:random", "steps": 800,
        "alpha": 8.0,
    },
    "modelscope": {
        "sampler_steps": 25, "guidance": 9.0, "frames": 16, "height": 384, "width": 384,
        "batch": 16,
    },
    "svd": {},  # no script was released
}  # fmt: skip
_IMAGE = ("aesthetic", "hps", "aesthetic-hps", "pickscore")
_PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {
    "": {reward: {} for reward in _REWARDS},
    "videocrafter2": {reward: {} for reward in (*_IMAGE, "removal", "action")},
    "opensora": {reward: {} for reward in _IMAGE},
    "modelscope": {"aesthetic": {}, "hps": {"reward": "hpsv2?dialect=vader"}, "action": {}},
    "svd": {"aesthetic": {}, "vjepa": {"rounds": 3}},
}
"""Rewards of each base model, with what is special to the two together."""
_SHARED: dict[str, Any] = {"k": 1, "lr": 2e-4, "rank": 16, "batch": 8, "score_frames": "random"}
PRESETS: dict[str, dict[str, Any]] = {
    "-".join(filter(None, ("vader", reward, base))): {
        **_SHARED, **_REWARDS[reward], **_BASES[base], **special
    }
    for base, rewards in _PUBLISHED.items()
    for reward, special in rewards.items()
}  # fmt: skip
"""Settings by name, as they were published."""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Settings of every run on rewards: `train.vader` and its baseline `train.ddpo`."""

    db: str = option("prefs.duckdb", "database whose train prompts are sampled")
    model: str = option("shapes", "`shapes` (built in), a diffusers folder, or a hub id")
    prompts: str = option(
        "", "file, builtin:N or activity[:N], added as train prompts; empty: those of the database"
    )
    image: str = option("", "first image of prompts whose table names none, for image-to-video")
    reward: str = option("shapes", "scorer[:weight],... each differentiable; or omniscore[:weight]")
    profile: str = option("shapes", "of the reward `omniscore`; calibrated:ID as people prefer")
    weights: str = option("", "folder with the scorers' weights; empty: where they are kept")
    reward_dtype: Literal["float32", "bfloat16"] = option(
        "float32", "of the scorers' networks; rewards are float32"
    )
    checkpointing: str = option(
        "none", "make again on the way back: network, blocks, decoder, reward, with commas"
    )
    steps: int = option(30, "optimizer steps; on `shapes` 20 to 40, then stop")
    batch: int = option(8, "clips per step, of all processes together")
    micro: int | None = option(None, "clips that are sampled together; none: all")
    lr: float = option(1e-3, "AdamW's learning rate; VADER: 2e-4")
    optimizer: Literal["adamw", "adamw8bit"] = option(
        "adamw", "adamw8bit keeps its states in 8 bits (needs bitsandbytes)"
    )
    rank: int = option(8, "of the LoRA on the attention's projections; VADER: 8 or 16")
    alpha: float | None = option(None, "LoRA's alpha; none: the rank, so that its scale is 1")
    seed: int = option(0, "of the LoRA's start, the order of prompts and the clips' noise")
    sampler_steps: int | None = option(None, "denoising steps; none: the model's")
    guidance: float | None = option(None, "classifier-free guidance scale; none: the model's")
    frames: int | None = option(None, "frames per clip; none: the model's")
    height: int | None = option(None, "pixels; none: the model's")
    width: int | None = option(None, "pixels; none: the model's")
    eta: float = option(0.0, "noise of the sampler, 0 to 1 (DDIM); VADER on VideoCrafter2: 1")
    from_adapter: str | None = option(
        None, "run, folder or file of an adapter to go on from; it is then the reference"
    )
    save_every: int = option(10, "steps between saved states")
    grid: int = option(4, "prompts sampled before and after training; 0: none")
    trackers: str = option("", "tensorboard, trackio, ... (accelerate's), with commas; empty: none")
    device: str = option("auto", "cpu, cuda, cuda:1, ...; auto: the GPU where there is one")
    dtype: Literal["float32", "bfloat16"] = option(
        "float32", "of the frozen weights; the LoRA is float32"
    )
    out: str = option("runs", "folder that the run's folder is made in")

    def __post_init__(self) -> None:
        """Refuse numbers that cannot train anything."""
        for name in self._positive():
            if not 0 < getattr(self, name) < math.inf:
                shown = name.replace("_", "-")
                raise UserError(f"--{shown} is {getattr(self, name)}; it must be above 0")
        if self.micro is not None and self.micro < 1:
            raise UserError(f"--micro is {self.micro}; it must be at least 1")
        if not 0 <= self.eta <= 1:
            raise UserError(f"--eta is {self.eta}; it must lie in [0, 1]")
        if unknown := set(self.again) - {*_PARTS}:
            raise UserError(
                f"--checkpointing names {min(unknown)!r}; write none, or some of "
                f"{', '.join(_PARTS)}"
            )

    @property
    def again(self) -> tuple[str, ...]:
        """The parts whose activations are made again on the way back."""
        named = (part.strip() for part in self.checkpointing.split(","))
        return tuple(part for part in named if part not in ("", "none"))

    def _positive(self) -> tuple[str, ...]:
        return ("steps", "batch", "lr", "rank", "save_every")


@dataclass(frozen=True, kw_only=True)
class Config(Shared):
    """Settings of one run. Everything that changes its result is here, and is kept with it."""

    preset: str = option("", "a published experiment, such as vader-hps; empty: none")
    loss: str = option("negative-mean", "a name of train.reward.rewards.LOSSES")
    target: float = option(0.0, "of the losses `distance` and `hinge`, in units of the reward")
    backprop: str = option(
        "last", "steps that carry gradient: last, tail, random, or numbers such as 3,24"
    )
    k: int = option(1, "how many of them (tail: at most); VADER: 1")
    detach: Literal["none", "input"] = option(
        "none", "input: no gradient through the network's input (DRTune)"
    )
    inner: int = option(0, "gradients per rollout, each with fresh noise (DRaFT-LV); 0: off")
    shortcut: int = option(0, "stop at one of the last so many steps (ReFL); 0: off")
    guidance_gradient: Literal["both", "conditional"] = option(
        "both", "branches of the guidance that carry gradient; VADER: both"
    )
    rounds: int = option(
        1, "clips that go on from one another's last frame (image-to-video); VADER: 3"
    )
    score_frames: str = option(
        "all", "all, first, random, every:N, or 0,8,16; latent:... of latent frames"
    )
    decoder: str = option(
        "", "folder of an AutoencoderTiny that decodes what is scored; empty: the model's own"
    )
    decoder_gradient: Literal["exact", "chosen"] = option(
        "exact", "chosen: only to the latent frames that are scored: least memory"
    )
    plan: Literal["none", "say", "auto"] = option(
        "say",
        "say: what a step is expected to take (not on `shapes`, where it is little); auto: also "
        "set --checkpointing and --micro so that it fits into memory, with the least to compute",
    )
    memory: float | None = option(
        None, "GiB that --plan auto may use; none: nine tenths of what is free on the device"
    )
    offload: Literal["none", "kept"] = option(
        "none", "kept: what the steps with gradient keep lies in the computer's memory"
    )
    watch: str = option(
        "", "any scorer that is not trained on, to see through a hacked reward; empty: none"
    )
    watch_every: int = option(10, "steps between looks at fixed clips of the policy")
    watch_clips: int = option(8, "of them; 0: no looks, and no stop rules")
    stop: str = option(
        "auto", "rules that end a run, name:limit,... (train.reward.watch); auto: the usual; none"
    )
    scales: str = option("", "LoRA scales sampled at each look, such as 0,0.5,1; empty: none")

    def __post_init__(self) -> None:
        """Refuse numbers that cannot train anything."""
        super().__post_init__()
        if self.memory is not None and not 0 < self.memory < math.inf:
            raise UserError(f"--memory is {self.memory}; it must be above 0 (GiB)")

    def _positive(self) -> tuple[str, ...]:
        return (*super()._positive(), "k", "rounds", "watch_every")


def configured(given: Mapping[str, Any]) -> Config:
    """The settings of a command line: its preset's, and over them what is given.

    Raises:
        UserError: no such preset.
    """
    name = given.get("preset", "")
    if name and name not in PRESETS:
        raise UserError(f"unknown --preset {name!r}; there are {', '.join(PRESETS)}")
    return Config(**{**PRESETS.get(name, {}), **given})

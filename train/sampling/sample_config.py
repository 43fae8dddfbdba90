"""Settings of `train.sample`, and which part of a job a process makes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from data.errors import UserError
from train.options import option


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one job."""

    db: str = option("prefs.duckdb", "database; its clips lie beside it")
    model: str = option("shapes", "`shapes` (built in), a diffusers folder, or a hub id")
    prompts: str = option("", "text file or table, or builtin:N; empty: builtin:24 for `shapes`")
    n: int = option(4, "clips per prompt; VideoDPO: 4", "-n", "--n")
    adapter: str = option("", "run id, run folder or LoRA file; empty: the base model")
    seed: int = option(0, "of all clips")
    batch: int = option(16, "clips at a time; changes a clip by float noise at most")
    split: Literal["train", "test"] = option("train", "of the prompts")
    sampler_steps: int | None = option(
        None, "denoising steps; none: the model's", "--sampler-steps", "--steps"
    )
    guidance: float | None = option(None, "classifier-free guidance scale; none: the model's")
    negative_prompt: str = option("", "what guidance leads away from; empty: the empty prompt")
    image: str = option("", "first image (PNG, JPEG, WebP) of prompts whose table names none")
    frames: int | None = option(None, "frames per clip; none: the model's")
    height: int | None = option(None, "pixels; none: the model's")
    width: int | None = option(None, "pixels; none: the model's")
    shard: str = option(
        "", "I/N: the I-th of N parts of the job; empty: as accelerate says, or all"
    )
    device: str = option("auto", "cpu, cuda, cuda:1, ...; auto: the GPU where there is one")
    dtype: Literal["float32", "bfloat16"] = option("float32", "of the model's weights")

    def __post_init__(self) -> None:
        """Refuse numbers that make nothing."""
        for name, value in (
            ("-n", self.n), ("--batch", self.batch), ("--sampler-steps", self.sampler_steps)
        ):  # fmt: skip
            if value is not None and value < 1:
                raise UserError(f"{name} is {value}; it must be at least 1")
        Shard.of(self.shard)


@dataclass(frozen=True)
class Shard:
    """The part of a job that one process makes: every `parts`-th clip, from `first` on."""

    first: int = 0
    parts: int = 1

    @classmethod
    def of(cls, written: str) -> Shard:
        """`2/4` is the second of four; empty asks `accelerate launch`, else it is all.

        Raises:
            UserError: not two such numbers.
        """
        if not written:
            return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
        number, _, parts = written.partition("/")
        if not (number.isdigit() and parts.isdigit() and 1 <= int(number) <= int(parts)):
            raise UserError(f"--shard is {written!r}; write I/N with I from 1 to N, such as 2/4")
        return cls(int(number) - 1, int(parts))

    def device(self, named: str) -> str:
        """The device of this process: with `auto`, each process of a machine takes its own GPU."""
        import torch

        local = os.environ.get("LOCAL_RANK", "")
        if named != "auto" or not local or not torch.cuda.is_available():
            return named
        return f"cuda:{int(local) % torch.cuda.device_count()}"

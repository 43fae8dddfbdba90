"""Scores of one clip in hand: a file, an array or a tensor, without a database.

    >>> scorers.score("clip.mp4", "a cat runs").omni.total

A path, its frames as uint8 `t h w c` and the same frames as a float tensor `t c h w` in [0, 1] give
the same numbers, those that `python -m scorers` would store. What was loaded is kept for the next
clip, until another device, type or folder of weights is asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data import video
from data.omniscore import Omni, aggregate
from data.profile import Profile
from scorers.judging import batched, measured
from scorers.pool import Pool
from scorers.protocol import Scorer
from scorers.run import profile_named
from scorers.shared import sharing


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """What a profile says about one clip."""

    profile: Profile
    raw: dict[str, float]
    """Raw value per dimension; what could not be judged is left out."""
    absent: dict[str, str] = field(default_factory=dict)
    """Scorer -> why it could not be loaded, and the command that mends it."""

    @property
    def omni(self) -> Omni:
        """The OmniScore, and which dimensions are missing."""
        return aggregate(self.raw, self.profile)


def score(
    clip: str | Path | np.ndarray | Tensor,
    prompt: str,
    fps: float | None,
    *,
    profile: str | Profile,
    device: Any,
    dtype: torch.dtype | None,
    weights_dir: str,
) -> Opinion:
    """See `scorers.score`."""
    table = profile if isinstance(profile, Profile) else profile_named(profile)
    frames, rate = _frames(clip, fps)
    judges, absent = _pool(device, dtype, weights_dir).take(table.scorers)
    return Opinion(
        profile=table, raw=_raw(judges, frames.to(device), prompt, rate, table), absent=absent
    )


@lru_cache(maxsize=1)
def _pool(device: Any, dtype: torch.dtype | None, weights_dir: str) -> Pool:
    return Pool(device=device, dtype=dtype, weights_dir=weights_dir)


def _raw(
    judges: dict[str, Scorer], frames: Tensor, prompt: str, fps: float, profile: Profile
) -> dict[str, float]:
    wanted, found = {(row.scorer, row.key) for row in profile.dimensions}, {}
    with sharing():
        for name, judge in judges.items():
            (row,) = measured(judge, frames, [prompt], [fps])
            found |= {key: value for key, value in zip(judge.dimensions, row, strict=True)
                      if (name, key) in wanted and math.isfinite(value)}  # fmt: skip
    return found


def _frames(clip: str | Path | np.ndarray | Tensor, fps: float | None) -> tuple[Tensor, float]:
    """One clip as a batch `1 t c h w` in [0, 1], and its rate."""
    if isinstance(clip, str | Path):
        read, own = video.read(clip)
        return batched([read], "cpu"), fps or own
    if fps is None:
        raise ValueError("a clip in memory does not know its rate: give fps, frames per second")
    if isinstance(clip, np.ndarray):
        if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[3] != 3:
            raise ValueError(f"array is {clip.dtype} {clip.shape}; need uint8 t h w 3")
        return batched([clip], "cpu"), fps
    if not clip.dtype.is_floating_point or clip.ndim != 4 or clip.shape[1] != 3:
        raise ValueError(
            f"tensor is {clip.dtype} {tuple(clip.shape)}; need floating point t 3 h w in [0, 1]"
        )
    return clip.detach()[None].float().contiguous(), fps  # sums follow the order in memory

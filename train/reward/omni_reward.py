"""OmniScore as a reward: the dimensions of a profile that have gradients, by their coefficients.

`--reward omniscore --profile calibrated:ID` follows what people were found to prefer. A clip's
reward is the sum over those dimensions of coefficient times place in the range, as in
`data.omniscore`, up to a constant; a dimension that clips at its range has no gradient outside it.
What several scorers read of the frames (a backbone's features) is made once, forth and back.

Where the gradient is followed, dimensions whose scorer gives none (`flow`) are left out and named:
the reward is then blind to them, and can be raised at their cost. Watch them with `python -m
train.compare`. `train.ddpo` follows all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

import scorers
from data.errors import UserError
from data.omniscore import coefficients
from data.profile import Dimension, Profile
from scorers.shared import sharing

NAME = "omniscore"


class OmniReward:
    """One reward out of several scorers."""

    def __init__(
        self,
        profile: Profile,
        *,
        device: torch.device | str,
        gradients: bool = True,
        dtype: torch.dtype | None = None,
        weights_dir: str | None = None,
    ) -> None:
        """Load the scorers of `profile` that have gradients; all of them where none are needed.

        Raises:
            UserError: none has.
        """
        able = {
            name: not gradients or scorers.card(name).differentiable for name in profile.scorers
        }
        weights = coefficients(profile)
        self.rows = [row for row in profile.dimensions if able[row.scorer] and weights[row.key]]
        self.silent = tuple(row.key for row in profile.dimensions if not able[row.scorer])
        if not self.rows:
            raise UserError(f"no dimension of {profile.name} has gradients; choose another reward")
        self._weights = weights
        names = dict.fromkeys(row.scorer for row in self.rows)
        load = scorers.load_reward if gradients else scorers.load
        self._scorers = {
            name: load(name, device=device, dtype=dtype, weights_dir=weights_dir) for name in names
        }

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b 1"]:
        """Weighted sum of the places, differentiable; NaN where a scorer cannot judge."""
        total = frames.new_zeros(len(frames))
        with sharing():
            every = {name: judge(frames, prompts, fps) for name, judge in self._scorers.items()}
        for name, raw in every.items():
            for row in self.rows:
                if row.scorer == name:
                    column = raw[:, self._scorers[name].dimensions.index(row.key)]
                    total = total + self._weights[row.key] * _place(column, row)
        return total[:, None]


def _place(raw: Float[Tensor, " b"], row: Dimension) -> Float[Tensor, " b"]:
    place = (raw - row.low) / (row.high - row.low)
    return place.clamp(0, 1) if row.clip else place

"""How strong the pull towards the reference is: beta by noise level, and beta by what is measured.

The error of a prediction means something else at every noise level, and in every kind of
prediction: with x_t = a x0 + s noise and c = d x0-estimate / d prediction, an error e of the native
prediction is c^2 e in clean latents and (a / s)^2 c^2 e in noise. To choose the space in which
errors are compared is to choose how beta depends on the level; a, s and c are asked of the model
itself, so that no kind of prediction is named here. Schedules:

- `constant`: the native error (velocity for flow matching), what every open trainer of video uses.
- `epsilon`: the error of the noise, Diffusion-DPO's own space. That is (1 - t)^2 for flow matching
  and a^2 for v-prediction; it lets go of the reference where layout and motion are decided.
- `snr`: min(SNR, 5) on the error of clean latents (Hang et al. 2023, Min-SNR).

`Automatic` sets beta so that the mean pair has a wanted gradient factor: the rule of SimpleTuner's
flow-matching DPO, beta = -2 logit(g) / EMA |gap|. Differs: it starts at a given beta, stays within
a hundredfold of it either way, and follows the logged steps alone, so that a resumed run replays
it.

Left out on purpose: a beta of its own for each pair, which is another method (weights inside).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from train.models import VideoModel
from train.parametrisation import Parametrisation

Schedule = Literal["constant", "epsilon", "snr"]
SNR_LIMIT = 5.0
"""Gamma of Min-SNR, the value that its paper recommends."""
DECAY = 0.95
"""Of the moving average of |gap|: it remembers about the last twenty steps."""
_BOUND = 100.0  # the automatic beta stays within this factor of its start


def scheduled(
    schedule: Schedule,
    *,
    signal: Float[Tensor, " b"],
    noise: Float[Tensor, " b"],
    gain: Float[Tensor, " b"],
) -> Float[Tensor, " b"]:
    """What beta is multiplied by at each noise level, float64, >= 0.

    Args:
        schedule: One of the three above.
        signal: a, the share of the clean latents in x_t, >= 0.
        noise: s, that of the noise, above 0.
        gain: c, how far the estimate of the clean latents moves with the prediction.
    """
    if schedule == "constant":
        return torch.ones_like(signal, dtype=torch.float64)
    ratio = (signal.double() / noise.double()).square()
    kept = ratio if schedule == "epsilon" else ratio.clamp(max=SNR_LIMIT)
    return kept * gain.double().square()


def at_level(
    model: VideoModel | Parametrisation, t: Float[Tensor, " b"], schedule: Schedule
) -> Float[Tensor, " b"]:
    """`scheduled` at the model's own levels `t`."""
    ones = torch.ones(len(t), 1, device=t.device)
    zeros = torch.zeros_like(ones)
    return scheduled(
        schedule,
        signal=model.noised(ones, zeros, t).flatten(),
        noise=model.noised(zeros, ones, t).flatten(),
        gain=(model.clean(ones, zeros, t) - model.clean(zeros, zeros, t)).flatten(),
    )


@dataclass
class Automatic:
    """beta that follows the pairs: the mean one is to have the gradient factor `share`."""

    start: float
    """beta until pairs have moved apart at all, above 0."""
    share: float | None
    """g, the wanted sigmoid(-u) of a pair that is told apart right, in (0, 1/2); None: constant."""
    _sum: float = 0.0
    _mass: float = 0.0

    @property
    def beta(self) -> float:
        """For the next step."""
        if self.share is None or not self._sum:
            return self.start
        wanted = 2 * math.log((1 - self.share) / self.share) / (self._sum / self._mass)
        return min(max(wanted, self.start / _BOUND), self.start * _BOUND)

    def see(self, gap: float) -> None:
        """Take in the `gap` of one step; the first ones, before anything has moved, are 0."""
        if gap:
            self._sum = DECAY * self._sum + (1 - DECAY) * gap
            self._mass = DECAY * self._mass + (1 - DECAY)

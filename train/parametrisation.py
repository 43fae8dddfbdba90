"""What a family means by noise: its levels, its target, its sampler. Pure maths, no network.

Three laws cover the families. `Flow`: x_t = (1 - t) x0 + t noise, target noise - x0 (Lipman et al.
2023; Liu et al. 2023). `Discrete`: x_t = a x0 + s noise with a^2 = alphas_cumprod at an integer
timestep (Ho et al. 2020), target the noise or v = a noise - s x0 (Salimans & Ho 2022). `Edm`: a
continuous sigma (Karras et al. 2022) at sigma_data 1, in variance-preserving coordinates: latents
are divided by sqrt(1 + sigma^2), which is what c_in shows the network anyway. There a = 1 /
sqrt(1 + sigma^2), the network's F with c_out = -sigma a predicts v, and Euler in sigma is DDIM. So
the latents of all three start from noise of unit variance and are what the network is shown.

Samplers are Euler for `Flow`, unless its pipeline has one that remembers the steps before (UniPC),
and DDIM with eta 0 for the others: deterministic and differentiable.
`clean` inverts `target`: the estimate of x0 from a prediction. `t` is a number per clip, of the
law's own kind; a schedule is `steps + 1` of them.

A law may depend on the size of the clip (LTX-Video, Open-Sora shift larger clips further), so
levels are asked for with the shape of one clip's latents.

Left out on purpose: stochastic samplers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

Latents = Float[Tensor, " b *latent"]
Level = Float[Tensor, " b"]
"""Of noise, one per clip."""
Schedule = Float[Tensor, " n"]
Shape = Sequence[int]
"""Of one clip's latents, without the batch."""
Levels = Callable[[int, Shape], Tensor]
"""Number of steps and shape to `steps + 1` levels."""
Solver = Callable[[Latents, int, Latents], Latents]
"""One rollout's steps, called in order: prediction, index of the level, latents to the next."""
LEAST = 1e-3
"""Smallest training level of `Flow`, the first of 1000 ticks: at 0 no noise tells two clips by."""


@runtime_checkable
class Parametrisation(Protocol):
    """Everything about noise that does not need the network."""

    def timesteps(self, u: Level, shape: Shape) -> Level:
        """Uniform draws in [0, 1) to the levels of training, in the same order."""
        ...

    def noised(self, latents: Latents, noise: Latents, t: Level) -> Latents:
        """Latents at level `t`."""
        ...

    def target(self, latents: Latents, noise: Latents, t: Level) -> Latents:
        """What the network is regressed on."""
        ...

    def clean(self, prediction: Latents, noisy: Latents, t: Level) -> Latents:
        """The estimate of the clean latents that a prediction amounts to."""
        ...

    def schedule(self, steps: int, shape: Shape) -> Schedule:
        """`steps + 1` levels, from pure noise to the cleanest."""
        ...

    def step(
        self, prediction: Latents, t_index: int, latents: Latents, schedule: Schedule
    ) -> Latents:
        """Latents at `schedule[t_index + 1]` from those at `schedule[t_index]` alone."""
        ...

    def solver(self, schedule: Schedule) -> Solver:
        """The family's own steps along a schedule, for one rollout: `step`, or one with memory."""
        ...


def shifted(u: Tensor, shift: float) -> Tensor:
    """Levels in [0, 1] moved to noise for s > 1: s u / (1 + (s - 1) u) (Esser et al. 2024)."""
    return shift * u / (1 + (shift - 1) * u)


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Flow matching on straight paths; `t` in (0, 1], 1 is pure noise."""

    shift: float | Callable[[Shape], float] = 1.0
    """Of the training law, and of the sampler's levels where it has none of its own."""
    levels: Levels | None = None
    """The sampler's levels; None takes evenly spaced ones, shifted."""
    multistep: Callable[[Schedule], Solver] | None = None
    """Begins a solver that remembers the steps before; None: Euler."""

    def timesteps(self, u: Level, shape: Shape) -> Level:
        """Uniform, then shifted; at least 0.001."""
        return shifted(u, self._shift(shape)).clamp(min=LEAST)

    def noised(self, latents: Latents, noise: Latents, t: Level) -> Latents:
        """(1 - t) latents + t noise."""
        level = _over(t, latents)
        return (1 - level) * latents + level * noise

    def target(
        self,
        latents: Latents,
        noise: Latents,
        t: Level,  # noqa: ARG002  a straight path has one velocity
    ) -> Latents:
        """Noise - latents."""
        return noise - latents

    def clean(self, prediction: Latents, noisy: Latents, t: Level) -> Latents:
        """Noisy - t v."""
        return noisy - _over(t, noisy) * prediction

    def schedule(self, steps: int, shape: Shape) -> Schedule:
        """From 1 to 0."""
        if self.levels is not None:
            return self.levels(steps, shape)
        return shifted(torch.linspace(1, 0, steps + 1), self._shift(shape))

    def step(
        self, prediction: Latents, t_index: int, latents: Latents, schedule: Schedule
    ) -> Latents:
        """Euler: latents + (t' - t) v."""
        return latents + (schedule[t_index + 1] - schedule[t_index]) * prediction

    def solver(self, schedule: Schedule) -> Solver:
        """`multistep`, or Euler."""
        begin = self.multistep or (lambda levels: partial(self.step, schedule=levels))
        return begin(schedule)

    def _shift(self, shape: Shape) -> float:
        return self.shift(shape) if callable(self.shift) else self.shift


class _VariancePreserving:
    """x_t = a x0 + s noise, a^2 + s^2 = 1 but for `scale`: what `Discrete` and `Edm` share."""

    prediction: Literal["epsilon", "v"]

    def _amounts(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(a, s) of each level, float32."""
        raise NotImplementedError

    def noised(self, latents: Latents, noise: Latents, t: Level) -> Latents:
        """A latents + s noise."""
        a, s = (_over(amount, latents) for amount in self._amounts(t))
        return a * latents + s * noise

    def target(self, latents: Latents, noise: Latents, t: Level) -> Latents:
        """The noise, or v = a noise - s latents."""
        if self.prediction == "epsilon":
            return noise
        a, s = (_over(amount, latents) for amount in self._amounts(t))
        return a * noise - s * latents

    def clean(self, prediction: Latents, noisy: Latents, t: Level) -> Latents:
        """(noisy - s epsilon) / a, or a noisy - s v."""
        a, s = (_over(amount, noisy) for amount in self._amounts(t))
        if self.prediction == "epsilon":
            return (noisy - s * prediction) / a
        return a * noisy - s * prediction

    def step(
        self, prediction: Latents, t_index: int, latents: Latents, schedule: Schedule
    ) -> Latents:
        """DDIM with eta 0 (Song et al. 2021): a' x0 + s' epsilon, both from the prediction."""
        a, s = self._amounts(schedule[t_index])
        a_next, s_next = self._amounts(schedule[t_index + 1])
        if self.prediction == "epsilon":
            x0, epsilon = (latents - s * prediction) / a, prediction
        else:
            x0, epsilon = a * latents - s * prediction, s * latents + a * prediction
        return a_next * x0 + s_next * epsilon

    def solver(self, schedule: Schedule) -> Solver:
        """DDIM."""
        return partial(self.step, schedule=schedule)


@dataclass(frozen=True, kw_only=True, eq=False)
class Discrete(_VariancePreserving):
    """A table of signal shares; `t` is an integer timestep as float, -1 the sampler's end.

    Raises:
        ValueError: epsilon prediction where some level has no signal: it could not be inverted.
    """

    alphas_cumprod: Float[Tensor, " timesteps"]
    """a^2 per timestep, falling; 0 at the last is zero terminal SNR (Lin et al. 2024)."""
    prediction: Literal["epsilon", "v"]
    levels: Levels
    """The sampler's timesteps, falling, with -1 as the last."""
    final: float = 1.0
    """a^2 at -1: 1 is clean; samplers with `set_alpha_to_one=False` end at timestep 0's."""
    scale: Float[Tensor, " timesteps"] | None = None
    """A factor of a per timestep (VideoCrafter2), 1 at -1; None for 1 everywhere."""
    ticks: Float[Tensor, " some"] | None = None
    """The timesteps of training, where they are not all (T2V-Turbo)."""

    def __post_init__(self) -> None:
        """Refuse what cannot be sampled."""
        if self.prediction == "epsilon" and bool((self.alphas_cumprod <= 0).any()):
            raise ValueError("epsilon prediction needs signal at every timestep, not alpha 0")
        if self.prediction == "v" and self.scale is not None:
            raise ValueError("v prediction is of unscaled signal: a^2 + s^2 must be 1")

    def timesteps(
        self,
        u: Level,
        shape: Shape,  # noqa: ARG002  the law of every clip
    ) -> Level:
        """Uniform over the integers, or over `ticks`."""
        if self.ticks is None:
            return (u * len(self.alphas_cumprod)).floor()
        return self.ticks.to(u.device)[(u * len(self.ticks)).long()]

    def schedule(self, steps: int, shape: Shape) -> Schedule:
        """The scheduler's timesteps and -1."""
        return self.levels(steps, shape)

    def _amounts(self, t: Tensor) -> tuple[Tensor, Tensor]:
        share = _with_end(self.alphas_cumprod, self.final).to(t.device)[t.long()]
        a, s = share.sqrt().float(), (1 - share).sqrt().float()
        if self.scale is not None:
            a = a * _with_end(self.scale, 1.0).to(t.device)[t.long()]
        return a, s


@dataclass(frozen=True, kw_only=True)
class Edm(_VariancePreserving):
    """Continuous noise levels; `t` is sigma, latents are divided by sqrt(1 + sigma^2)."""

    levels: Levels
    """The sampler's sigmas, falling, with 0 as the last."""
    log_mean: float
    """Of the training law: log sigma is normal."""
    log_std: float
    prediction: Literal["epsilon", "v"] = "v"

    def timesteps(
        self,
        u: Level,
        shape: Shape,  # noqa: ARG002  the law of every clip
    ) -> Level:
        """exp(mean + std q) with q the normal quantile of u, which is kept from 0 and 1."""
        quantile = math.sqrt(2) * torch.erfinv(2 * u.clamp(1e-4, 1 - 1e-4) - 1)
        return (self.log_mean + self.log_std * quantile).exp()

    def schedule(self, steps: int, shape: Shape) -> Schedule:
        """The scheduler's sigmas and 0."""
        return self.levels(steps, shape)

    def _amounts(self, t: Tensor) -> tuple[Tensor, Tensor]:
        a = (1 + t.square()).rsqrt()
        return a, t * a


def _over(level: Tensor, latents: Tensor) -> Tensor:
    """One number per clip, broadcastable over its latents."""
    return level.view(-1, *[1] * (latents.ndim - 1))


def _with_end(table: Tensor, end: float) -> Tensor:
    """A table whose index -1 is `end`."""
    return torch.cat([table, table.new_tensor([end])])

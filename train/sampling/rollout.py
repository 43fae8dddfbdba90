"""From noise to clips: the sampler loop that sampling, VADER and the comparison share.

Each step combines the conditional and the unconditional prediction (classifier-free guidance, `u +
scale (c - u)`, one network call for both) and hands it to the family's own solver. Which steps keep
a graph is `train.reward.backprop`'s business.

`ancestral` adds DDIM's noise (Song et al. 2020, eq. 16) in signal-to-noise ratios, so that one line
serves every parametrisation: with x_t = a x0 + s e, the next latents have the mean a' x0 + s' sqrt(
1 - r^2) e and the deviation s' r, where r^2 = eta^2 (1 - (a s' / (s a'))^2). For DDIM it is the
paper's, for EDM the ancestral Euler step, for flow matching the same law on its own path.

Noise is drawn per clip from the clip's own seed on the CPU, so that neither the batch size nor the
device changes what a clip starts from. Batches of another size may still differ in the last bits.

Left out on purpose: other solvers than the family's; noise (`eta`) with one that remembers the
steps before: it goes by the family's `step`, which does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from train import bank
from train.models.protocol import Conditions, FirstFrames, SampleSettings, VideoModel

_SEED_BITS = 53  # exact in JSON and in every database
Branches = Literal["both", "conditional"]
"""Of classifier-free guidance."""


def clip_seed(seed: int, prompt: str, index: int) -> int:
    """The seed of the `index`-th clip of a prompt, in [0, 2**53): the same for every adapter."""
    return bank.counter("clip", seed, prompt, index) >> (64 - _SEED_BITS)


def initial_noise(
    model: VideoModel, settings: SampleSettings, seeds: Sequence[int]
) -> Float[Tensor, "b ..."]:
    """Standard normal latents, one clip per seed, on the model's device."""
    shape = model.latent_shape(settings)
    drawn = [bank.noise(seed, "rollout", 0, shape) for seed in seeds]
    return torch.stack(drawn).to(model.device)


@dataclass(frozen=True)
class Guidance:
    """What steers a rollout: conditions of `b` clips, the empty prompt's (1 or `b`), the scale."""

    conditions: Conditions
    empty: Conditions | None
    """None when the scale is 1: there is nothing to guide away from."""
    scale: float

    @classmethod
    def of(
        cls,
        model: VideoModel,
        prompts: Sequence[str],
        scale: float,
        *,
        negative: str = "",
        first: FirstFrames | None = None,
    ) -> Guidance:
        """Embed the prompts, and what they are guided away from where `scale` is not 1.

        Args:
            model: that is sampled from.
            prompts: one per clip.
            scale: of classifier-free guidance.
            negative: prompt in place of the empty one.
            first: images that the clips begin with, one per prompt, for image-to-video; None looks
                them up in the model's album.
        """
        if first is None and model.album is not None:
            first = model.album(prompts)
        if first is None:
            empty = None if scale == 1 else model.embed([negative])
            return cls(model.embed(prompts), empty, scale)
        away = None if scale == 1 else model.embed([negative] * len(prompts), first)
        return cls(model.embed(prompts, first), away, scale)

    def predict(
        self,
        model: VideoModel,
        latents: Float[Tensor, "b ..."],
        level: Float[Tensor, ""],
        branches: Branches = "both",
    ) -> Float[Tensor, "b ..."]:
        """The guided prediction at one noise level for the whole batch.

        Args:
            model: The generator.
            latents: At that level.
            level: A value of the model's schedule.
            branches: That a gradient goes through; of the other one no graph is kept.
        """
        clips = len(latents)
        if self.empty is None:
            return model.predict(latents, level.expand(clips), self.conditions)
        away = self.empty.repeat(clips // len(self.empty))
        scale = model.guidance(self.scale, level, latents)
        if branches == "conditional" and torch.is_grad_enabled():
            with torch.no_grad():
                empty = model.predict(latents, level.expand(clips), away)
            given = model.predict(latents, level.expand(clips), self.conditions)
            return empty + scale * (given - empty)
        both = Conditions.join([self.conditions, away])
        twice = torch.cat([latents, latents])
        given, empty = model.predict(twice, level.expand(2 * clips), both).split(clips)
        return empty + scale * (given - empty)


def ancestral(
    model: VideoModel,
    prediction: Float[Tensor, " b *latent"],
    t_index: int,
    latents: Float[Tensor, " b *latent"],
    schedule: Float[Tensor, " n"],
    eta: float,
) -> tuple[Float[Tensor, " b *latent"], Float[Tensor, ""]]:
    """Mean and deviation of the next latents with DDIM's `eta` in [0, 1]; 0 is the family's `step`.

    The last step has no noise: the deviation is 0 there.
    """
    if eta == 0 or t_index + 2 >= len(schedule):
        mean = model.step(prediction, t_index, latents, schedule)
        return mean, latents.new_zeros(())
    here, there = schedule[t_index], schedule[t_index + 1]
    clean = model.clean(prediction, latents, here.expand(len(latents)))
    (signal, noise), (next_signal, next_noise) = (
        _mixture(model, t, latents) for t in (here, there)
    )
    share = eta * (1 - (signal * next_noise / (noise * next_signal)).square()).clamp(min=0).sqrt()
    direction = (latents - signal * clean) / noise
    mean = next_signal * clean + next_noise * (1 - share.square()).sqrt() * direction
    return mean, next_noise * share


def _mixture(
    model: VideoModel, t: Float[Tensor, ""], like: Float[Tensor, "b ..."]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """How much of clean latents and of noise there is at level `t`."""
    one = like.new_ones([1] * like.ndim)
    none = torch.zeros_like(one)
    signal, noise = (model.noised(*ends, t[None]) for ends in ((one, none), (none, one)))
    return signal.view(()), noise.view(())


Fresh = Callable[[int], Tensor]
"""Standard normal noise of a batch for the step of that index."""


class Sampler:
    """The steps of one rollout; they go in order from the first, which a solver may remember."""

    def __init__(
        self,
        model: VideoModel,
        steps: int,
        shape: Sequence[int] | None = None,
        *,
        eta: float = 0.0,
        fresh: Fresh | None = None,
    ) -> None:
        """Begin a rollout.

        Args:
            model: The generator.
            steps: Of the sampler.
            shape: Of one clip's latents; None: of the model's `sample_defaults`.
            eta: DDIM's, in [0, 1]; above 0 each step is a draw around `ancestral`.
            fresh: The noise of those draws; None takes their means.
        """
        self.model, self.steps, self.eta, self.fresh = model, steps, eta, fresh
        self.schedule = model.schedule(steps, shape)
        self._solver = model.solver(self.schedule)

    def advance(
        self,
        prediction: Float[Tensor, " b *latent"],
        t_index: int,
        latents: Float[Tensor, " b *latent"],
    ) -> Float[Tensor, " b *latent"]:
        """The latents after step `t_index`, differentiable."""
        if self.eta == 0:
            return self._solver(prediction, t_index, latents)
        mean, deviation = ancestral(
            self.model, prediction, t_index, latents, self.schedule, self.eta
        )
        if self.fresh is None or t_index + 1 == self.steps:
            return mean
        return mean + deviation * self.fresh(t_index)


def denoise(
    sampler: Sampler,
    latents: Float[Tensor, "b ..."],
    guidance: Guidance,
    steps: Iterable[int] | None = None,
) -> Float[Tensor, "b ..."]:
    """Consecutive steps of a sampler (None: all), with whatever gradient mode is on."""
    for i in range(sampler.steps) if steps is None else steps:
        prediction = guidance.predict(sampler.model, latents, sampler.schedule[i])
        latents = sampler.advance(prediction, i, latents)
    return latents


@torch.no_grad()
def generate(
    model: VideoModel,
    prompts: Sequence[str],
    seeds: Sequence[int],
    settings: SampleSettings,
    *,
    batch: int,
    title: str | None = None,
) -> Iterator[UInt8[np.ndarray, "t h w 3"]]:
    """One clip per prompt and seed, RGB in [0, 255], in the order given.

    Args:
        model: with or without an adapter attached.
        prompts: one per clip.
        seeds: one per clip, from `clip_seed`.
        settings: size, steps and guidance.
        batch: clips per pass.
        title: of the progress bar (clips, rate, time left) on standard error; None shows none.
    """
    with tqdm(total=len(prompts), desc=title, unit="clip", disable=title is None) as bar:
        for start in range(0, len(prompts), batch):
            texts, chunk = prompts[start : start + batch], seeds[start : start + batch]
            guidance = Guidance.of(model, texts, settings.guidance)
            for clip in clips(model, guidance, chunk, settings):
                bar.update()
                yield clip


@torch.no_grad()
def clips(
    model: VideoModel, guidance: Guidance, seeds: Sequence[int], settings: SampleSettings
) -> list[UInt8[np.ndarray, "t h w 3"]]:
    """One batch: a clip per seed, RGB in [0, 255], of what `guidance` says."""
    noise = initial_noise(model, settings, seeds)
    latents = denoise(Sampler(model, settings.steps, noise.shape[1:]), noise, guidance)
    frames = model.decode(latents)
    pixels = (frames * 255).round().to(torch.uint8)
    return list(pixels.permute(0, 1, 3, 4, 2).cpu().numpy())

"""From noise to clips: the sampler loop that sampling, VADER and the comparison share.

Each step combines the conditional and the unconditional prediction (classifier-free guidance, `u +
scale (c - u)`, one network call for both) and hands it to the family's own `step`. All steps but
the last K run without a graph; the last K keep theirs, through both branches and through the
network's dependence on its input (DRaFT-K, Clark et al. 2023; K = 1 is VADER, Prabhudesai et al.
2024). A prefix without a graph gives the same gradient as VADER's toggling of `requires_grad`, and
needs less memory.

Noise is drawn per clip from the clip's own seed on the CPU, so that neither the batch size nor the
device changes what a clip starts from. Batches of another size may still differ in the last bits.

Left out on purpose: other solvers than the family's, checkpointed steps, step subsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from train import bank
from train.models.protocol import Conditions, SampleSettings, VideoModel

_SEED_BITS = 53  # exact in JSON and in every database


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
    """What steers a rollout: conditions of `b` clips, the empty prompt's (batch 1), the scale."""

    conditions: Conditions
    empty: Conditions | None
    """None when the scale is 1: there is nothing to guide away from."""
    scale: float

    @classmethod
    def of(cls, model: VideoModel, prompts: Sequence[str], scale: float) -> Guidance:
        """Embed the prompts, and the empty prompt where `scale` is not 1."""
        return cls(model.embed(prompts), None if scale == 1 else model.embed([""]), scale)

    def predict(
        self, model: VideoModel, latents: Float[Tensor, "b ..."], level: Float[Tensor, ""]
    ) -> Float[Tensor, "b ..."]:
        """The guided prediction at one noise level for the whole batch."""
        clips = len(latents)
        if self.empty is None:
            return model.predict(latents, level.expand(clips), self.conditions)
        both = Conditions.join([self.conditions, self.empty.repeat(clips)])
        twice = torch.cat([latents, latents])
        given, empty = model.predict(twice, level.expand(2 * clips), both).split(clips)
        return empty + self.scale * (given - empty)


def rollout(
    model: VideoModel,
    noise: Float[Tensor, "b ..."],
    guidance: Guidance,
    *,
    steps: int,
    grad_steps: int = 0,
) -> Float[Tensor, "b ..."]:
    """Clean latents from noise; the graph reaches back through the last `grad_steps` steps.

    Raises:
        ValueError: unless 0 <= grad_steps <= steps.
    """
    if not 0 <= grad_steps <= steps:
        raise ValueError(f"grad_steps is {grad_steps}; must lie in [0, {steps}]")
    schedule = model.schedule(steps)
    with torch.no_grad():
        late = denoise(model, noise, guidance, schedule, range(steps - grad_steps))
    with torch.set_grad_enabled(grad_steps > 0):
        return denoise(model, late, guidance, schedule, range(steps - grad_steps, steps))


def denoise(
    model: VideoModel,
    latents: Float[Tensor, "b ..."],
    guidance: Guidance,
    schedule: Float[Tensor, " n"],
    steps: Iterable[int],
) -> Float[Tensor, "b ..."]:
    """Some consecutive steps of a sampler, with whatever gradient mode is on."""
    for i in steps:
        latents = model.step(guidance.predict(model, latents, schedule[i]), i, latents, schedule)
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
            noise = initial_noise(model, settings, chunk)
            latents = rollout(model, noise, guidance, steps=settings.steps)
            frames = model.decode(latents)
            pixels = (frames * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).cpu().numpy()
            for clip in pixels:
                bar.update()
                yield clip

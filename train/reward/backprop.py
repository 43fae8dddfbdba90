"""Where a reward's gradient goes on its way back through a rollout.

A sampler without a graph, but for a few steps. `steps` says which:

- `last`: the last K (DRaFT-K, Clark et al. 2023; K = 1 is VADER, Prabhudesai et al. 2024);
- `tail`: the last n, n drawn from 1 to K (VADER's `rand`, with K the sampler's steps);
- `random`: K of all steps, drawn anew for each update;
- `0,12,24`: these, counted from 0.

Everything before the first of them runs without a graph: the same gradient as VADER's toggling of
`requires_grad`, for less memory. A later step that is not chosen predicts without a graph, and
the gradient passes through the linear part of the update alone. So it is with what a solver like
UniPC remembers of earlier steps: only those that were chosen have a graph. `stop` also cuts the
gradient through the network's input at the chosen steps (DRTune, Wu et al. 2024), so that only that
linear part joins them. Two other ways to clean latents:

- `shortcut` n (ReFL, Xu et al. 2023; VADER's `decode_og`): stop at a step drawn from the last n,
  and take the clean latents that its prediction amounts to;
- `inner` n (DRaFT-LV): one whole rollout without a graph, then n times fresh noise at the last
  level and one prediction with a graph. One rollout pays for n gradients.

What is not chosen needs no memory; what is can be made again on the way back (`checkpoint`) or lie
in the computer's memory meanwhile (`offload`), for these steps alone.

Left out on purpose: mixing with the base model's trajectory, and gradients to the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import save_on_cpu
from torch.utils.checkpoint import checkpoint

from data.errors import UserError
from train import bank
from train.models.protocol import VideoModel
from train.sampling.rollout import Branches, Guidance, Sampler, denoise

NAMES = ("last", "tail", "random")


@dataclass(frozen=True, kw_only=True)
class Backprop:
    """Which of a rollout's `total` steps carry the gradient, and how; the default is VADER's."""

    total: int
    """Steps of the sampler."""
    steps: str = "last"
    """`last`, `tail`, `random`, or step numbers with commas between them."""
    k: int = 1
    stop: bool = False
    shortcut: int = 0
    """0: none."""
    inner: int = 0
    """0: none."""
    branches: Branches = "both"
    checkpoint: bool = False
    offload: bool = False
    eta: float = 0.0
    """Of the sampler (DDIM), in [0, 1]; VADER's VideoCrafter2 script has 1."""

    def __post_init__(self) -> None:
        """Refuse what no sampler of `total` steps can do."""
        if self.shortcut and self.inner:
            raise UserError("--shortcut and --inner both replace the last step; give one of them")
        for name, least in (("k", 1), ("shortcut", 0)):
            if not least <= getattr(self, name) <= self.total:
                raise UserError(
                    f"--{name} is {getattr(self, name)}; it must lie in [{least}, {self.total}] "
                    "sampler steps"
                )
        if self.steps not in NAMES:
            self._listed()

    def chosen(self, *draw: object) -> tuple[int, ...]:
        """The steps whose network keeps its graph, rising; the draw is a counter's name."""
        if self.shortcut:
            return (self.total - 1 - self._below(self.shortcut, *draw),)
        if self.steps == "random":
            order = torch.randperm(self.total, generator=bank.generator("backprop", *draw))
            return tuple(sorted(order[: self.k].tolist()))
        if self.steps == "tail":
            return tuple(range(self.total - 1 - self._below(self.k, *draw), self.total))
        if self.steps == "last":
            return tuple(range(self.total - self.k, self.total))
        return self._listed()

    def _below(self, limit: int, *draw: object) -> int:
        return int(bank.uniform(0, "backprop " + " ".join(map(str, draw)), 0) * limit)

    def _listed(self) -> tuple[int, ...]:
        parts = [part.strip() for part in self.steps.split(",")]
        if not all(part.isdigit() and int(part) < self.total for part in parts):
            raise UserError(
                f"--backprop is {self.steps!r}; write {', '.join(NAMES)} or step numbers from 0 "
                f"to {self.total - 1}, such as {max(0, self.total - 2)},{self.total - 1}"
            )
        return tuple(sorted({int(part) for part in parts}))


@dataclass(frozen=True)
class Draws:
    """What is drawn for one update: by counter, the same on every device and in every order."""

    seed: int
    step: int
    """Of the optimizer: which sampler steps and frames are drawn."""
    clips: Sequence[tuple[str, int]]
    """Prompt of each clip and how often it came before: what its noise is drawn by."""

    @property
    def prompts(self) -> list[str]:
        """One per clip."""
        return [text for text, _ in self.clips]

    def noise(self, purpose: str, like: VideoModel, shape: tuple[int, ...]) -> Tensor:
        """Standard normal, `b *shape`, on the device of `like`."""
        drawn = [bank.noise(self.seed, f"{purpose} {text}", k, shape) for text, k in self.clips]
        return torch.stack(drawn).to(like.device)


@dataclass(frozen=True)
class Rolled:
    """Clean latents with a graph, and where that graph begins."""

    latents: Float[Tensor, "n ..."]
    """One per clip; with `inner` draws all clips of the first draw, then of the second."""
    late: Float[Tensor, "b ..."]
    """What the network was shown at the first step with a graph."""
    level: Float[Tensor, ""]
    prediction: Float[Tensor, "b ..."]
    """And what it predicted, without a graph."""


def rolled(
    model: VideoModel,
    noise: Float[Tensor, "b ..."],
    guidance: Guidance,
    plan: Backprop,
    draws: Draws,
) -> Rolled:
    """Sample from `noise`; only what `plan` chooses has a graph."""
    shape = noise.shape[1:]

    def fresh(step: int) -> Tensor:
        return draws.noise(f"eta {step}", model, shape)

    sampler = Sampler(model, plan.total, shape, eta=plan.eta, fresh=fresh)
    schedule = sampler.schedule
    steps = plan.chosen(draws.seed, draws.step)
    first = plan.total if plan.inner else steps[0]
    with torch.no_grad():
        late = denoise(sampler, noise, guidance, range(first))
    if plan.inner:
        return _inner(model, late, guidance, plan, draws, schedule[-2])
    if plan.shortcut:
        prediction = predicted(model, late, guidance, schedule[first], plan)
        clean = model.clean(prediction, late, schedule[first].expand(len(late)))
        return Rolled(clean, late, schedule[first], prediction.detach())
    latents, shown = late, late
    for i in range(first, plan.total):
        if i in steps:
            prediction = predicted(model, latents, guidance, schedule[i], plan)
        else:
            with torch.no_grad():
                prediction = guidance.predict(model, latents, schedule[i])
        if i == first:
            shown = prediction.detach()
        latents = sampler.advance(prediction, i, latents)
    return Rolled(latents, late, schedule[first], shown)


def _inner(
    model: VideoModel,
    clean: Float[Tensor, "b ..."],
    guidance: Guidance,
    plan: Backprop,
    draws: Draws,
    level: Float[Tensor, ""],
) -> Rolled:
    """DRaFT-LV: fresh noise on finished latents, and one prediction each."""
    t, found, parts = level.expand(len(clean)), [], []
    for j in range(plan.inner):
        fresh = draws.noise(f"inner {j}", model, clean.shape[1:])
        noisy = model.noised(clean, fresh, t)
        prediction = predicted(model, noisy, guidance, level, plan)
        parts.append(model.clean(prediction, noisy, t))
        found.append((noisy, prediction.detach()))
    return Rolled(torch.cat(parts), found[0][0], level, found[0][1])


def predicted(
    model: VideoModel,
    latents: Float[Tensor, "b ..."],
    guidance: Guidance,
    level: Float[Tensor, ""],
    plan: Backprop,
) -> Float[Tensor, "b ..."]:
    """A prediction with a graph, kept as the plan says."""
    shown = latents.detach() if plan.stop else latents

    def predict(noisy: Tensor) -> Tensor:
        return guidance.predict(model, noisy, level, plan.branches)

    kept = save_on_cpu(pin_memory=latents.is_cuda) if plan.offload else nullcontext()
    with kept:
        if not plan.checkpoint:
            return predict(shown)
        return checkpoint(predict, shown, use_reentrant=False, preserve_rng_state=False)

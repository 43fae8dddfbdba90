"""Denoising as a sequence of draws: trajectories with their probabilities, and DDPO's update.

`train.ddpo` has the method and its source.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from data.errors import UserError
from train import bank
from train.models import SampleSettings, VideoModel
from train.policy import Policy
from train.preference.loop import GRADIENT_LIMIT
from train.reward.backprop import Draws
from train.reward.rewards import Mixture
from train.run.distributed import ALONE, Group
from train.sampling.rollout import Guidance, ancestral

_MOST = 5.0  # deviations that an advantage counts


@dataclass(frozen=True)
class Trajectory:
    """One batch of clips on its way from noise."""

    prompts: list[str]
    latents: list[Float[Tensor, "b ..."]]
    """Before each step, and the clean ones at the end."""
    chances: list[Float[Tensor, " b"]]
    """Log-probability of each draw: one per step but the last."""


class Chances:
    """A model's sampler as a policy over draws."""

    def __init__(self, model: VideoModel, settings: SampleSettings, eta: float, batch: int) -> None:
        """Takes the settings of the sampler, DDIM's eta, and how many clips go together."""
        self.model, self.settings, self.eta, self.batch = model, settings, eta, batch
        self.schedule = model.schedule(settings.steps, model.latent_shape(settings))

    @torch.no_grad()
    def sampled(self, draws: Draws) -> Trajectory:
        """Clips of the draws, in parts of at most `batch`."""
        model, shape = self.model, self.model.latent_shape(self.settings)
        guidance = Guidance.of(model, draws.prompts, self.settings.guidance)
        latents, chances = [draws.noise("vader", model, shape)], []
        for i in range(self.settings.steps):
            mean, deviation = self.drawn_from(latents[-1], guidance, i)
            latents.append(mean)
            if i + 1 < self.settings.steps:
                latents[-1] = mean + deviation * draws.noise(f"eta {i}", model, shape)
                chances.append(log_chance(latents[-1], mean, deviation))
        return Trajectory(draws.prompts, latents, chances)

    def drawn_from(
        self, latents: Float[Tensor, "b ..."], guidance: Guidance, i: int
    ) -> tuple[Float[Tensor, "b ..."], Float[Tensor, ""]]:
        """Mean and deviation of the latents after step `i`."""
        prediction = guidance.predict(self.model, latents, self.schedule[i])
        return ancestral(self.model, prediction, i, latents, self.schedule, self.eta)


def log_chance(
    drawn: Float[Tensor, "b ..."], mean: Float[Tensor, "b ..."], deviation: Float[Tensor, ""]
) -> Float[Tensor, " b"]:
    """Log-density of a normal draw, mean over its elements, without what no policy changes."""
    return -((drawn - mean) / deviation).square().flatten(1).mean(1) / 2


def advantages(rewards: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """Rewards less their mean over their deviation, within 5; 0 where all are equal."""
    centred = rewards - rewards.mean()
    return (centred / (rewards.std(correction=0) + 1e-8)).clamp(-_MOST, _MOST)


def clipped(
    ratio: Float[Tensor, " b"], advantage: Float[Tensor, " b"], clip: float
) -> Float[Tensor, " b"]:
    """PPO's loss per clip: no gain from a ratio further than `clip` from 1."""
    within = ratio.clamp(1 - clip, 1 + clip)
    return torch.maximum(-advantage * ratio, -advantage * within)


def update(
    policy: Policy,
    chances: Chances,
    reward: Mixture,
    optimizer: torch.optim.Optimizer,
    draws: Draws,
    *,
    parts: int,
    clip: float,
    group: Group = ALONE,
) -> dict[str, float]:
    """Samples the clips of one step, scores them, and updates the policy once per part of them.

    Each process samples and keeps its own clips. Rewards meet before they become advantages, and
    gradients before each update: the clips of a part may lie in any process.

    Raises:
        UserError: the gradient is not finite.
    """
    clips = group.share(draws.clips)
    batches = [
        Draws(draws.seed, draws.step, clips[start : start + chances.batch])
        for start in range(0, len(clips), chances.batch)
    ]
    made = [chances.sampled(some) for some in batches]
    with torch.no_grad():
        fps = chances.settings.fps
        values = [reward(chances.model.decode(t.latents[-1]), t.prompts, fps) for t in made]
    rewards = group.whole(torch.cat(values), len(draws.clips))
    first = group.rank * len(clips)
    lengths = [len(t.prompts) for t in made]
    advantage = advantages(rewards)[first : first + len(clips)].split(lengths)
    order = torch.randperm(len(rewards), generator=bank.generator("ddpo", draws.seed, draws.step))
    metrics = {"gradient": 0.0, "loss": 0.0, "clipped": 0.0}
    for chosen in order.chunk(parts):
        optimizer.zero_grad(set_to_none=True)
        place = first
        for trajectory, own in zip(made, advantage, strict=True):
            rows = chosen[(chosen >= place) & (chosen < place + len(own))] - place
            place += len(own)
            if len(rows):
                found = _descend(
                    chances, trajectory, rows, own, clip, share=len(rows) / len(chosen)
                )
                metrics = {k: v + found.get(k, 0.0) / parts for k, v in metrics.items()}
        _join(policy.parameters, group)
        norm = nn.utils.clip_grad_norm_(policy.parameters, GRADIENT_LIMIT).item()
        if not math.isfinite(norm):
            raise UserError(
                "the gradient is not finite. Nothing was saved since the last state; lower --lr"
            )
        metrics["gradient"] += norm / parts
        optimizer.step()
    whole = {name: group.size * value for name, value in group.mean(metrics).items()}
    return {"reward": rewards.mean().item()} | whole | {"gradient": metrics["gradient"]}


def _join(weights: Sequence[nn.Parameter], group: Group) -> None:
    """The gradient in every process becomes the sum over all of them."""
    if group.size == 1:
        return
    own = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
    total = group.accelerator.reduce(torch.cat([one.flatten() for one in own]), reduction="sum")
    for weight, part in zip(weights, total.split([w.numel() for w in weights]), strict=True):
        weight.grad = part.view_as(weight)


def _descend(
    chances: Chances,
    trajectory: Trajectory,
    rows: Tensor,
    advantage: Float[Tensor, " b"],
    clip: float,
    *,
    share: float,
) -> dict[str, float]:
    """Adds the gradient of some clips of a trajectory, one sampler step after the other."""
    device = chances.model.device
    rows = rows.to(device)
    texts = [trajectory.prompts[row] for row in rows.tolist()]
    guidance = Guidance.of(chances.model, texts, chances.settings.guidance)
    steps, found = len(trajectory.chances), {"loss": 0.0, "clipped": 0.0}
    for i, before in enumerate(trajectory.chances):
        mean, deviation = chances.drawn_from(trajectory.latents[i][rows], guidance, i)
        ratio = (log_chance(trajectory.latents[i + 1][rows], mean, deviation) - before[rows]).exp()
        loss = clipped(ratio, advantage[rows], clip).mean() * share / steps
        loss.backward()
        found["loss"] += loss.item()
        found["clipped"] += ((ratio - 1).abs() > clip).float().mean().item() * share / steps
    return found

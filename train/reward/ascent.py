"""One update on rewards: which clips, their rewards, the gradient of their loss, the step.

Which prompts, which noise and which sampler steps are functions of the update's number, so that a
run that is stopped and resumed does what it would have done. Clips are shared among processes and
sampled in parts (`--micro`); the gradient is that of the mean over all of them.

Left out on purpose: learning-rate schedules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from data.errors import UserError
from train.policy import Policy
from train.preference.loop import GRADIENT_LIMIT, order
from train.preference.passes import Descent
from train.reward.backprop import Draws
from train.reward.rewarded import Rewarded, RolloutAndReward
from train.reward.rewards import LOSSES
from train.reward.vader_config import Config, Shared
from train.run.distributed import Group


def prepare(
    rolled: RolloutAndReward, policy: Policy, optimizer: torch.optim.Optimizer, group: Group
) -> Descent:
    """Hands the rollout and its optimizer to accelerate; alone, they stay as they are."""
    if group.accelerator is None:
        return Descent(policy, optimizer)
    if group.sharded:
        _, wrapped = group.accelerator.prepare(policy.model.network, optimizer)
        return Descent(policy, wrapped, group)
    passes, wrapped = group.accelerator.prepare(rolled, optimizer)
    return Descent(policy, wrapped, group, passes)


def drawn(prompts: Sequence[str], step: int, config: Shared) -> Draws:
    """The clips of one update of all processes, each with the epoch in which its prompt stands.

    A permutation per epoch, by seed; epochs follow one another without a gap.
    """
    span = range(step * config.batch, (step + 1) * config.batch)
    places = [divmod(place, len(prompts)) for place in span]
    orders = {epoch: order(len(prompts), config.seed, epoch) for epoch, _ in places}
    clips = [(prompts[orders[epoch][place]], epoch) for epoch, place in places]
    return Draws(config.seed, step, clips)


def update(
    descent: Descent, rolled: RolloutAndReward, config: Config, draws: Draws
) -> dict[str, float]:
    """One step of the optimizer on fresh clips; what was measured before it, over all processes.

    Raises:
        UserError: the gradient is not finite.
    """
    own = descent.group.share(draws.clips)
    together = config.micro or len(own)
    descent.optimizer.zero_grad(set_to_none=True)
    metrics = {"reward": 0.0, "loss": 0.0, "drift": 0.0, "saturated": 0.0}
    for start in range(0, len(own), together):
        some = own[start : start + together]
        share = len(some) / len(own)
        with descent.part(last=start + together >= len(own)):
            made: Rewarded = (descent.passes or rolled)(replace(draws, clips=some))
            loss = LOSSES[config.loss](made.rewards, config.target)
            descent.backward(loss * share)
        found = (made.rewards.mean().item(), loss.item(), made.drift, made.saturated)
        for name, value in zip(metrics, found, strict=True):
            metrics[name] += share * value
    norm = descent.clip(GRADIENT_LIMIT)
    if not math.isfinite(norm):
        raise UserError(
            "the gradient is not finite. Nothing was saved since the last state; lower --lr"
        )
    descent.optimizer.step()
    return descent.group.mean(metrics) | {"gradient": norm}

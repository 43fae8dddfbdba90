"""What of a step on pairs goes through the wrappers of several processes: a `Descent`.

With DDP the pass that is trained on must go through the wrapper's own forward: DDP sums gradients
only then, and a pass through the module inside trains one adapter per process. The reference's
passes and evaluations need no sum and go past it. FSDP2 shards the network in place, so that every
pass is through it, and every process must make the same number of them. Alone, nothing is wrapped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from data.records import Candidate, Preference, Prompt
from train.preference import batches, beginnings
from train.preference.batches import Material, PairBatch
from train.preference.evaluate import PairErrors
from train.preference.objective import Objective
from train.run.distributed import ALONE, Group

if TYPE_CHECKING:
    from train.models import SampleSettings, VideoModel
    from train.policy import Policy
    from train.preference.cache import Kept


class PairPass(nn.Module):
    """The errors of a batch of pairs as a module's forward: what DDP wraps."""

    def __init__(self, model: VideoModel, objective: Objective) -> None:
        super().__init__()
        self._model, self._objective = model, objective
        self.network = model.network

    def forward(self, batch: PairBatch) -> dict[str, Tensor]:
        """The fields of `PairErrors` that there are, as tensors, so that wrappers find them."""
        errors = vars(self._objective.errors(self._model, batch))
        return {name: value for name, value in errors.items() if value is not None}


@dataclass(frozen=True)
class Descent:
    """A policy and its optimizer as a group trains them. From `prepare`."""

    policy: Policy
    optimizer: Any
    """torch's own, or accelerate's around it."""
    group: Group = ALONE
    passes: Any = None
    """The wrapped `PairPass`; None where every pass is the network's own."""
    objective: Objective = field(default_factory=Objective)

    def errors(self, batch: PairBatch) -> PairErrors:
        """Errors of a batch, with gradient, through what sums the gradients."""
        if self.passes is None:
            return self.objective.errors(self.policy.model, batch)
        return PairErrors(**self.passes(batch))

    @contextmanager
    def part(self, *, last: bool) -> Iterator[None]:
        """Within: forward and backward of one part of a step; gradients meet in the last one."""
        accelerator = self.group.accelerator
        if accelerator is None:
            yield
            return
        accelerator.sync_gradients = last  # DeepSpeed steps in the backward of the last
        wrapped = self.passes or self.policy.model.network
        with nullcontext() if last else accelerator.no_sync(wrapped):
            yield

    def backward(self, loss: Float[Tensor, ""]) -> None:
        """Adds the loss's gradient."""
        if self.group.accelerator is None:
            loss.backward()
        else:
            self.group.accelerator.backward(loss)

    def clip(self, limit: float) -> float:
        """Scales the gradient to a norm of at most `limit`; returns the norm that it had."""
        weights, accelerator = self.policy.parameters, self.group.accelerator
        clip = nn.utils.clip_grad_norm_ if accelerator is None else accelerator.clip_grad_norm_
        return float(clip(weights, limit))


def material(
    model: VideoModel,
    clips: Mapping[str, Candidate],
    prompts: Mapping[str, Prompt],
    settings: SampleSettings,
    group: Group,
    labels: Sequence[Preference] = (),
    kept: Kept | None = None,
) -> Material:
    """`train.preference.batches.prepare`, each process encoding its share of the clips."""
    if group.size == 1:
        return batches.prepare(model, clips, prompts, settings, labels, kept)
    own = {sha: clips[sha] for sha in group.share(sorted(clips))}
    mine = batches.prepare(model, own, prompts, settings, kept=kept)
    if model.image_conditioned:
        beginnings.same_in_every_pair(labels, clips)
        return batches.joined(group.collect(mine))
    latents = {sha: one for each in group.collect(mine.latents) for sha, one in each.items()}
    return replace(mine, latents=latents)


def prepare(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    group: Group,
    objective: Objective = Objective(),  # noqa: B008  frozen
) -> Descent:
    """Hands policy and optimizer to accelerate; alone, they stay as they are."""
    if group.accelerator is None:
        return Descent(policy, optimizer, objective=objective)
    accelerator = group.accelerator
    if group.sharded:
        _, wrapped = accelerator.prepare(policy.model.network, optimizer)
        return Descent(policy, wrapped, group, objective=objective)
    if accelerator.state.deepspeed_plugin:  # it asks, and nothing here depends on it
        accelerator.state.deepspeed_plugin.deepspeed_config["train_micro_batch_size_per_gpu"] = 1
    if len(policy.model.components) > 1 and accelerator.ddp_handler:
        accelerator.ddp_handler.find_unused_parameters = True  # a step may not need every expert
    passes, wrapped = accelerator.prepare(PairPass(policy.model, objective), optimizer)
    return Descent(policy, wrapped, group, passes, objective)

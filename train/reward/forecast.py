"""What a step of `train.vader` will take, counted before it is made, and the settings that fit.

One clip goes as fake tensors (no memory, no arithmetic) through the code of the step itself: the
sampler's steps that keep a graph, the decoder of what is scored, the rewards, and the way back with
whatever is made again on it. Every storage is followed from its making to its freeing: so the peak
is that of the worst moment, wherever it lies, and what each part keeps for the way back is read off
between the parts. Clips that go together take it each. Seconds and free memory are
`train.preference.plan`'s.

`--plan auto` counts every sensible set of parts to make again, and takes the one with the least
arithmetic that fits, with the most clips together.

The sampler's own update is replaced by a sum: it is linear, and keeps nothing of that size. Buffers
inside kernels and an allocator's gaps are in an allowance (`train.reward.budget`). A scorer that
cannot be counted (what it does depends on values) is named and left out. Left out on purpose:
`--offload kept`, which is counted as if nothing were moved, and what the looks of the watch take,
which have no graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from data.errors import UserError
from train.models import SampleSettings, VideoModel
from train.policy import Policy
from train.preference import plan
from train.reward import backprop, frames
from train.reward.backprop import Backprop
from train.reward.budget import ClipCost, Forecast, choose
from train.reward.frames import Scoring
from train.reward.rewards import Mixture
from train.run import memory
from train.run.ledger import Ledger
from train.sampling.rollout import Guidance

WAYS: tuple[tuple[str, ...], ...] = (
    (), ("decoder",), ("decoder", "reward"), ("network",), ("network", "decoder", "reward"),
    ("blocks", "decoder", "reward"), ("network", "blocks", "decoder", "reward"),
)  # fmt: skip
"""Sets of `--checkpointing` that `--plan auto` chooses from."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is trained on: everything that decides how much a step takes."""

    policy: Policy
    reward: Mixture
    settings: SampleSettings
    backprop: Backprop
    scoring: Scoring
    rounds: int = 1

    def again(self, parts: Sequence[str]) -> Step:
        """The same with these parts made again on the way back (`blocks` is the network's)."""
        return replace(
            self,
            reward=self.reward.recomputed(on="reward" in parts),
            backprop=replace(self.backprop, checkpoint="network" in parts),
            scoring=replace(self.scoring, checkpointed="decoder" in parts),
        )


def able(step: Step) -> list[tuple[str, ...]]:
    """The sets of `WAYS` that the model's networks offer."""
    networks: list[Any] = list(step.policy.model.components.values())
    if all(getattr(one, "_supports_gradient_checkpointing", False) for one in networks):
        return [*WAYS]
    return list(dict.fromkeys(tuple(p for p in way if p != "blocks") for way in WAYS))


def counted(step: Step, prompt: str, parts: Sequence[str]) -> ClipCost:
    """Counts one clip through a step with these parts made again; computes nothing.

    Raises:
        UserError: The network or the decoder cannot be counted.
    """
    model = step.policy.model
    with torch.no_grad():
        guidance = Guidance.of(model, [prompt], step.settings.guidance)
        level = model.schedule(step.backprop.total, model.latent_shape(step.settings))[0]
    with _blocks(model, on="blocks" in parts):
        try:
            return _counted(step.again(parts), prompt, guidance, level)
        except RuntimeError as error:  # what torch's fake tensors raise derives from it
            first = str(error).strip().split("\n")[0]
            raise UserError(
                f"--plan cannot count a step of {model.name} ({first}). Choose --micro and "
                "--checkpointing yourself, with --plan none"
            ) from error


def fixed_bytes(policy: Policy, optimizer: str) -> int:
    """Of the gradient and the optimizer's states."""
    return sum(w.numel() for w in policy.parameters) * (4 + plan.MOMENTS[optimizer])


def made_to_fit(
    step: Step, prompt: str, parts: Sequence[str], micro: int | None, *,
    clips: int, fixed: int, room: int | None,
) -> Forecast:  # fmt: skip
    """What the given settings take, or with `room` those that fit.

    Args:
        step: Of one clip.
        prompt: That is embedded.
        parts: Made again on the way back.
        micro: Clips that are sampled together; None: all.
        clips: Of a step of this process.
        fixed: Bytes of gradient and optimizer.
        room: Bytes to choose other parts and clips for; None: keep the given.

    Raises:
        UserError: Nothing fits, or it cannot be counted.
    """
    if room is not None:
        plain = counted(step, prompt, ())  # always the least arithmetic
        fits = plain.together(1, fixed) <= room
        others = () if fits else able(step)[1:]
        costs = [((), plain), *((way, counted(step, prompt, way)) for way in others)]
        return choose(costs, clips=clips, fixed=fixed, room=room)
    cost, together = counted(step, prompt, parts), min(micro or clips, clips)
    return Forecast(parts=tuple(parts), micro=together, cost=cost, fixed=fixed, clips=clips)


def _counted(step: Step, prompt: str, guidance: Guidance, level: Tensor) -> ClipCost:
    model, how = step.policy.model, step.backprop
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode, Ledger(mode) as ledger:
        late = torch.zeros(1, *model.latent_shape(step.settings), device=model.device)
        marks = [ledger.live]
        latents = [_steps(step, late, guidance, level) for _ in range(step.rounds)]
        forward = ledger.flops / (step.rounds * (how.inner or _most(how)))
        marks.append(ledger.live)
        seen = [frames.decoded(model, one, step.scoring, 0.0) for one in latents]
        marks.append(ledger.live)
        reward, uncounted = _rewarded(step, torch.cat(seen, dim=1), prompt)
        marks.append(ledger.live)
        torch.autograd.grad(reward, step.policy.parameters, allow_unused=True)
    weight = sum(w.numel() * w.element_size() for w in step.policy.parameters)
    without = how.total if how.inner else how.total - 1 if how.shortcut else how.total - _most(how)
    network, decoder, kept = (after - before for before, after in pairwise(marks))
    return ClipCost(
        network=network,
        decoder=decoder,
        reward=kept,
        peak=max(ledger.peak - weight, 1),
        flops=ledger.flops + forward * (step.rounds * without + 1),  # 1: the look at the reference
        uncounted=uncounted,
    )


def _most(how: Backprop) -> int:
    """Steps of the sampler that keep a graph, at the most."""
    named = how.steps not in backprop.NAMES
    return 1 if how.shortcut or how.inner else len(how.chosen()) if named else how.k


def _steps(step: Step, late: Tensor, guidance: Guidance, level: Tensor) -> Tensor:
    """Clean latents of one round, several of a clip with `inner` draws."""
    model, how, latents = step.policy.model, step.backprop, late
    if how.inner:
        made = [backprop.predicted(model, late, guidance, level, how) for _ in range(how.inner)]
        return torch.cat([late + one for one in made])
    for _ in range(_most(how)):
        latents = latents + backprop.predicted(model, latents, guidance, level, how)
    return latents


def _rewarded(step: Step, seen: Tensor, prompt: str) -> tuple[Tensor, tuple[str, ...]]:
    """The sum of the rewards of those scorers that can be counted, and the others' names."""
    total, uncounted = seen.mean(), []
    for name in step.reward.weights:
        try:
            values = step.reward.judged(name, seen, [prompt] * len(seen), step.settings.fps)
        except RuntimeError:  # it asks for values, which fake tensors have none of
            uncounted.append(name)
        else:
            total = total + values.sum()
    return total, tuple(uncounted)


@contextmanager
def _blocks(model: VideoModel, *, on: bool) -> Iterator[None]:
    """Within: the network's blocks are made again on the way back."""
    if not on:
        yield
        return
    memory.recompute(model, "blocks")
    try:
        yield
    finally:
        for network in model.components.values():
            cast(Any, network).disable_gradient_checkpointing()

"""Errors of pairs under a model, and the same errors on pairs that are not trained on.

A pair's two clips see the same noise at the same noise level and go through the network together
(or, to save memory, back through it one after the other: the same gradient from half the
activations, for one more forward pass).
Held-out pairs are measured on a fixed bank: the same few noise levels, evenly spread, and the same
noise at every evaluation of every run, so that two numbers differ because the policies do. Errors
are averaged over the bank before the margin is taken.

`margin_at_0.125` and so on are the mean margins at each level: places in (0, 1) of the training law
of noise levels, 1 the noisiest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from data.records import Preference
from train.losses import Metrics, clip_error, diffusion_dpo, margins
from train.models import Conditions, VideoModel
from train.policy import Policy
from train.preference.batches import Material, PairBatch

if TYPE_CHECKING:  # it imports this module
    from train.run.distributed import Group

BANK = "held-out"
"""Bank seed of every evaluation of every run."""
LEVELS = 4


@dataclass(frozen=True)
class PairErrors:
    """Squared error per clip, mean over its elements (or over those of each segment), >= 0."""

    chosen: Float[Tensor, " b *s"]
    rejected: Float[Tensor, " b *s"]
    predictions: Float[Tensor, " c *latent"] | None = None
    """Of the chosen clips and then of the rejected ones, where they were to be kept."""


def levels(model: VideoModel, batch: PairBatch) -> Float[Tensor, " c"]:
    """Noise levels of all chosen clips, then of all rejected ones."""
    rejected = batch.u if batch.own is None else batch.own.u
    return model.timesteps(torch.cat([batch.u, rejected]), batch.chosen.shape[1:])


def pair_errors(
    model: VideoModel,
    batch: PairBatch,
    *,
    reduce: Callable[[Tensor, Tensor], Tensor] = clip_error,
    keep: bool = False,
    alone: bool = False,
) -> PairErrors:
    """Errors of both clips of each pair, in one pass of the network.

    Args:
        model: The policy or the reference, as it stands.
        batch: The pairs.
        reduce: Predictions and targets to errors.
        keep: Keep the predictions.
        alone: Clips go through the network one by one, and once more on the way back.
    """
    latents = torch.cat([batch.chosen, batch.rejected])
    noise = torch.cat([batch.noise, batch.noise if batch.own is None else batch.own.noise])
    t, told = levels(model, batch), batch.conditions.repeat(2)
    noisy = model.noised(latents, noise, t)
    prediction = _alone(model, noisy, t, told) if alone else model.predict(noisy, t, told)
    error = reduce(prediction, model.target(latents, noise, t))
    return PairErrors(
        chosen=error[: len(batch)],
        rejected=error[len(batch) :],
        predictions=prediction if keep else None,
    )


def _alone(model: VideoModel, noisy: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
    """Predictions clip by clip; each one's activations are made again when its gradient is due."""
    rows = [slice(i, i + 1) for i in range(len(t))]
    return torch.cat(
        [
            checkpoint(
                model.predict, noisy[row], t[row], conditions[row],
                use_reentrant=False, preserve_rng_state=False,
            )
            for row in rows
        ]
    )  # fmt: skip


class Evaluation:
    """Pairs on the fixed bank, with the reference's errors, which never change, measured once."""

    def __init__(
        self,
        policy: Policy,
        material: Material,
        labels: Sequence[Preference],
        *,
        batch: int,
        group: Group | None = None,
    ) -> None:
        """Measures the reference.

        Args:
            policy: What is to be evaluated.
            material: With the clips of `labels`.
            labels: At least one pair.
            batch: Pairs per pass.
            group: Processes that share the pairs; None where there is one.
        """
        self._policy, self._material = policy, material
        self._labels, self._batch, self._group = tuple(labels), batch, group
        self._own = group.share(self._labels) if group else self._labels
        with policy.reference():
            self._reference = self._errors()

    def __call__(self, beta: float) -> Metrics:
        """What `diffusion_dpo` logs, over all pairs, at weight 1."""
        device = self._policy.model.device
        probability = torch.tensor([label.probability for label in self._labels], device=device)
        with torch.no_grad():
            at_levels = self._errors()
        errors, reference = _mean(at_levels), _mean(self._reference)
        metrics = diffusion_dpo(
            errors.chosen, errors.rejected, reference.chosen, reference.rejected,
            beta=beta, weight=torch.ones_like(probability), probability=probability,
        )[1]  # fmt: skip
        return metrics | {
            f"margin_at_{_level(k)}": _margin(one, base, beta)
            for k, (one, base) in enumerate(zip(at_levels, self._reference, strict=True))
        }

    def distance(self) -> float:
        """Mean squared distance of predictions to the reference's, on one batch over all levels."""
        from train.preference.distance import prediction_distance  # it imports this module

        some = self._own[: self._batch]
        levels = [_level(row % LEVELS) for row in range(len(some))]
        device = self._policy.model.device
        draws = [row % LEVELS for row in range(len(some))]
        batch = self._material.batch(some, draws, bank_seed=BANK, u=levels, device=device)
        found = {"drift": prediction_distance(self._policy, batch)}
        return (self._group.mean(found) if self._group else found)["drift"]

    def _errors(self) -> list[PairErrors]:
        """Of each clip, by level."""
        levels = [self._at(k) for k in range(LEVELS)]
        return [
            PairErrors(chosen=self._all(one.chosen), rejected=self._all(one.rejected))
            for one in levels
        ]

    def _all(self, own: Float[Tensor, " b"]) -> Float[Tensor, " n"]:
        """The values of all pairs from those of this process."""
        return self._group.whole(own, len(self._labels)) if self._group else own

    def _at(self, k: int) -> PairErrors:
        model, parts = self._policy.model, []
        for start in range(0, len(self._own), self._batch):
            some = self._own[start : start + self._batch]
            levels = [_level(k)] * len(some)
            batch = self._material.batch(
                some, [k] * len(some), bank_seed=BANK, u=levels, device=model.device
            )
            parts.append(pair_errors(model, batch))
        return PairErrors(
            chosen=torch.cat([part.chosen for part in parts]),
            rejected=torch.cat([part.rejected for part in parts]),
        )


def _level(k: int) -> float:
    """Place of the bank's `k`-th level in the training law, in (0, 1)."""
    return (k + 0.5) / LEVELS


def _mean(levels: Sequence[PairErrors]) -> PairErrors:
    return PairErrors(
        chosen=torch.stack([one.chosen for one in levels]).mean(0),
        rejected=torch.stack([one.rejected for one in levels]).mean(0),
    )


def _margin(errors: PairErrors, reference: PairErrors, beta: float) -> float:
    rises = [errors.chosen - reference.chosen, errors.rejected - reference.rejected]
    return margins(rises[0].double(), rises[1].double(), beta).mean().item()

"""Errors of pairs under a model, and the same errors on pairs that are not trained on.

A pair's two clips see the same noise at the same noise level and go through the network together.
Held-out pairs are measured on a fixed bank: the same few noise levels, evenly spread, and the same
noise at every evaluation of every run, so that two numbers differ because the policies do. Errors
are averaged over the bank before the margin is taken.

Left out on purpose: margins by noise level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from data.records import Preference
from train.batches import Material, PairBatch
from train.losses import Metrics, clip_error, diffusion_dpo
from train.models import VideoModel
from train.policy import Policy

BANK = "held-out"
"""Bank seed of every evaluation of every run."""
LEVELS = 4


@dataclass(frozen=True)
class PairErrors:
    """Squared error per clip, mean over its elements, >= 0."""

    chosen: Float[Tensor, " b"]
    rejected: Float[Tensor, " b"]


def pair_errors(model: VideoModel, batch: PairBatch) -> PairErrors:
    """Errors of both clips of each pair, in one pass of the network."""
    latents = torch.cat([batch.chosen, batch.rejected])
    noise, t = torch.cat([batch.noise] * 2), model.timesteps(batch.u).repeat(2)
    prediction = model.predict(model.noised(latents, noise, t), t, batch.conditions.repeat(2))
    error = clip_error(prediction, model.target(latents, noise, t))
    return PairErrors(chosen=error[: len(batch)], rejected=error[len(batch) :])


class Evaluation:
    """Pairs on the fixed bank, with the reference's errors, which never change, measured once."""

    def __init__(
        self, policy: Policy, material: Material, labels: Sequence[Preference], *, batch: int
    ) -> None:
        """Measures the reference.

        Args:
            policy: What is to be evaluated.
            material: With the clips of `labels`.
            labels: At least one pair.
            batch: Pairs per pass.
        """
        self._policy, self._material = policy, material
        self._labels, self._batch = tuple(labels), batch
        with policy.reference():
            self._reference = self._errors()

    def __call__(self, beta: float) -> Metrics:
        """What `diffusion_dpo` logs, over all pairs, at weight 1."""
        device = self._policy.model.device
        probability = torch.tensor([label.probability for label in self._labels], device=device)
        with torch.no_grad():
            errors = self._errors()
        return diffusion_dpo(
            errors.chosen, errors.rejected, self._reference.chosen, self._reference.rejected,
            beta=beta, weight=torch.ones_like(probability), probability=probability,
        )[1]  # fmt: skip

    def _errors(self) -> PairErrors:
        """Mean over the bank's levels, per clip."""
        levels = [self._at(k) for k in range(LEVELS)]
        return PairErrors(
            chosen=torch.stack([level.chosen for level in levels]).mean(0),
            rejected=torch.stack([level.rejected for level in levels]).mean(0),
        )

    def _at(self, k: int) -> PairErrors:
        model, parts = self._policy.model, []
        for start in range(0, len(self._labels), self._batch):
            some = self._labels[start : start + self._batch]
            levels = [(k + 0.5) / LEVELS] * len(some)
            batch = self._material.batch(
                some, [k] * len(some), bank_seed=BANK, u=levels, device=model.device
            )
            parts.append(pair_errors(model, batch))
        return PairErrors(
            chosen=torch.cat([part.chosen for part in parts]),
            rejected=torch.cat([part.rejected for part in parts]),
        )

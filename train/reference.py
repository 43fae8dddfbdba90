"""The reference's errors, measured once and shared by every run on the same clips and draws.

An error of the reference depends on the clip, the prompt, the noise and the noise level, and the
last two are functions of (seed, pair, draw). Arms of a comparison differ in who is chosen and in
nothing that the reference sees, so the second arm and every later one need no pass of it: a third
of their forward passes. Measured in the pass of one batch and used in another, an error may differ
by float noise; within one run each is used once, and there nothing changes.

Left out on purpose: keeping them on disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from data.records import Preference
from train.batches import Material, PairBatch
from train.evaluate import PairErrors, pair_errors
from train.policy import Policy

Key = tuple[str, str, int]


class ReferenceErrors:
    """By pair, clip and draw, for one model, one size of clips and one bank seed."""

    def __init__(self) -> None:
        self._known: dict[Key, float] = {}
        self.passes = 0
        """Batches that were measured and not looked up."""

    def __call__(
        self, policy: Policy, batch: PairBatch, labels: Sequence[Preference], draws: Sequence[int]
    ) -> PairErrors:
        """The reference's errors on `batch`, which was made of these labels and draws."""
        both = list(zip(labels, draws, strict=True))
        chosen = [(label.pair, label.chosen, k) for label, k in both]
        rejected = [(label.pair, label.rejected, k) for label, k in both]
        if not self._known.keys() >= {*chosen, *rejected}:
            with policy.reference():
                found = pair_errors(policy.model, batch)
            self.passes += 1
            self._known |= zip(chosen, found.chosen.tolist(), strict=True)
            self._known |= zip(rejected, found.rejected.tolist(), strict=True)
            return found
        like = batch.weight
        return PairErrors(
            chosen=torch.tensor([self._known[key] for key in chosen]).to(like.device),
            rejected=torch.tensor([self._known[key] for key in rejected]).to(like.device),
        )


def in_parts(
    policy: Policy,
    material: Material,
    reference: ReferenceErrors,
    labels: Sequence[Preference],
    draws: Sequence[int],
    *,
    size: int | None,
    bank_seed: int | str,
) -> Iterator[tuple[PairBatch, PairErrors]]:
    """The pairs of one step with the reference's errors, made when they are asked for.

    Args:
        policy: What is trained.
        material: Latents and conditions.
        reference: Of the errors.
        labels: One per pair.
        draws: Counter of each pair's noise.
        size: Pairs that go through the network together; None for all.
        bank_seed: Of the bank of draws.
    """
    together = size or len(labels)
    for start in range(0, len(labels), together):
        some, k = labels[start : start + together], draws[start : start + together]
        batch = material.batch(some, k, bank_seed=bank_seed, device=policy.model.device)
        yield batch, reference(policy, batch, some, k)

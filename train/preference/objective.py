"""What a batch of pairs costs: errors of both clips under the model, reduced, compared, summed.

One objective serves every family and every variant of the loss. It is split in two calls, so that
the reference's errors can come from elsewhere: `errors` runs the network, `cost` does not. With
`segments` a clip has one error per stretch of time, as in DenseDPO (Wu et al. 2025, arXiv
2506.03517), whose labels per segment are left out: every segment has its pair's.

`released` is VideoDPO's released code where that departs from its paper, for comparison only: one
error per latent column (`column_errors`) and a noise and noise level of its own for each
clip of a pair (`Material.batch` draws them). Not reproduced of that code: empty captions in a fifth
of the steps, a sampled posterior of the autoencoder, windows of longer clips drawn at random, the
training of the whole network, and the weights' shape error at more than one pair per device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from train.losses import Metrics, anchored, clip_error, diffusion_dpo
from train.models import SampleSettings, VideoModel
from train.preference.batches import PairBatch
from train.preference.evaluate import PairErrors, levels, pair_errors
from train.preference.strength import Schedule, at_level

BatchLoss = Callable[..., tuple[Tensor, Metrics]]
"""Called like `losses.diffusion_dpo`."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The settings of a loss on batches of pairs."""

    loss: BatchLoss = diffusion_dpo
    schedule: Schedule = "constant"
    anchor: float = 0.0
    """Weight of the distance to the reference's predictions, >= 0."""
    segments: int = 1
    """Stretches of time, each with a margin of its own."""
    time: int = 1
    """Axis of time in one clip's latents, where there are several segments."""
    released: bool = False
    alone: bool = False
    """One clip after the other goes back through the network: half the activations of a pair."""

    @property
    def comparable(self) -> bool:
        """Whether errors alone tell the reference's part: then they can be kept and shared."""
        return not self.anchor

    def errors(self, model: VideoModel, batch: PairBatch) -> PairErrors:
        """The clips' errors under the model as it stands."""
        return pair_errors(
            model, batch, reduce=self._reduce(), keep=self.anchor > 0, alone=self.alone
        )

    def cost(
        self,
        model: VideoModel,
        batch: PairBatch,
        errors: PairErrors,
        reference: PairErrors,
        beta: float,
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """The loss of the batch, a mean over its pairs, and what to log.

        Args:
            model: For the meaning of the noise levels.
            batch: The pairs.
            errors: Of the policy, from `errors`.
            reference: Of the reference, from `errors` or from where those were kept.
            beta: Before the schedule.
        """
        factor = at_level(model, levels(model, batch)[: len(batch)], self.schedule)
        value, metrics = self.loss(
            errors.chosen, errors.rejected, reference.chosen, reference.rejected,
            beta=beta * factor, weight=batch.weight, probability=batch.probability,
        )  # fmt: skip
        if errors.predictions is None or reference.predictions is None:
            return value, metrics
        apart = clip_error(errors.predictions, reference.predictions.detach())
        return anchored(value, metrics, apart, anchor=self.anchor, weight=batch.weight)

    def _reduce(self) -> Callable[[Tensor, Tensor], Tensor]:
        if self.released:
            return column_errors
        if self.segments == 1:
            return clip_error
        return partial(segment_errors, segments=self.segments, axis=self.time)


def time_axis(model: VideoModel, settings: SampleSettings) -> int | None:
    """The axis of one clip's latents that grows with its frames; None where none does alone."""
    longer = replace(settings, frames=8 * settings.frames)
    pairs = zip(model.latent_shape(settings), model.latent_shape(longer), strict=True)
    grown = [axis for axis, (short, long) in enumerate(pairs) if short != long]
    return grown[0] if len(grown) == 1 else None


def segment_errors(
    prediction: Float[Tensor, " b *latent"],
    target: Float[Tensor, " b *latent"],
    *,
    segments: int,
    axis: int = 1,
) -> Float[Tensor, "b segments"]:
    """Squared error per clip and stretch of time: `segments` stretches that differ by one at most.

    Args:
        prediction: Of the network.
        target: Of the same shape.
        segments: At least 1.
        axis: Of time, in one clip's latents.

    Raises:
        ValueError: More segments than latent frames.
    """
    frames = target.shape[axis + 1]
    if not 1 <= segments <= frames:
        raise ValueError(f"{segments} segments of {frames} latent frames")
    squared = (prediction.float() - target.float()).square()
    parts = squared.tensor_split(segments, dim=axis + 1)
    return torch.stack([part.flatten(1).mean(1) for part in parts], dim=1)


def column_errors(
    prediction: Float[Tensor, "b a1 a2 a3 w"], target: Float[Tensor, "b a1 a2 a3 w"]
) -> Float[Tensor, "b w"]:
    """VideoDPO's released reduction: a mean over three axes of four, so one error per column.

    Source: `lvdm/models/ddpm3d.py`, `dpo_loss`: dims 1, 2 and 3, right for images (b c h w), leave
    the width of a clip's latents, and the loss has one logistic term per latent column.
    """
    return (prediction.float() - target.float()).square().mean(dim=(1, 2, 3))

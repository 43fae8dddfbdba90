"""What the trainer knows of a generator: one protocol for every parametrisation.

`noised`, `target` and `predict` hide epsilon, velocity and flow matching: the error of a clip is
the mean of (prediction - target)^2 over everything but the batch, whatever the family predicts.
`t` is the family's own noise level, one number per clip; nothing outside `train/models/` may
interpret it.

Left out on purpose: classifier-free guidance (the sampler combines two predictions), and sampling
itself (`train.sample`). Latents and predictions are float32 at this boundary; the adapter casts to
the weights' precision inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """How a clip of this model is sampled, and the size that training expects."""

    frames: int
    height: int
    """Pixels."""
    width: int
    """Pixels."""
    fps: float
    """Frames per second of the clip that is written."""
    steps: int
    """Denoising steps."""
    guidance: float
    """Classifier-free guidance scale; 1 samples without the unconditional branch."""


@dataclass(frozen=True)
class Conditions:
    """What the denoiser is told: named tensors, each with the batch first."""

    tensors: Mapping[str, Tensor]

    def __len__(self) -> int:
        """Size of the batch."""
        return len(next(iter(self.tensors.values())))

    def __getitem__(self, index: slice | Tensor) -> Conditions:
        """Some rows, by a slice or by an integer tensor."""
        return Conditions({name: value[index] for name, value in self.tensors.items()})

    def repeat(self, times: int) -> Conditions:
        """The whole batch `times` times, one after the other."""
        return Conditions.join([self] * times)

    def to(self, device: torch.device | str) -> Conditions:
        """The same on another device."""
        return Conditions({name: value.to(device) for name, value in self.tensors.items()})

    @staticmethod
    def join(parts: Sequence[Conditions]) -> Conditions:
        """Several batches of the same names as one, in the order given."""
        names = parts[0].tensors.keys()
        return Conditions({name: torch.cat([p.tensors[name] for p in parts]) for name in names})


@runtime_checkable
class VideoModel(Protocol):
    """A generator as the trainer sees it. `train/models/<family>.py` implements it."""

    source: str
    """What `train.models.load` was given: a built-in name, a folder or a hub id."""
    name: str
    """For people and for records: `shapes`, `Wan2.1-T2V-1.3B`."""
    pipeline: Any
    """The diffusers pipeline; LoRA weights are saved and loaded through it."""
    network: torch.nn.Module
    """The denoiser that is trained: a frozen diffusers model until an adapter is attached."""
    component: str
    """Name of `network` inside the pipeline, as its LoRA loader calls it (`transformer`)."""
    lora_targets: tuple[str, ...]
    """Module names that a LoRA goes on by default."""
    sample_defaults: SampleSettings
    device: torch.device
    dtype: torch.dtype
    """Precision of the frozen weights."""

    def check(self, settings: SampleSettings) -> None:
        """Raises `UserError` for a size that the model cannot take; says what is allowed."""
        ...

    def latent_shape(self, settings: SampleSettings) -> tuple[int, ...]:
        """Shape of one clip's latents, without the batch."""
        ...

    def embed(self, prompts: Sequence[str]) -> Conditions:
        """Prompts as the denoiser reads them, without gradient. "" is the unconditional prompt."""
        ...

    def encode(self, frames: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b ..."]:
        """Latents of frames in [0, 1], normalised for the denoiser; no gradient, no random draw."""
        ...

    def decode(self, latents: Float[Tensor, "b ..."]) -> Float[Tensor, "b t c h w"]:
        """Frames in [0, 1] of latents, differentiable; clamped straight-through."""
        ...

    def timesteps(self, u: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """The family's training law of noise levels: uniform draws in [0, 1) to `t`."""
        ...

    def noised(
        self,
        latents: Float[Tensor, " b *latent"],
        noise: Float[Tensor, " b *latent"],
        t: Float[Tensor, " b"],
    ) -> Float[Tensor, " b *latent"]:
        """Latents at noise level `t`."""
        ...

    def target(
        self,
        latents: Float[Tensor, " b *latent"],
        noise: Float[Tensor, " b *latent"],
        t: Float[Tensor, " b"],
    ) -> Float[Tensor, " b *latent"]:
        """What a perfect denoiser predicts from `noised(latents, noise, t)`."""
        ...

    def predict(
        self, noisy: Float[Tensor, " b *latent"], t: Float[Tensor, " b"], conditions: Conditions
    ) -> Float[Tensor, " b *latent"]:
        """The denoiser's prediction, in float32."""
        ...

    def schedule(self, steps: int) -> Float[Tensor, " n"]:
        """Noise levels of a sampler of `steps` steps: `steps + 1` values, from pure noise to clean.

        Predict at `schedule[i]`, then `step(prediction, i, latents, schedule)`, for i in
        range(steps).
        """
        ...

    def step(
        self,
        prediction: Float[Tensor, " b *latent"],
        t_index: int,
        latents: Float[Tensor, " b *latent"],
        schedule: Float[Tensor, " n"],
    ) -> Float[Tensor, " b *latent"]:
        """Latents at `schedule[t_index + 1]` from those at `schedule[t_index]`, differentiable."""
        ...

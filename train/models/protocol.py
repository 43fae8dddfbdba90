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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from train.parametrisation import Shape, Solver


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
class FirstFrames:
    """The images that clips begin with: what image-to-video is told beside the prompts."""

    pixels: Float[Tensor, "b c h w"]
    """RGB in [0, 1], of the clips' height and width."""
    frames: int
    """Of the clips that they begin."""

    def __getitem__(self, index: slice) -> FirstFrames:
        """Some rows."""
        return FirstFrames(self.pixels[index], self.frames)


Album = Callable[[Sequence[str]], FirstFrames]
"""Prompts to the images that their clips begin with."""


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
class LoraFiles(Protocol):
    """A family's adapter files. Keys of the mappings are names of components."""

    def save(
        self,
        folder: Path,
        file: str,
        states: Mapping[str, Mapping[str, Tensor]],
        configs: Mapping[str, Mapping[str, Any]],
    ) -> list[Path]:
        """Writes every component's adapter under `folder`, the first to `file`.

        Args:
            folder: Exists or not.
            file: Name of the first component's file.
            states: Weights by peft's names.
            configs: `LoraConfig.to_dict()` with sets as sorted lists.

        Returns:
            The files that it wrote, `folder / file` first.
        """
        ...

    def usage(self, folder: Path, file: str) -> list[str]:
        """Python that loads them into a diffusers pipeline `pipe`; empty where that cannot be."""
        ...

    def load(self, folder: Path, file: str, name: str) -> None:
        """Puts the adapter of these files into the networks under the adapter name `name`.

        Raises:
            ValueError: Not an adapter, or not one of this network; so do RuntimeError, KeyError.
        """
        ...


@runtime_checkable
class VideoModel(Protocol):
    """A generator as the trainer sees it. `train/models/<family>.py` implements it."""

    source: str
    """What `train.models.load` was given: a built-in name, a folder or a hub id."""
    name: str
    """For people and for records: `shapes`, `Wan2.1-T2V-1.3B`."""
    pipeline: Any
    """The diffusers pipeline, or what stands for one."""
    components: Mapping[str, torch.nn.Module]
    """The denoisers that are trained, by their name in the pipeline (`transformer`, `unet`): one,
    or several experts. Frozen until an adapter is attached."""
    network: torch.nn.Module
    """The one component, or a module that holds them all: what `predict` runs."""
    lora: LoraFiles
    """How an adapter is written and read."""
    lora_targets: tuple[str, ...]
    """Module names that a LoRA goes on by default."""
    image_conditioned: bool
    """Whether clips begin with a given image: then `embed` needs `images`."""
    album: Album | None
    """Where sampling finds the images of prompts that come without; set by whoever knows them."""
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

    def embed(self, prompts: Sequence[str], images: FirstFrames | None = None) -> Conditions:
        """Prompts as the denoiser reads them, without gradient. "" is the unconditional prompt.

        Args:
            prompts: One per clip.
            images: One per clip, for a model that is `image_conditioned`; others take none.
        """
        ...

    def encode(self, frames: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b ..."]:
        """Latents of frames in [0, 1], normalised for the denoiser; no gradient, no random draw."""
        ...

    def decode(self, latents: Float[Tensor, "b ..."]) -> Float[Tensor, "b t c h w"]:
        """Frames in [0, 1] of latents, differentiable; clamped straight-through."""
        ...

    def timesteps(self, u: Float[Tensor, " b"], shape: Shape | None = None) -> Float[Tensor, " b"]:
        """The family's training law of noise levels: uniform draws in [0, 1) to `t`.

        Args:
            u: One per clip.
            shape: Of one clip's latents, which some laws depend on; None: of `sample_defaults`.
        """
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

    def clean(
        self,
        prediction: Float[Tensor, " b *latent"],
        noisy: Float[Tensor, " b *latent"],
        t: Float[Tensor, " b"],
    ) -> Float[Tensor, " b *latent"]:
        """The estimate of the clean latents that a prediction at level `t` amounts to."""
        ...

    def predict(
        self, noisy: Float[Tensor, " b *latent"], t: Float[Tensor, " b"], conditions: Conditions
    ) -> Float[Tensor, " b *latent"]:
        """The denoiser's prediction, in float32."""
        ...

    def guidance(
        self, scale: float, t: Float[Tensor, ""], latents: Float[Tensor, " b *latent"]
    ) -> Tensor | float:
        """Classifier-free guidance at level `t`, a number or a tensor to be broadcast.

        `scale` itself but for families that vary it, over frames or over noise levels.
        """
        ...

    def schedule(self, steps: int, shape: Shape | None = None) -> Float[Tensor, " n"]:
        """Noise levels of a sampler of `steps` steps: `steps + 1` values, from pure noise to clean.

        `shape` is as in `timesteps`. Predict at `schedule[i]` and hand it to the `solver`, for i
        in range(steps).
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

    def solver(self, schedule: Float[Tensor, " n"]) -> Solver:
        """The family's own steps along `schedule`, for one rollout and in order.

        That is `step`, or a solver that remembers the steps before.
        """
        ...

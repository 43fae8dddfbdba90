"""A generator put together from its parts: what a family's file makes and returns.

Where an adapter is written and read is the part `lora` (`train.models.lora`): `PipelineLora` where
the diffusers pipeline has a loader, `NetworkLora(components)` where it has none, or a family's own.
What is trained are the `components`, one entry for every family but those of several experts.

A family with its own kind of noise gives another `parametrisation`; one with a first image gives
`image`; and `call` is where the network's own conventions end: packed or transposed latents, the
clock, the sign.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from diffusers.models.modeling_utils import get_parameter_device, get_parameter_dtype
from jaxtyping import Float
from torch import Tensor, nn

from train.models.protocol import Album, Conditions, FirstFrames, LoraFiles, SampleSettings
from train.parametrisation import Parametrisation, Shape, Solver

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
"""The projections of diffusers' attention."""
Call = Callable[[Any, Tensor, Tensor, Conditions], Tensor]
"""(network, noisy latents in the weights' dtype, t, conditions) to the prediction."""
Guide = Callable[[float, Tensor, Tensor], Tensor | float]
"""(scale, noise level, latents) to the guidance there, broadcast over the latents."""


@runtime_checkable
class Autoencoder(Protocol):
    """Between frames in [0, 1] and latents normalised for the denoiser, float32 both."""

    def check(self, settings: SampleSettings, name: str) -> None:
        """Raises `UserError` for a size that the model `name` cannot take; says what it can."""
        ...

    def shape(self, settings: SampleSettings) -> tuple[int, ...]:
        """Of one clip's latents, without the batch."""
        ...

    def encode(self, frames: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b ..."]:
        """Latents without a random draw, called without gradient.

        Raises:
            ValueError: A number of frames that the encoder would cut without a word.
        """
        ...

    def decode(self, latents: Float[Tensor, "b ..."]) -> Float[Tensor, "b t c h w"]:
        """Frames, differentiable; clamped straight-through."""
        ...


@dataclass(kw_only=True, eq=False)
class Generator:
    """`VideoModel` by composition. See there for every method.

    Making one freezes every module of the pipeline and puts it into evaluation mode.
    """

    source: str
    name: str
    pipeline: Any
    """Loaded, on its device, in its precision; its modules are those of `.components`."""
    components: Mapping[str, nn.Module]
    lora: LoraFiles
    sample_defaults: SampleSettings
    parametrisation: Parametrisation
    autoencoder: Autoencoder
    text: Callable[[Sequence[str]], Conditions]
    """Prompts to conditions, called without gradient."""
    call: Call
    lora_targets: tuple[str, ...] = ATTENTION
    image: Callable[[FirstFrames], Conditions] | None = None
    """First images to further conditions, called without gradient."""
    album: Album | None = None
    guide: Guide | None = None
    """Where guidance varies over frames or noise levels; None: one scale everywhere."""

    def __post_init__(self) -> None:
        """Freeze."""
        for module in (*self.pipeline.components.values(), *self.components.values()):
            if isinstance(module, nn.Module):
                module.requires_grad_(requires_grad=False).eval()
        parts = list(self.components.values())
        self.network = parts[0] if len(parts) == 1 else nn.ModuleDict(self.components)
        self.device, self.dtype = get_parameter_device(parts[0]), get_parameter_dtype(parts[0])
        self.image_conditioned = self.image is not None

    def check(self, settings: SampleSettings) -> None:
        """The autoencoder's rule."""
        self.autoencoder.check(settings, self.name)

    def latent_shape(self, settings: SampleSettings) -> tuple[int, ...]:
        """The autoencoder's."""
        return self.autoencoder.shape(settings)

    @torch.no_grad()
    def embed(self, prompts: Sequence[str], images: FirstFrames | None = None) -> Conditions:
        """Text, and the first images of an image-conditioned model.

        Raises:
            ValueError: Images where none are taken, or none where they are.
        """
        if (images is None) != (self.image is None):
            raise ValueError(f"{self.name}: image_conditioned is {self.image_conditioned}")
        told = self.text(prompts)
        if self.image is None or images is None:
            return told
        return Conditions({**told.tensors, **self.image(images).tensors})

    @torch.no_grad()
    def encode(self, frames: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b ..."]:
        """The autoencoder's, on the model's device."""
        return self.autoencoder.encode(frames.to(self.device))

    def decode(self, latents: Float[Tensor, "b ..."]) -> Float[Tensor, "b t c h w"]:
        """The autoencoder's."""
        return self.autoencoder.decode(latents)

    def timesteps(self, u: Float[Tensor, " b"], shape: Shape | None = None) -> Float[Tensor, " b"]:
        """The parametrisation's."""
        return self.parametrisation.timesteps(u, self._shape(shape))

    def noised(
        self,
        latents: Float[Tensor, " b *latent"],
        noise: Float[Tensor, " b *latent"],
        t: Float[Tensor, " b"],
    ) -> Float[Tensor, " b *latent"]:
        """The parametrisation's."""
        return self.parametrisation.noised(latents, noise, t)

    def target(
        self,
        latents: Float[Tensor, " b *latent"],
        noise: Float[Tensor, " b *latent"],
        t: Float[Tensor, " b"],
    ) -> Float[Tensor, " b *latent"]:
        """The parametrisation's."""
        return self.parametrisation.target(latents, noise, t)

    def clean(
        self,
        prediction: Float[Tensor, " b *latent"],
        noisy: Float[Tensor, " b *latent"],
        t: Float[Tensor, " b"],
    ) -> Float[Tensor, " b *latent"]:
        """The parametrisation's."""
        return self.parametrisation.clean(prediction, noisy, t)

    def predict(
        self, noisy: Float[Tensor, " b *latent"], t: Float[Tensor, " b"], conditions: Conditions
    ) -> Float[Tensor, " b *latent"]:
        """`call`, in float32."""
        return self.call(self.network, noisy.to(self.dtype), t, conditions).float()

    def guidance(
        self, scale: float, t: Float[Tensor, ""], latents: Float[Tensor, " b *latent"]
    ) -> Tensor | float:
        """`guide`, or the scale itself."""
        return scale if self.guide is None else self.guide(scale, t, latents)

    def schedule(self, steps: int, shape: Shape | None = None) -> Float[Tensor, " n"]:
        """The parametrisation's, on the model's device."""
        return self.parametrisation.schedule(steps, self._shape(shape)).to(self.device)

    def step(
        self,
        prediction: Float[Tensor, " b *latent"],
        t_index: int,
        latents: Float[Tensor, " b *latent"],
        schedule: Float[Tensor, " n"],
    ) -> Float[Tensor, " b *latent"]:
        """The parametrisation's."""
        return self.parametrisation.step(prediction, t_index, latents, schedule)

    def solver(self, schedule: Float[Tensor, " n"]) -> Solver:
        """The parametrisation's."""
        return self.parametrisation.solver(schedule)

    def _shape(self, shape: Shape | None) -> Shape:
        return self.latent_shape(self.sample_defaults) if shape is None else shape

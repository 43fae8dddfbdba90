"""Stable Video Diffusion (`StableVideoDiffusionPipeline`): image-to-video by EDM, without text.

The network is told the image's CLIP embedding, the image's latents beside every noisy frame, and
three numbers: frames per second less one, a motion bucket and how much noise the image got before
it was encoded. Noise levels are continuous; the clock shows log(sigma) / 4 (Karras et al. 2022;
Blattmann et al. 2023, whose training law at this size, log sigma of mean 0.7 and deviation 1.6, is
taken here). The regression target is EDM's F, so the error is the unweighted one of v.

A prompt only names a clip. The empty one is the unconditional branch: no embedding and no latents
of the image. Guidance grows from 1 at the first frame to its scale at the last, as the pipeline's
does. The image's noise is drawn from the image itself, so that both clips of a pair see the same;
the pipeline draws it anew each time. Latents are `b t z y x`.

diffusers has no LoRA loader for this pipeline: the adapter is a file of its own
(`train.models.lora.NetworkLora`).

Left out on purpose: other motion buckets than the published 127, and decoding by chunks.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import StableVideoDiffusionPipeline
from jaxtyping import Float
from torch import Tensor

from train import bank
from train.models.generator import Generator
from train.models.lora import NetworkLora
from train.models.parts import demand_sides, pixels, settings
from train.models.protocol import Conditions, FirstFrames, SampleSettings
from train.models.wan_image import pictures
from train.parametrisation import Edm, Shape

PIPELINES = ("StableVideoDiffusionPipeline",)
FIRST_IMAGE = True
MOTION, IMAGE_NOISE = 127, 0.02
"""Published: the motion bucket, and the deviation of the image's noise in [-1, 1]."""
_LOG_MEAN, _LOG_STD = 0.7, 1.6


@dataclass(frozen=True, kw_only=True, eq=False)
class TemporalVae:
    """An image encoder and a decoder that looks at all frames; latents are `t z y x`."""

    vae: Any
    space: int
    """Pixels per latent row and column."""
    halvings: int
    """Of a latent frame in the denoiser."""

    def check(self, settings: SampleSettings, name: str) -> None:
        """Sides must survive the denoiser's halvings; any number of frames goes."""
        demand_sides(settings, name, self.space * 2**self.halvings)

    def shape(self, settings: SampleSettings) -> tuple[int, ...]:
        """(frames, channels, latent height, latent width)."""
        rows, columns = settings.height // self.space, settings.width // self.space
        return (settings.frames, self.vae.config.latent_channels, rows, columns)

    def encode(self, frames: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t z y x"]:
        """The posterior's mean of each frame, scaled."""
        scale = self.vae.config.scaling_factor
        return torch.stack([self.raw(clip * 2 - 1) * scale for clip in frames])

    def raw(self, signed: Float[Tensor, "n c h w"]) -> Float[Tensor, "n z y x"]:
        """Latents as the encoder gives them, of pictures in [-1, 1]."""
        return self.vae.encode(signed.to(self.vae.dtype)).latent_dist.mode().float()

    def decode(self, latents: Float[Tensor, "b t z y x"]) -> Float[Tensor, "b t c h w"]:
        """Frames; the decoder itself does not clamp."""
        z = (latents / self.vae.config.scaling_factor).to(self.vae.dtype)
        frames = z.shape[1]
        signed = self.vae.decode(z.flatten(0, 1), num_frames=frames).sample
        return pixels(signed.unflatten(0, (-1, frames)).transpose(1, 2))


def told(prompts: Sequence[str], device: torch.device) -> Conditions:
    """Whether the image is told: not with the empty prompt, the unconditional branch."""
    return Conditions({"told": torch.tensor([float(bool(one)) for one in prompts], device=device)})


def seen(
    pipeline: Any, vae: TemporalVae, images: FirstFrames, *, fps: float, noise: float
) -> Conditions:
    """Embedding, latents and the three numbers of each image."""
    device, rows = pipeline.unet.device, images.pixels.cpu()
    grain = torch.stack([bank.noise("image", _name(one), 0, tuple(one.shape)) for one in rows])
    numbers = torch.tensor([[fps - 1, MOTION, noise]], device=device)
    return Conditions(
        {
            "embedding": pipeline._encode_image(pictures(rows), device, 1, False),  # noqa: FBT003
            "latents": vae.raw((rows * 2 - 1 + noise * grain).to(device)),
            "numbers": numbers.repeat(len(rows), 1),
        }
    )


def _name(image: Float[Tensor, "3 h w"]) -> str:
    return hashlib.sha256(image.contiguous().numpy().tobytes()).hexdigest()


def velocity(network: Any, noisy: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
    """The network's F of latents that are divided by sqrt(1 + sigma^2), at sigma t."""
    parts = {name: value.to(noisy.dtype) for name, value in conditions.tensors.items()}
    image = parts["latents"] * parts["told"].view(-1, 1, 1, 1)
    beside = image[:, None].expand(-1, noisy.shape[1], -1, -1, -1)
    return network(
        torch.cat([noisy, beside], dim=2),
        t.log() / 4,
        encoder_hidden_states=parts["embedding"] * parts["told"].view(-1, 1, 1),
        added_time_ids=parts["numbers"],
        return_dict=False,
    )[0]


def guide(scale: float, t: Tensor, latents: Tensor) -> Tensor:  # noqa: ARG001  at every level
    """From 1 at the first frame to the scale at the last."""
    frames = latents.shape[1]
    return torch.linspace(1, scale, frames, device=latents.device).view(1, -1, 1, 1, 1)


def edm(scheduler: Any) -> Edm:
    """The law of an Euler scheduler with continuous v-prediction."""
    own = copy.deepcopy(scheduler)

    def levels(steps: int, shape: Shape) -> Tensor:  # noqa: ARG001  the same for every size
        own.set_timesteps(steps)
        return torch.as_tensor(own.sigmas)

    return Edm(levels=levels, log_mean=_LOG_MEAN, log_std=_LOG_STD)


def load(source: str, *, name: str, device: torch.device | str, dtype: torch.dtype) -> Generator:
    """Stable Video Diffusion from a folder or the hub."""
    pipeline: Any = StableVideoDiffusionPipeline.from_pretrained(source, dtype=dtype).to(device)
    return build(pipeline, source=source, name=name, noise=IMAGE_NOISE)


def build(pipeline: Any, *, source: str, name: str, noise: float) -> Generator:
    """Of a loaded pipeline; `noise` is the deviation of the image's noise in [-1, 1]."""
    unet = pipeline.unet
    published = SampleSettings(
        frames=unet.config.num_frames, height=576, width=1024, fps=7.0, steps=25, guidance=3.0
    )
    defaults, _ = settings(source, published, 0)
    vae = TemporalVae(
        vae=pipeline.vae,
        space=pipeline.vae_scale_factor,
        halvings=len(unet.config.block_out_channels) - 1,
    )
    return Generator(
        source=source,
        name=name,
        pipeline=pipeline,
        components={"unet": unet},
        lora=NetworkLora({"unet": unet}),
        sample_defaults=defaults,
        parametrisation=edm(pipeline.scheduler),
        autoencoder=vae,
        text=lambda prompts: told(prompts, unet.device),
        image=lambda images: seen(pipeline, vae, images, fps=defaults.fps, noise=noise),
        call=velocity,
        guide=guide,
    )

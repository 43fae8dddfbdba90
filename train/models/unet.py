"""What the UNet families share: an image autoencoder per frame, CLIP text, the scheduler's DDIM.

Frames are encoded one by one by Stable Diffusion's image autoencoder: latents `b c t h w` are the
posterior's mean (not a draw: the same clip has one latent) times its scaling factor. The noise law
is that of the pipeline's scheduler, whichever it is; sampling is DDIM with eta 0 on that law and
with the scheduler's spacing of timesteps. With `linspace` spacing diffusers' own DDIM steps to
`t - 1000 // steps` and not to the next of its timesteps; here a step ends where the next begins.

Left out on purpose: textual inversion, IP-Adapter, clip skip, dynamic thresholding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from jaxtyping import Float
from torch import Tensor

from data.errors import UserError
from train.models.parts import demand_sides, discrete, frame_by_frame
from train.models.protocol import Conditions, SampleSettings
from train.parametrisation import Discrete

_FRAMES_AT_ONCE = 16  # of an encoder's or decoder's pass


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameVae:
    """Stable Diffusion's autoencoder, frame by frame (`train.models.generator.Autoencoder`)."""

    vae: AutoencoderKL
    multiple: int
    """Of pixels, that heights and widths must be."""
    most: int | None = None
    """Frames that the denoiser can take; None for any number."""

    def check(self, settings: SampleSettings, name: str) -> None:
        """Sides are multiples of `multiple`, frames at most `most`."""
        demand_sides(settings, name, self.multiple)
        if self.most is not None and settings.frames > self.most:
            raise UserError(
                f"Model {name} takes at most {self.most} frames, not {settings.frames}. Choose "
                "another number with --frames."
            )

    def shape(self, settings: SampleSettings) -> tuple[int, ...]:
        """(channels, frames, latent height, latent width)."""
        channels, factor = self._config["latent_channels"], pixels_per_latent(self.vae)
        return (channels, settings.frames, settings.height // factor, settings.width // factor)

    def encode(self, frames: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b z t y x"]:
        """The posterior's mean, scaled."""
        signed = frames.flatten(0, 1).to(self.vae.dtype) * 2 - 1
        parts = [self._latents(part) for part in signed.split(_FRAMES_AT_ONCE)]
        return torch.cat(parts).unflatten(0, frames.shape[:2]).transpose(1, 2)

    def _latents(self, signed: Float[Tensor, "n c h w"]) -> Float[Tensor, "n z y x"]:
        posterior: Any = self.vae.encode(signed)
        return posterior.latent_dist.mode().float() * self._config["scaling_factor"]

    def decode(self, latents: Float[Tensor, "b z t y x"]) -> Float[Tensor, "b t c h w"]:
        """Frames; the decoder itself does not clamp."""
        return self.decode_some(latents, None, exact=True, checkpointed=False)

    def groups(self, latents: Float[Tensor, "b z t y x"]) -> list[range]:
        """The numbers of the frames that each latent frame becomes: its own."""
        return [range(i, i + 1) for i in range(latents.shape[2])]

    def decode_some(
        self,
        latents: Float[Tensor, "b z t y x"],
        wanted: Sequence[int] | None,
        *,
        exact: bool,  # noqa: ARG002  no frame depends on another
        checkpointed: bool,
    ) -> Float[Tensor, "b n c h w"]:
        """See `train.reward.frames.PartialDecoder`."""
        z = latents.transpose(1, 2) / self._config["scaling_factor"]
        return frame_by_frame(
            self._frames, z, wanted, at_once=_FRAMES_AT_ONCE, checkpointed=checkpointed
        )

    def _frames(self, z: Float[Tensor, "n z y x"]) -> Float[Tensor, "n c h w"]:
        decoder: Any = self.vae
        return decoder.decode(z.to(self.vae.dtype)).sample

    @property
    def _config(self) -> Mapping[str, Any]:
        return self.vae.config


def pixels_per_latent(vae: Any) -> int:
    """Of a side: each level of the autoencoder but the last halves it."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def clip_text(pipeline: Any) -> Callable[[Sequence[str]], Conditions]:
    """Prompts to the last hidden states of the pipeline's CLIP, padded to its full length.

    Longer prompts are cut, as the pipelines do; padding is not masked, and is the tokenizer's own
    (Stable Diffusion 1 repeats the end token, OpenCLIP has token 0).
    """
    tokenizer, encoder = pipeline.tokenizer, pipeline.text_encoder

    def text(prompts: Sequence[str]) -> Conditions:
        tokens = tokenizer(
            list(prompts),
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        return Conditions({"text": encoder(tokens.input_ids.to(encoder.device))[0]})

    return text


def ddim(scheduler: Any) -> Discrete:
    """The noise law of any of diffusers' discrete schedulers, with DDIM's timesteps.

    Raises:
        UserError: The network predicts something else than epsilon or v.
    """
    return discrete(DDIMScheduler.from_config(scheduler.config))

"""Wan 2.1 text-to-video (diffusers `WanPipeline`), and with it the built-in model `shapes`.

Flow matching: t is the scheduler's sigma in (0, 1], the network sees the timestep 1000 t and
predicts v = noise - x0. Training levels are uniform draws after the scheduler's shift, the law that
its sampler uses too. Latents are the posterior's mean (not a sample: the same clip has one latent),
normalised with the VAE's per-channel mean and deviation as `WanPipeline` does. The sampler is that
of the folder, UniPC for the published ones.

Left out on purpose: tiled decoding. Wan 2.2 has files of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import WanPipeline
from jaxtyping import Float
from torch import Tensor

from data.errors import UserError
from train.models import wan_decode
from train.models.generator import Generator
from train.models.lora import PipelineLora
from train.models.parts import demand_sides, flow, pixels, settings
from train.models.protocol import Conditions, SampleSettings

PIPELINES = ("WanPipeline",)
TIMESTEPS = 1000  # the network's clock: 1000 is pure noise
_CHUNK = 4  # frames per pass of the VAE's encoder after the first; it drops what does not fill one
_PUBLISHED = SampleSettings(frames=81, height=480, width=832, fps=16.0, steps=50, guidance=5.0)
TOKENS = 512  # length that the published weights' prompts were padded to


@dataclass(frozen=True, kw_only=True, eq=False)
class WanAutoencoder:
    """`AutoencoderKLWan` behind `Autoencoder`; latents are `z f y x`."""

    vae: Any
    patch: Sequence[int]
    """Of the denoiser, in latent frames, rows and columns."""

    def check(self, settings: SampleSettings, name: str) -> None:
        """Height and width must fill patches, and frames the VAE's chunks of four (plus one)."""
        space = self.vae.config.scale_factor_spatial * max(self.patch[1:])
        demand_sides(settings, name, space)
        if (settings.frames - 1) % _CHUNK or self.shape(settings)[1] % self.patch[0]:
            raise UserError(
                f"Model {name} takes 4n + 1 frames whose latent frames fill patches of "
                f"{self.patch[0]}, not {settings.frames}. Choose another number with --frames."
            )

    def shape(self, settings: SampleSettings) -> tuple[int, ...]:
        """(channels, latent frames, latent height, latent width)."""
        config = self.vae.config
        return (
            config.z_dim,
            (settings.frames - 1) // config.scale_factor_temporal + 1,
            settings.height // config.scale_factor_spatial,
            settings.width // config.scale_factor_spatial,
        )

    def encode(self, frames: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b z f y x"]:
        """The posterior's mean, normalised per channel.

        Raises:
            ValueError: Not 4n + 1 frames; the VAE would drop the rest without a word.
        """
        if (frames.shape[1] - 1) % _CHUNK:
            raise ValueError(f"The Wan VAE encodes 4n + 1 frames, not {frames.shape[1]}")
        signed = frames.transpose(1, 2).to(self.vae.dtype) * 2 - 1
        mean, std = self._scales(frames)
        return (self.vae.encode(signed).latent_dist.mode().float() - mean) / std

    def decode(self, latents: Float[Tensor, "b z f y x"]) -> Float[Tensor, "b t c h w"]:
        """Frames by the decoder itself: `AutoencoderKLWan.decode` clamps, which kills gradients."""
        return self.decode_some(latents, None, exact=True, checkpointed=False)

    def groups(self, latents: Float[Tensor, "b z f y x"]) -> list[range]:
        """The numbers of the frames that each latent frame becomes."""
        return wan_decode.groups(self.vae, latents.shape[2])

    def decode_some(
        self,
        latents: Float[Tensor, "b z f y x"],
        wanted: Sequence[int] | None,
        *,
        exact: bool,
        checkpointed: bool,
    ) -> Float[Tensor, "b t c h w"]:
        """See `train.reward.frames.PartialDecoder`."""
        mean, std = self._scales(latents)
        signed = wan_decode.decode(
            self.vae,
            (latents * std + mean).to(self.vae.dtype),
            wanted=wanted,
            exact=exact,
            checkpointed=checkpointed,
        )
        return pixels(signed)

    def _scales(self, like: Tensor) -> tuple[Tensor, Tensor]:
        config = self.vae.config
        mean, std = (like.new_tensor(x) for x in (config.latents_mean, config.latents_std))
        return mean.view(1, -1, 1, 1, 1), std.view(1, -1, 1, 1, 1)


def text(pipeline: Any, prompts: Sequence[str], tokens: int) -> Conditions:
    """UMT5 embeddings, zero from the end of each prompt on.

    Prompts are not masked, so `tokens` must be the length that the model was trained with.
    """
    embedded, _ = pipeline.encode_prompt(
        prompt=list(prompts), do_classifier_free_guidance=False, max_sequence_length=tokens
    )
    return Conditions({"text": embedded})


def velocity(network: Any, noisy: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
    """The network's prediction at timestep 1000 t."""
    return network(
        hidden_states=noisy,
        timestep=t * TIMESTEPS,
        encoder_hidden_states=conditions.tensors["text"].to(noisy.dtype),
        return_dict=False,
    )[0]


def load(source: str, *, name: str, device: torch.device | str, dtype: torch.dtype) -> Generator:
    """A Wan text-to-video model from a folder or the hub: 2.1, or one of the two kinds of 2.2."""
    pipeline: Any = WanPipeline.from_pretrained(source, dtype=dtype).to(device)
    from train.models import ti2v, wan22  # they are made of this file's parts

    if pipeline.config.expand_timesteps:
        return ti2v.build(pipeline, source=source, name=name)
    if pipeline.config.boundary_ratio is not None:
        return wan22.build(pipeline, source=source, name=name)
    return build(pipeline, source=source, name=name)


def build(pipeline: Any, *, source: str, name: str) -> Generator:
    """A Wan 2.1 text-to-video model of a pipeline at hand."""
    defaults, tokens = settings(source, _PUBLISHED, TOKENS)
    network = pipeline.transformer
    return Generator(
        source=source,
        name=name,
        pipeline=pipeline,
        components={"transformer": network},
        lora=PipelineLora(pipeline),
        sample_defaults=defaults,
        parametrisation=flow(pipeline.scheduler),
        autoencoder=WanAutoencoder(vae=pipeline.vae, patch=network.config.patch_size),
        text=lambda prompts: text(pipeline, prompts, tokens),
        call=velocity,
    )

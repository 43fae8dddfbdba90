"""Open-Sora 1.2 text-to-video: our own denoiser and autoencoder modules around published weights.

Zheng et al. 2024, arXiv 2412.20404. diffusers has no pipeline for it; `python -m
train.nets.open_sora` makes a folder of `OpenSoraPipeline` from the published files, once. Rectified
flow: the network predicts the way from noise to clip at timestep 1000 t, which is -(noise - x0).
Larger and longer clips are shifted further (the published timestep transform): s u / (1 + (s - 1)
u) with s = sqrt(pixels / 512^2) sqrt(latent frames). Training levels follow the sampler's law, as
in the other families of this project; Open-Sora trained with logit-normal draws under the same
transform. A clip is autoencoded frame by frame, then over time in groups of 17 frames. The network
is told 24 frames per second.

The empty prompt is the learnt null caption, all its tokens; the published sampler cuts it to the
length of the prompt beside it. Left out on purpose: published cleaning of prompts but for case and
white space, the aesthetic score and motion score in the prompt, given frames, and images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from jaxtyping import Float
from torch import Tensor
from transformers import T5EncoderModel, T5Tokenizer

from data.errors import UserError
from train.models import opensora_decode
from train.models.generator import Generator
from train.models.lora import NetworkLora
from train.models.parts import settings
from train.models.protocol import Conditions, SampleSettings
from train.models.unet import FrameVae, pixels_per_latent
from train.nets.stdit3 import STDiT3
from train.nets.temporal_vae import TemporalVae
from train.parametrisation import Flow, Shape

PIPELINES = ("OpenSoraPipeline",)
GROUP = 17
"""Frames that are encoded together."""
_TARGETS = ("qkv", "q_linear", "kv_linear", "attn.proj", "cross_attn.proj")
_PUBLISHED = SampleSettings(frames=51, height=240, width=320, fps=24.0, steps=30, guidance=7.0)
_TIMESTEPS, _FPS, _SQUARE = 1000, 24.0, 512


class OpenSoraPipeline(DiffusionPipeline):
    """The parts in one folder; it only loads and saves.

    Args:
        vae: Of single frames; its scaling factor is the one that Open-Sora used.
        temporal_vae: Of their latents over time.
        text_encoder: T5 v1.1 XXL's encoder.
        tokenizer: T5's.
        transformer: The denoiser.
    """

    def __init__(
        self,
        vae: AutoencoderKL,
        temporal_vae: TemporalVae,
        text_encoder: T5EncoderModel,
        tokenizer: T5Tokenizer,
        transformer: STDiT3,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae,
            temporal_vae=temporal_vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            transformer=transformer,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SpaceTimeVae:
    """Both autoencoders behind `Autoencoder`; latents are `z f y x`."""

    frames: FrameVae
    time: TemporalVae

    def check(self, settings: SampleSettings, name: str) -> None:
        """Sides fill patches; frames fill groups."""
        self.frames.check(settings, name)
        if settings.frames % GROUP:
            raise UserError(
                f"Model {name} takes {GROUP}n frames, not {settings.frames}. Choose another number "
                "with --frames."
            )

    def shape(self, settings: SampleSettings) -> tuple[int, ...]:
        """(channels, latent frames, latent height, latent width)."""
        channels, frames, rows, columns = self.frames.shape(settings)
        return (channels, frames // GROUP * self._group, rows, columns)

    def encode(self, frames: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b z f y x"]:
        """Means of both posteriors, normalised per channel.

        Raises:
            ValueError: Not 17n frames.
        """
        if frames.shape[1] % GROUP:
            raise ValueError(f"This VAE encodes {GROUP}n frames, not {frames.shape[1]}")
        groups = self.frames.encode(frames).to(self.time.dtype).split(GROUP, dim=2)
        shift, scale = self._scales(frames)
        return (torch.cat([self.time.encode(one) for one in groups], dim=2).float() - shift) / scale

    def decode(self, latents: Float[Tensor, "b z f y x"]) -> Float[Tensor, "b t c h w"]:
        """Group by group over time, then frame by frame."""
        return self.decode_some(latents, None, exact=True, checkpointed=False)

    def groups(self, latents: Float[Tensor, "b z f y x"]) -> list[range]:
        """The numbers of the frames that each latent frame becomes: one, then four, per group."""
        return opensora_decode.groups(latents.shape[2], self._group, GROUP, self.time.time)

    def decode_some(
        self,
        latents: Float[Tensor, "b z f y x"],
        wanted: Sequence[int] | None,
        *,
        exact: bool,
        checkpointed: bool,
    ) -> Float[Tensor, "b n c h w"]:
        """See `train.reward.frames.PartialDecoder`."""
        shift, scale = self._scales(latents)
        z = (latents * scale + shift).to(self.time.dtype)
        frames = opensora_decode.decode(
            self.time, z, self.groups(latents), self._group,
            wanted=wanted, exact=exact, checkpointed=checkpointed,
        )  # fmt: skip
        return self.frames.decode_some(frames, None, exact=exact, checkpointed=checkpointed)

    @property
    def _group(self) -> int:
        return math.ceil(GROUP / self.time.time)

    def _scales(self, like: Tensor) -> tuple[Tensor, Tensor]:
        config: Any = self.time.config
        shift, scale = (
            like.new_tensor(x).view(1, -1, 1, 1, 1) for x in (config.shift, config.scale)
        )
        return shift, scale


def text(pipeline: Any, prompts: Sequence[str]) -> Conditions:
    """T5 embeddings and which tokens count; the learnt null caption for the empty prompt."""
    network, tokens = pipeline.transformer, pipeline.transformer.config.model_max_length
    found = pipeline.tokenizer(
        [" ".join(prompt.lower().split()) for prompt in prompts],
        max_length=tokens, padding="max_length", truncation=True, return_tensors="pt",
    ).to(network.device)  # fmt: skip
    embedded = pipeline.text_encoder(found.input_ids, found.attention_mask).last_hidden_state
    empty = torch.tensor([not prompt for prompt in prompts], device=network.device)
    null = network.y_embedder.y_embedding.to(embedded)
    return Conditions(
        {
            "text": torch.where(empty[:, None, None], null, embedded),
            "mask": found.attention_mask.bool() | empty[:, None],
        }
    )


def velocity(network: Any, noisy: Tensor, t: Tensor, conditions: Conditions, space: int) -> Tensor:
    """The network's prediction at timestep 1000 t, turned round; `space` is pixels per latent."""
    told, channels = conditions.tensors, noisy.shape[1]
    size = noisy.shape[3] * space, noisy.shape[4] * space
    fps = torch.full_like(t, _FPS)
    text = told["text"].to(noisy.dtype)
    return -network(noisy, t * _TIMESTEPS, text, told["mask"], fps, size)[:, :channels]


def transform(space: int) -> Flow:
    """The published timestep transform; `space` is pixels per latent."""

    def shift(shape: Shape) -> float:
        _, frames, rows, columns = shape
        return math.sqrt(rows * columns) * space / _SQUARE * math.sqrt(frames)

    return Flow(shift=shift)


def load(source: str, *, name: str, device: torch.device | str, dtype: torch.dtype) -> Generator:
    """Open-Sora 1.2 from a folder that `train.nets.open_sora` made."""
    pipeline: Any = OpenSoraPipeline.from_pretrained(source, dtype=dtype).to(device)
    network, space = pipeline.transformer, pixels_per_latent(pipeline.vae)
    parts = {"transformer": network}
    return Generator(
        source=source,
        name=name,
        pipeline=pipeline,
        components=parts,
        lora=NetworkLora(parts),
        lora_targets=_TARGETS,
        sample_defaults=settings(source, _PUBLISHED, 0)[0],
        parametrisation=transform(space),
        autoencoder=SpaceTimeVae(
            frames=FrameVae(vae=pipeline.vae, multiple=space * max(network.config.patch_size[1:])),
            time=pipeline.temporal_vae,
        ),
        text=lambda prompts: text(pipeline, prompts),
        call=lambda network, noisy, t, told: velocity(network, noisy, t, told, space),
    )

"""Mochi 1 text-to-video (diffusers `MochiPipeline`).

Flow matching whose network counts the other way: its clock is 0 at pure noise and 1000 at the clip,
and it predicts latents - noise. Both are turned here, so that t and the target are those of every
other flow family: the network is called at 1000 (1 - t) and its output negated. The scheduler's
`invert_sigmas` does the same in `MochiPipeline`. The sampler's levels are the linear-quadratic ones
of the published code; training levels are uniform.

`MochiPipeline.encode_prompt` blanks a whole batch whose last prompt is empty where the checkpoint
has `force_zeros_for_empty_prompt`, so prompts are embedded one by one.

Left out on purpose: tiled decoding.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import MochiPipeline
from diffusers.pipelines.mochi.pipeline_mochi import linear_quadratic_schedule
from torch import Tensor

from train.models.generator import Generator
from train.models.lora import PipelineLora
from train.models.parts import VideoAutoencoder, settings
from train.models.protocol import Conditions, SampleSettings
from train.parametrisation import Flow, Shape

PIPELINES = ("MochiPipeline",)
_TIMESTEPS = 1000
_THRESHOLD = 0.025  # noise that the linear half of the levels takes away
_PUBLISHED = SampleSettings(frames=85, height=480, width=848, fps=30.0, steps=64, guidance=4.5)
_TOKENS = 256


def load(source: str, *, name: str, device: torch.device | str, dtype: torch.dtype) -> Generator:
    """A Mochi 1 model from a folder or the hub."""
    pipeline: Any = MochiPipeline.from_pretrained(source, dtype=dtype)
    return build(pipeline.to(device), source=source, name=name)


def build(pipeline: Any, *, source: str, name: str) -> Generator:
    """The same of a pipeline at hand."""
    defaults, tokens = settings(source, _PUBLISHED, _TOKENS)
    return Generator(
        source=source,
        name=name,
        pipeline=pipeline,
        components={"transformer": pipeline.transformer},
        lora=PipelineLora(pipeline),
        sample_defaults=defaults,
        parametrisation=Flow(levels=_levels),
        autoencoder=_autoencoder(pipeline),
        text=lambda prompts: Conditions.join([_text(pipeline, p, tokens) for p in prompts]),
        call=_velocity,
    )


def _levels(steps: int, shape: Shape) -> Tensor:  # noqa: ARG001  the same for every size
    return torch.tensor([*linear_quadratic_schedule(steps, _THRESHOLD), 0.0])


def _autoencoder(pipeline: Any) -> VideoAutoencoder:
    vae = pipeline.vae
    return VideoAutoencoder(
        vae=vae,
        space=vae.spatial_compression_ratio,
        time=vae.temporal_compression_ratio,
        chunk=vae.temporal_compression_ratio,
        patch=pipeline.transformer.config.patch_size,
        scale=vae.config.scaling_factor,
        mean=torch.tensor(vae.config.latents_mean),
        std=torch.tensor(vae.config.latents_std),
    )


def _text(pipeline: Any, prompt: str, tokens: int) -> Conditions:
    text, mask, *_ = pipeline.encode_prompt(
        prompt=[prompt], do_classifier_free_guidance=False, max_sequence_length=tokens
    )
    return Conditions({"text": text, "mask": mask})


def _velocity(network: Any, noisy: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
    return -network(
        hidden_states=noisy,
        encoder_hidden_states=conditions.tensors["text"].to(noisy.dtype),
        timestep=(1 - t) * _TIMESTEPS,
        encoder_attention_mask=conditions.tensors["mask"],
        return_dict=False,
    )[0]

"""HunyuanVideo text-to-video (diffusers `HunyuanVideoPipeline`), Kong et al. 2024.

Flow matching with the scheduler's fixed shift on levels 1, 1 - 1/n, ..., 1/n, the network's clock
at 1000 t. The published weights are guidance-distilled: the network is told a guidance scale
(times 1000) instead of being run twice. Training and sampling tell it the pipeline's default of 6,
so that a policy is trained where it is sampled; the sampler's own guidance is 1 by default and
another value guides twice (`true_cfg_scale` of the pipeline). Text is the language model's hidden
states with their mask, and CLIP's pooled embedding.

Left out on purpose: image-to-video, prompt templates of one's own, tiled decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import HunyuanVideoPipeline
from torch import Tensor

from train.models.generator import Generator
from train.models.lora import PipelineLora
from train.models.parts import VideoAutoencoder, evenly, flow, settings
from train.models.protocol import Conditions, SampleSettings

PIPELINES = ("HunyuanVideoPipeline",)
_TIMESTEPS = 1000
_EMBEDDED_GUIDANCE = 6.0
_PUBLISHED = SampleSettings(frames=129, height=720, width=1280, fps=24.0, steps=50, guidance=1.0)
_TOKENS = 256


def load(source: str, *, name: str, device: torch.device | str, dtype: torch.dtype) -> Generator:
    """A HunyuanVideo model from a folder or the hub."""
    pipeline: Any = HunyuanVideoPipeline.from_pretrained(source, dtype=dtype)
    return build(pipeline.to(device), source=source, name=name)


def build(pipeline: Any, *, source: str, name: str) -> Generator:
    """The same of a pipeline at hand."""
    defaults, tokens = settings(source, _PUBLISHED, _TOKENS)
    network = pipeline.transformer
    return Generator(
        source=source,
        name=name,
        pipeline=pipeline,
        components={"transformer": network},
        lora=PipelineLora(pipeline),
        sample_defaults=defaults,
        parametrisation=flow(pipeline.scheduler, evenly),
        autoencoder=autoencoder(pipeline),
        text=lambda prompts: _text(pipeline, prompts, tokens),
        call=_velocity,
    )


def autoencoder(pipeline: Any) -> VideoAutoencoder:
    """Of HunyuanVideo, and of 1.5."""
    return VideoAutoencoder(
        vae=pipeline.vae,
        space=pipeline.vae_scale_factor_spatial,
        time=pipeline.vae_scale_factor_temporal,
        chunk=pipeline.vae_scale_factor_temporal,
        patch=pipeline.transformer.config.patch_size,
        scale=pipeline.vae.config.scaling_factor,
    )


def _text(pipeline: Any, prompts: Sequence[str], tokens: int) -> Conditions:
    text, pooled, mask = pipeline.encode_prompt(prompt=list(prompts), max_sequence_length=tokens)
    return Conditions({"text": text, "pooled": pooled, "mask": mask})


def _velocity(network: Any, noisy: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
    told = {name: value.to(noisy.dtype) for name, value in conditions.tensors.items()}
    return network(
        hidden_states=noisy,
        timestep=t * _TIMESTEPS,
        encoder_hidden_states=told["text"],
        encoder_attention_mask=told["mask"],
        pooled_projections=told["pooled"],
        guidance=noisy.new_full((len(noisy),), _EMBEDDED_GUIDANCE) * _TIMESTEPS,
        return_dict=False,
    )[0]

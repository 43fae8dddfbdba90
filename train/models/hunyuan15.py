"""HunyuanVideo 1.5 text-to-video (diffusers `HunyuanVideo15Pipeline`).

Flow matching as HunyuanVideo, without embedded guidance: classifier-free guidance is the sampler's
(a `guider` object in the pipeline, whose scale is the default here). The network takes latents
beside those of a first image and its mask, both zero for text-to-video, and no image tokens; text
is the language model's hidden states and the glyph encoder's for quoted words, each with its mask.

The pipeline has no LoRA loader, so the adapter is in peft's names: load it with
`pipe.transformer.load_lora_adapter(folder, weight_name="pytorch_lora_weights.safetensors",
prefix=None)`.

Left out on purpose: image-to-video, super-resolution, and the mean-flow (few-step) checkpoints,
whose network wants the next timestep too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from diffusers import HunyuanVideo15Pipeline
from torch import Tensor

from data.errors import UserError
from train.models.generator import Generator
from train.models.hunyuan import autoencoder
from train.models.lora import NetworkLora
from train.models.parts import evenly, flow, settings
from train.models.protocol import Conditions, SampleSettings

PIPELINES = ("HunyuanVideo15Pipeline",)
_TIMESTEPS = 1000
_PUBLISHED = SampleSettings(frames=121, height=480, width=848, fps=24.0, steps=50, guidance=6.0)
_TOKENS = 1000


def load(source: str, *, name: str, device: torch.device | str, dtype: torch.dtype) -> Generator:
    """A HunyuanVideo 1.5 text-to-video model from a folder or the hub.

    Raises:
        UserError: A mean-flow checkpoint.
    """
    pipeline: Any = HunyuanVideo15Pipeline.from_pretrained(source, dtype=dtype)
    return build(pipeline.to(device), source=source, name=name)


def build(pipeline: Any, *, source: str, name: str) -> Generator:
    """The same of a pipeline at hand."""
    pipeline.vae.enable_slicing()  # its attention takes one clip at a time
    network = pipeline.transformer
    if network.config.use_meanflow:
        raise UserError(
            f"Model {source} is a mean-flow (few-step) checkpoint, which is not supported. Use the "
            "480p or 720p text-to-video checkpoint that it was distilled from."
        )
    published = replace(_PUBLISHED, guidance=pipeline.guider.guidance_scale)
    defaults, pipeline.tokenizer_max_length = settings(source, published, _TOKENS)
    components = {"transformer": network}
    return Generator(
        source=source,
        name=name,
        pipeline=pipeline,
        components=components,
        lora=NetworkLora(components),
        sample_defaults=defaults,
        parametrisation=flow(pipeline.scheduler, evenly),
        autoencoder=autoencoder(pipeline),
        text=lambda prompts: _text(pipeline, prompts),
        call=_velocity,
    )


def _text(pipeline: Any, prompts: Sequence[str]) -> Conditions:
    found = pipeline.encode_prompt(prompt=list(prompts), batch_size=len(prompts))
    return Conditions(dict(zip(("text", "mask", "glyphs", "glyph_mask"), found, strict=True)))


def _velocity(network: Any, noisy: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
    told = {name: value.to(noisy.dtype) for name, value in conditions.tensors.items()}
    clips, channels = noisy.shape[:2]
    no_image = noisy.new_zeros(clips, channels + 1, *noisy.shape[2:])  # latents and mask
    return network(
        hidden_states=torch.cat([noisy, no_image], dim=1),
        image_embeds=noisy.new_zeros(clips, 0, network.config.image_embed_dim),
        timestep=(t * _TIMESTEPS).to(noisy.dtype),  # as the pipeline rounds it
        encoder_hidden_states=told["text"],
        encoder_attention_mask=told["mask"],
        encoder_hidden_states_2=told["glyphs"],
        encoder_attention_mask_2=told["glyph_mask"],
        return_dict=False,
    )[0]

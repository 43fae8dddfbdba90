"""LTX-Video text-to-video (diffusers `LTXPipeline`), HaCohen et al. 2024.

Flow matching on the scheduler's shift, which grows with the number of latent positions where the
checkpoint says so (`use_dynamic_shifting`); the levels start from 1, 1 - 1/n, ..., 1/n as in
`LTXPipeline`. The network sees latents packed into one token per patch and the timestep 1000 t, one
per clip, and its positions in seconds and pixels, for which frames come at the settings' rate.
Prompts keep their attention mask. Decoders that take a timestep decode at 0 and without noise, so
that the same latents are the same clip; `LTXPipeline` can add noise there (its authors recommend
timestep 0.05, noise 0.025).

The decoder is not causal (`decoder_causal` is off): a frame depends on latent frames after it too,
so frames are not decoded without the others (`train.reward.frames.PartialDecoder`).

Left out on purpose: the upsampler, and LTX-2. Image-to-video is in `ltx_image`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import LTXPipeline
from torch import Tensor

from train.models.generator import Generator
from train.models.lora import PipelineLora
from train.models.parts import VideoAutoencoder, evenly, flow, settings
from train.models.protocol import Conditions, SampleSettings

PIPELINES = ("LTXPipeline",)
_TIMESTEPS = 1000
_PUBLISHED = SampleSettings(frames=161, height=512, width=704, fps=25.0, steps=50, guidance=3.0)
_TOKENS = 128


def load(source: str, *, name: str, device: torch.device | str, dtype: torch.dtype) -> Generator:
    """An LTX-Video model from a folder or the hub."""
    pipeline: Any = LTXPipeline.from_pretrained(source, dtype=dtype)
    return build(pipeline.to(device), source=source, name=name)


def build(pipeline: Any, *, source: str, name: str) -> Generator:
    """The same of a pipeline at hand."""
    own = parts(pipeline, source, name, evenly)
    return Generator(call=Velocity(pipeline, own["sample_defaults"].fps), **own)


def parts(
    pipeline: Any, source: str, name: str, sigmas: Callable[[int], list[float]]
) -> dict[str, Any]:
    """What text-to-video and image-to-video share.

    Args:
        pipeline: Loaded.
        source: Where from.
        name: Of the model.
        sigmas: What the pipeline hands to its scheduler, by the number of steps.
    """
    defaults, tokens = settings(source, _PUBLISHED, _TOKENS)
    return {
        "source": source,
        "name": name,
        "pipeline": pipeline,
        "components": {"transformer": pipeline.transformer},
        "lora": PipelineLora(pipeline),
        "sample_defaults": defaults,
        "parametrisation": flow(pipeline.scheduler, sigmas),
        "autoencoder": _autoencoder(pipeline),
        "text": lambda prompts: _text(pipeline, prompts, tokens),
    }


def _autoencoder(pipeline: Any) -> VideoAutoencoder:
    vae = pipeline.vae
    timed = vae.config.timestep_conditioning
    return VideoAutoencoder(
        vae=vae,
        space=vae.spatial_compression_ratio,
        time=vae.temporal_compression_ratio,
        chunk=vae.temporal_compression_ratio,
        patch=pipeline.transformer_spatial_patch_size,
        scale=vae.config.scaling_factor,
        mean=vae.latents_mean,
        std=vae.latents_std,
        decoding={"temb": torch.zeros(1, device=vae.device, dtype=vae.dtype)} if timed else {},
    )


def _text(pipeline: Any, prompts: Sequence[str], tokens: int) -> Conditions:
    text, mask, *_ = pipeline.encode_prompt(
        prompt=list(prompts), do_classifier_free_guidance=False, max_sequence_length=tokens
    )
    return Conditions({"text": text, "mask": mask})


class Velocity:
    """The network's prediction, packed and unpacked as the pipeline does."""

    def __init__(self, pipeline: Any, fps: float) -> None:
        """Frames come at `fps`, which says where in time they are."""
        vae = pipeline.vae
        space = vae.spatial_compression_ratio
        self._pipeline = pipeline
        self._patches = (
            pipeline.transformer_spatial_patch_size,
            pipeline.transformer_temporal_patch_size,
        )
        self._scale = (vae.temporal_compression_ratio / fps, space, space)

    def __call__(self, network: Any, noisy: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """At level t everywhere."""
        return self.at(network, noisy, t, conditions)

    def at(
        self, network: Any, shown: Tensor, levels: Tensor, conditions: Conditions, **places: Tensor
    ) -> Tensor:
        """Of latents at a level per clip, or per token (`tokens`).

        `places` are positions in place of the usual ones, as the network takes them.
        """
        frames, height, width = shown.shape[2:]
        usual = {"rope_interpolation_scale": self._scale}
        packed = network(
            hidden_states=self.tokens(shown),
            encoder_hidden_states=conditions.tensors["text"].to(shown.dtype),
            encoder_attention_mask=conditions.tensors["mask"],
            timestep=levels * _TIMESTEPS,
            num_frames=frames,
            height=height,
            width=width,
            return_dict=False,
            **(places or usual),
        )[0]
        return self._pipeline._unpack_latents(packed, frames, height, width, *self._patches)

    def tokens(self, latents: Tensor) -> Tensor:
        """Latents with one row per patch, `b tokens values`."""
        return self._pipeline._pack_latents(latents, *self._patches)

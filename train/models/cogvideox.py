"""CogVideoX 2B, 5B and 1.5 text-to-video (diffusers `CogVideoXPipeline`), Yang et al. 2024.

v-prediction on 1000 discrete timesteps with zero terminal SNR, so that the last one is pure noise.
The published training weights the error of x0 by 1 / (1 - alphas_cumprod), which is the plain error
of v. The sampler is DDIM with eta 0 on the checkpoint's table; a checkpoint saved with the DPM
solver (5B) samples with DDIM here. The network wants time before channels, and rotary positions
where the checkpoint has them. `CogVideoXPipeline` pads prompts without a mask. Clips have 8n + 1
frames: from an even number of latent frames the VAE decodes three frames too many.

CogVideoX 1.5 puts two latent frames into a patch: a copy of the first latent frame goes in front,
as in the published training code, and is cut off before decoding, as in the pipeline.

Left out on purpose: dynamic guidance, image-to-video, and learned positions of one size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXPipeline
from jaxtyping import Float
from torch import Tensor

from train.models import cogvideox_decode
from train.models.generator import Generator
from train.models.lora import PipelineLora
from train.models.parts import VideoAutoencoder, discrete, pixels, settings
from train.models.protocol import Conditions, SampleSettings

PIPELINES = ("CogVideoXPipeline",)
_PUBLISHED = SampleSettings(frames=49, height=480, width=720, fps=8.0, steps=50, guidance=6.0)
_PUBLISHED_1_5 = SampleSettings(frames=81, height=768, width=1360, fps=16.0, steps=50, guidance=6.0)
_TOKENS = 226


def load(source: str, *, name: str, device: torch.device | str, dtype: torch.dtype) -> Generator:
    """A CogVideoX model from a folder or the hub."""
    pipeline: Any = CogVideoXPipeline.from_pretrained(source, dtype=dtype)
    return build(pipeline.to(device), source=source, name=name)


def build(pipeline: Any, *, source: str, name: str) -> Generator:
    """The same of a pipeline at hand."""
    network = pipeline.transformer
    published = _PUBLISHED if network.config.patch_size_t is None else _PUBLISHED_1_5
    defaults, tokens = settings(source, published, _TOKENS)
    return Generator(
        source=source,
        name=name,
        pipeline=pipeline,
        components={"transformer": network},
        lora=PipelineLora(pipeline),
        sample_defaults=defaults,
        parametrisation=discrete(CogVideoXDDIMScheduler.from_config(pipeline.scheduler.config)),
        autoencoder=CausalAutoencoder(
            vae=pipeline.vae,
            space=pipeline.vae_scale_factor_spatial,
            time=pipeline.vae_scale_factor_temporal,
            chunk=2 * pipeline.vae_scale_factor_temporal,
            patch=network.config.patch_size,
            scale=pipeline.vae_scaling_factor_image,
            lead=(network.config.patch_size_t or 1) - 1,
        ),
        text=lambda prompts: _text(pipeline, prompts, tokens),
        call=lambda network, *told: _v(pipeline, network, *told),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class CausalAutoencoder(VideoAutoencoder):
    """Decodes no further than it must (`train.reward.frames.PartialDecoder`)."""

    def groups(self, latents: Float[Tensor, "b z f y x"]) -> list[range]:
        """The numbers of the frames that each latent frame after the lead becomes."""
        return cogvideox_decode.groups(self.vae, latents.shape[2] - self.lead)

    def decode_some(
        self,
        latents: Float[Tensor, "b z f y x"],
        wanted: Sequence[int] | None,
        *,
        exact: bool,
        checkpointed: bool,
    ) -> Float[Tensor, "b t c h w"]:
        """See `train.reward.frames.PartialDecoder`."""
        signed = cogvideox_decode.decode(
            self.vae, self.raw(latents), wanted=wanted, exact=exact, checkpointed=checkpointed
        )
        return pixels(signed)


def _text(pipeline: Any, prompts: Sequence[str], tokens: int) -> Conditions:
    text, _ = pipeline.encode_prompt(
        prompt=list(prompts), do_classifier_free_guidance=False, max_sequence_length=tokens
    )
    return Conditions({"text": text})


def _v(pipeline: Any, network: Any, noisy: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
    return network(
        hidden_states=noisy.transpose(1, 2),
        encoder_hidden_states=conditions.tensors["text"].to(noisy.dtype),
        timestep=t.long(),
        image_rotary_emb=_positions(pipeline, noisy),
        return_dict=False,
    )[0].transpose(1, 2)


def _positions(pipeline: Any, noisy: Tensor) -> tuple[Tensor, Tensor] | None:
    if not pipeline.transformer.config.use_rotary_positional_embeddings:
        return None
    frames, height, width = noisy.shape[2:]
    space = pipeline.vae_scale_factor_spatial
    return pipeline._prepare_rotary_positional_embeddings(
        height * space, width * space, frames, noisy.device
    )

"""Wan 2.2 TI2V-5B: text-to-video, and image-to-video, with a noise level per token.

The clock is told to every token. In text-to-video all tokens have the clip's level. In
image-to-video (the same weights in a `WanImageToVideoPipeline`) the tokens of the first latent
frame are at level 0 and see the image's clean latents; the pipeline puts those back in place of
whatever the network says there. Here the prediction of the first latent frame is the velocity that
leads to the image, (noisy - image) / t: the sampler ends at the image, and policy and reference
have the same error there, so that it drops out of the margin.

Left out on purpose: last images.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from train.models import wan
from train.models.generator import Generator
from train.models.lora import PipelineLora
from train.models.parts import flow, settings
from train.models.protocol import Conditions, FirstFrames, SampleSettings
from train.parametrisation import LEAST

_PUBLISHED = SampleSettings(frames=121, height=704, width=1280, fps=24.0, steps=50, guidance=5.0)


def clocks(network: Any, noisy: Tensor, t: Tensor, *, given: int = 0) -> Float[Tensor, "b tokens"]:
    """The timestep of every token; 0 in the first `given` latent frames."""
    time, height, width = network.config.patch_size
    frames, rows, columns = noisy.shape[2] // time, noisy.shape[3], noisy.shape[4]
    tokens = (rows // height) * (columns // width)
    level = (t * wan.TIMESTEPS)[:, None].repeat(1, frames * tokens)
    level[:, : given * tokens] = 0
    return level


def velocity(network: Any, noisy: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
    """Text-to-video: the network's prediction, all tokens at level t."""
    return network(
        hidden_states=noisy,
        timestep=clocks(network, noisy, t),
        encoder_hidden_states=conditions.tensors["text"].to(noisy.dtype),
        return_dict=False,
    )[0]


def from_image(network: Any, noisy: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
    """Image-to-video: the first latent frame is given."""
    image = conditions.tensors["known"]
    found = network(
        hidden_states=torch.cat([image.to(noisy.dtype), noisy[:, :, 1:]], dim=2),
        timestep=clocks(network, noisy, t, given=1),
        encoder_hidden_states=conditions.tensors["text"].to(noisy.dtype),
        return_dict=False,
    )[0]
    return led(found, noisy, t, image)


def led(
    found: Float[Tensor, "b z f y x"],
    noisy: Float[Tensor, "b z f y x"],
    t: Float[Tensor, " b"],
    image: Float[Tensor, "b z 1 y x"],
) -> Float[Tensor, "b z f y x"]:
    """A prediction, with the velocity that leads to the image in place of its first frame."""
    level = t.clamp(min=LEAST).view(-1, 1, 1, 1, 1)
    return torch.cat([(noisy[:, :, :1].float() - image) / level, found[:, :, 1:].float()], dim=2)


def _known(autoencoder: wan.WanAutoencoder, images: FirstFrames) -> Conditions:
    """Latents of the first images."""
    frames = images.pixels[:, None].to(autoencoder.vae.device)
    return Conditions({"known": autoencoder.encode(frames)})


def build(pipeline: Any, *, source: str, name: str) -> Generator:
    """TI2V-5B as text-to-video, of a loaded `WanPipeline`."""
    return Generator(call=velocity, **_parts(pipeline, source, name))


def build_image(pipeline: Any, *, source: str, name: str) -> Generator:
    """TI2V-5B as image-to-video, of a loaded `WanImageToVideoPipeline`."""
    parts = _parts(pipeline, source, name)
    return Generator(
        call=from_image, image=lambda images: _known(parts["autoencoder"], images), **parts
    )


def _parts(pipeline: Any, source: str, name: str) -> dict[str, Any]:
    defaults, tokens = settings(source, _PUBLISHED, wan.TOKENS)
    network = pipeline.transformer
    return {
        "source": source,
        "name": name,
        "pipeline": pipeline,
        "components": {"transformer": network},
        "lora": PipelineLora(pipeline),
        "sample_defaults": defaults,
        "parametrisation": flow(pipeline.scheduler),
        "autoencoder": wan.WanAutoencoder(vae=pipeline.vae, patch=network.config.patch_size),
        "text": lambda prompts: wan.text(pipeline, prompts, tokens),
    }

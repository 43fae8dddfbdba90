"""Wan image-to-video (`WanImageToVideoPipeline`): 2.1, and 2.2 A14B with two experts.

The denoiser sees, beside the noisy latents, what is known of the clip: latents of the first image
followed by grey frames, and a mask that is 1 where a frame is given (one channel per frame of a
latent frame). Wan 2.1 also reads the image through CLIP. Both come from the pipeline's own code.
TI2V-5B as image-to-video is in `ti2v`.

Left out on purpose: last images (first-last-frame checkpoints are refused).
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import WanImageToVideoPipeline
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from data.errors import UserError
from train.models import ti2v, wan, wan22
from train.models.generator import ATTENTION, Generator
from train.models.parts import flow, settings
from train.models.protocol import Conditions, FirstFrames, SampleSettings

PIPELINES = ("WanImageToVideoPipeline",)
FIRST_IMAGE = True
_ONE = SampleSettings(frames=81, height=480, width=832, fps=16.0, steps=50, guidance=5.0)
_TWO = SampleSettings(frames=81, height=480, width=832, fps=16.0, steps=40, guidance=3.5)
"""Published for Wan 2.1, and for the two experts of 2.2."""
_OF_IMAGE = ("add_k_proj", "add_v_proj")  # what reads CLIP's tokens


def pictures(pixels: Float[Tensor, "b 3 h w"]) -> list[Image.Image]:
    """Images in [0, 1] as a pipeline's image processor takes them."""
    bytes_ = (pixels * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(one) for one in bytes_]


def known(pipeline: Any, images: FirstFrames) -> Float[Tensor, "b z f y x"]:
    """Mask and latents of the first images and of the grey frames after them."""
    height, width = images.pixels.shape[2:]
    device = pipeline.vae.device
    told = [
        pipeline.prepare_latents(
            one[None].to(device) * 2 - 1, 1, pipeline.vae.config.z_dim, height, width,
            images.frames, torch.float32, device,
        )[1]
        for one in images.pixels
    ]  # fmt: skip
    return torch.cat(told)


def _seen(pipeline: Any, images: FirstFrames) -> Conditions:
    found = {"known": known(pipeline, images)}
    if pipeline.transformer.config.image_dim is not None:
        found["image"] = pipeline.encode_image(pictures(images.pixels), pipeline.vae.device)
    return Conditions(found)


def velocity(network: Any, noisy: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
    """The network's prediction at timestep 1000 t."""
    told = {name: value.to(noisy.dtype) for name, value in conditions.tensors.items()}
    return network(
        hidden_states=torch.cat([noisy, told["known"]], dim=1),
        timestep=t * wan.TIMESTEPS,
        encoder_hidden_states=told["text"],
        encoder_hidden_states_image=told.get("image"),
        return_dict=False,
    )[0]


def load(source: str, *, name: str, device: torch.device | str, dtype: torch.dtype) -> Generator:
    """A Wan image-to-video model from a folder or the hub.

    Raises:
        UserError: It wants a last image too.
    """
    pipeline: Any = WanImageToVideoPipeline.from_pretrained(source, dtype=dtype).to(device)
    config = pipeline.transformer.config
    if pipeline.config.expand_timesteps:
        return ti2v.build_image(pipeline, source=source, name=name)
    if config.pos_embed_seq_len is not None:
        raise UserError(
            f"Model {source} goes from a first image to a last one, which is not supported. Use an "
            "image-to-video model, such as Wan-AI/Wan2.1-I2V-14B-480P-Diffusers."
        )
    published = _ONE if pipeline.config.boundary_ratio is None else _TWO
    defaults, tokens = settings(source, published, wan.TOKENS)
    return Generator(
        source=source,
        name=name,
        pipeline=pipeline,
        lora_targets=ATTENTION + (() if config.image_dim is None else _OF_IMAGE),
        sample_defaults=defaults,
        parametrisation=flow(pipeline.scheduler),
        autoencoder=wan.WanAutoencoder(vae=pipeline.vae, patch=config.patch_size),
        text=lambda prompts: wan.text(pipeline, prompts, tokens),
        image=lambda images: _seen(pipeline, images),
        **wan22.denoisers(pipeline, velocity),
    )

"""VideoCrafter2 text-to-video: our own UNet module and pipeline class around the published weights.

Chen et al. 2024, arXiv 2401.09047. diffusers has no pipeline for it; `python -m train.nets.convert`
makes a folder of `VideoCrafterPipeline` from the published checkpoint, once. The network predicts
epsilon and is told the prompt (OpenCLIP ViT-H, last layer but one) and a frame rate, which is the
same for training and sampling (28, as published inference says; VideoDPO trained at 16 and sampled
at 28).

Input scaling, as trained: x_t = a s_t x0 + sigma noise, where s_t falls linearly from 1 to 0.7 over
timesteps 0 to 399 and stays there. Left out on purpose: eta 1 of the published sampler (sampling is
DDIM with eta 0 on the same timesteps), image conditions, VideoCrafter 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from jaxtyping import Float
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from train.models.generator import Generator
from train.models.lora import PipelineLora
from train.models.parts import settings
from train.models.protocol import Conditions, SampleSettings
from train.models.unet import FrameVae, clip_text, ddim, pixels_per_latent
from train.nets.videocrafter import VideoCrafterUNet
from train.parametrisation import Discrete

PIPELINES = ("VideoCrafterPipeline",)
TOKENS = 77
_PUBLISHED = SampleSettings(frames=16, height=320, width=512, fps=10.0, steps=50, guidance=12.0)
_SCALED = 400  # timesteps over which the input scaling falls


class VideoCrafterPipeline(StableDiffusionLoraLoaderMixin, DiffusionPipeline):
    """The parts in one folder; it loads and saves, and its LoRA loader is Stable Diffusion's.

    Args:
        vae: Stable Diffusion's image autoencoder.
        text_encoder: OpenCLIP ViT-H without its last layer.
        tokenizer: CLIP's, padding with token 0.
        unet: The denoiser.
        scheduler: Of the noise levels.
        fps: Frame rate that the network is told.
        scale: What the input scaling ends at.
    """

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        unet: VideoCrafterUNet,
        scheduler: DDIMScheduler,
        fps: float = 28.0,
        scale: float = 0.7,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet, scheduler=scheduler
        )
        self.register_to_config(fps=fps, scale=scale)


def load(source: str, *, name: str, device: torch.device | str, dtype: torch.dtype) -> Generator:
    """VideoCrafter2 from a folder that `train.nets.convert` made."""
    pipeline: Any = VideoCrafterPipeline.from_pretrained(source, dtype=dtype).to(device)
    law = ddim(pipeline.scheduler)
    return assemble(
        pipeline,
        source=source,
        name=name,
        sample_defaults=settings(source, _PUBLISHED, TOKENS)[0],
        parametrisation=replace(law, scale=scaling(len(law.alphas_cumprod), pipeline.config.scale)),
        text=told(pipeline, fps=pipeline.config.fps),
    )


def assemble(
    pipeline: Any,
    *,
    source: str,
    name: str,
    sample_defaults: SampleSettings,
    parametrisation: Discrete,
    text: Callable[[Sequence[str]], Conditions],
    frames: type[FrameVae] = FrameVae,
) -> Generator:
    """A generator on a `VideoCrafterUNet`, whatever its noise law and its conditions."""
    halvings = len(pipeline.unet.config.channel_mult) - 1  # the UNet pads no odd side
    return Generator(
        source=source,
        name=name,
        pipeline=pipeline,
        components={"unet": pipeline.unet},
        lora=PipelineLora(pipeline),
        sample_defaults=sample_defaults,
        parametrisation=parametrisation,
        autoencoder=frames(
            vae=pipeline.vae, multiple=pixels_per_latent(pipeline.vae) * 2**halvings
        ),
        text=text,
        call=_call,
    )


def scaling(timesteps: int, end: float) -> Float[Tensor, " timesteps"]:
    """s_t: 1 at timestep 0, `end` from timestep 399 on."""
    return torch.cat([torch.linspace(1, end, _SCALED), torch.full((timesteps,), end)])[:timesteps]


def told(pipeline: Any, **numbers: float) -> Callable[[Sequence[str]], Conditions]:
    """The prompt's tokens, and the same numbers for every clip."""
    text, device = clip_text(pipeline), pipeline.unet.device

    def conditions(prompts: Sequence[str]) -> Conditions:
        same = {
            name: torch.full((len(prompts),), value, device=device)
            for name, value in numbers.items()
        }
        return Conditions({**text(prompts).tensors, **same})

    return conditions


def _call(network: Any, noisy: Tensor, t: Tensor, told: Conditions) -> Tensor:
    given = told.tensors
    return network(
        noisy,
        t,
        given["text"].to(noisy.dtype),
        fps=given["fps"],
        guidance=given.get("guidance"),
    )

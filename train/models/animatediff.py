"""AnimateDiff (diffusers `AnimateDiffPipeline`): Stable Diffusion 1 with motion modules.

Guo et al. 2024, arXiv 2307.04725. The network predicts epsilon; a frame is an image to it, and
motion modules attend over a pixel's frames. A LoRA goes on both kinds of attention, through the
pipeline's own loader.

The weights are published in two halves; a folder that can be trained is made of both, once:

    adapter = MotionAdapter.from_pretrained("guoyww/animatediff-motion-adapter-v1-5-2")
    scheduler = DDIMScheduler(beta_schedule="linear", clip_sample=False, steps_offset=1)
    pipe = AnimateDiffPipeline.from_pretrained(BASE, motion_adapter=adapter, scheduler=scheduler)
    pipe.save_pretrained("animatediff")

Left out on purpose: IP-Adapter, motion LoRAs, FreeInit and FreeNoise sampling, AnimateDiff-SDXL.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AnimateDiffPipeline
from torch import Tensor

from train.models.generator import Generator
from train.models.lora import PipelineLora
from train.models.parts import settings
from train.models.protocol import Conditions, SampleSettings
from train.models.unet import FrameVae, clip_text, ddim

PIPELINES = ("AnimateDiffPipeline",)
_PUBLISHED = SampleSettings(frames=16, height=512, width=512, fps=8.0, steps=25, guidance=7.5)
_TOKENS = 77


def load(source: str, *, name: str, device: torch.device | str, dtype: torch.dtype) -> Generator:
    """AnimateDiff from a folder that the pipeline was saved to, or from the hub."""
    pipeline: Any = AnimateDiffPipeline.from_pretrained(source, dtype=dtype).to(device)
    return Generator(
        source=source,
        name=name,
        pipeline=pipeline,
        components={"unet": pipeline.unet},
        lora=PipelineLora(pipeline),
        sample_defaults=settings(source, _PUBLISHED, _TOKENS)[0],
        parametrisation=ddim(pipeline.scheduler),
        autoencoder=FrameVae(
            vae=pipeline.vae, multiple=8, most=pipeline.unet.config.motion_max_seq_length
        ),
        text=clip_text(pipeline),
        call=_call,
    )


def _call(network: Any, noisy: Tensor, t: Tensor, told: Conditions) -> Tensor:
    """The network wants the prompt once per frame."""
    text = told.tensors["text"].to(noisy.dtype).repeat_interleave(noisy.shape[2], 0)
    return network(noisy, t, encoder_hidden_states=text, return_dict=False)[0]

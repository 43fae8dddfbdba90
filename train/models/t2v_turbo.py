"""T2V-Turbo on VideoCrafter2: a consistency model of 4 to 8 steps that is told its guidance scale.

Li et al. 2024, arXiv 2405.18750, version 1. `python -m train.nets.convert --turbo unet_lora.pt`
makes its folder from VideoCrafter2's checkpoint and the published LoRA, merged into the weights, so
that a LoRA trained here goes on top and the merged model is its reference; with `--unmerged` the
LoRA stays apart, and is trained on itself with `--from-adapter`, its frozen copy the reference.

Latent consistency (Luo et al. 2023): training noises to the 50 timesteps 19, 39 ... 999 of the
solver that it was distilled with, without VideoCrafter2's input scaling; a sampler of n steps takes
every (50 // n)-th of them from 999 down, and ends in the clean estimate. The guidance scale w is an
input, embedded and added to the timestep; there is no unconditional branch, so `guidance` is 1 in
the settings of a sample. VideoDPO's code for this model drops the embedding on the way to the
network; here it is applied.

Differs: between two steps the published sampler adds fresh noise to the clean estimate. Here it is
the noise that the network predicts, so that a clip is a function of its first noise, can be
differentiated, and N seeds stay N clips (the deterministic case, gamma 0, of Zheng et al. 2024,
arXiv 2402.19159). The boundary scalings c_skip and c_out are 0 and 1 to within 1e-5 at every
timestep in use, and left out. Left out on purpose: version 2's motion guidance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from jaxtyping import Float
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from data.errors import UserError
from train.models.generator import Generator
from train.models.parts import settings
from train.models.protocol import Conditions, SampleSettings
from train.models.unet import FrameVae, ddim
from train.models.videocrafter import TOKENS, assemble, told
from train.nets.videocrafter import VideoCrafterUNet
from train.parametrisation import Shape

PIPELINES = ("T2VTurboPipeline",)
_PUBLISHED = SampleSettings(frames=16, height=320, width=512, fps=8.0, steps=4, guidance=1.0)
_SOLVER = 50  # timesteps of the solver that it was distilled with


class T2VTurboPipeline(StableDiffusionLoraLoaderMixin, DiffusionPipeline):
    """VideoCrafter2's parts, with a UNet that has a guidance embedding.

    Args:
        vae: See `VideoCrafterPipeline`, as the next four.
        text_encoder: See there.
        tokenizer: See there.
        unet: With `guidance_width`.
        scheduler: See there.
        fps: Frame rate that the network is told.
        guidance: The scale w that it is told; distilled on 5 to 15.
    """

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        unet: VideoCrafterUNet,
        scheduler: DDIMScheduler,
        fps: float = 8.0,
        guidance: float = 7.5,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet, scheduler=scheduler
        )
        self.register_to_config(fps=fps, guidance=guidance)


class _Frames(FrameVae):
    """Refuses guidance by a second prediction, which this model was distilled to do without."""

    def check(self, settings: SampleSettings, name: str) -> None:
        """As `FrameVae`; the scale of guidance is 1."""
        super().check(settings, name)
        if settings.guidance != 1:
            raise UserError(
                f"Model {name} is told its guidance scale and has no unconditional branch: sample "
                f"with --guidance 1, not {settings.guidance:g}, and set the scale as `guidance` in "
                "its model_index.json."
            )


def load(source: str, *, name: str, device: torch.device | str, dtype: torch.dtype) -> Generator:
    """T2V-Turbo from a folder that `train.nets.convert --turbo` made."""
    pipeline: Any = T2VTurboPipeline.from_pretrained(source, dtype=dtype).to(device)
    law = ddim(pipeline.scheduler)
    ticks = solver_ticks(len(law.alphas_cumprod))
    return assemble(
        pipeline,
        source=source,
        name=name,
        sample_defaults=settings(source, _PUBLISHED, TOKENS)[0],
        parametrisation=replace(law, ticks=ticks, levels=levels(ticks), final=1.0),
        text=_text(pipeline),
        frames=_Frames,
    )


def solver_ticks(timesteps: int) -> Float[Tensor, " 50"]:
    """The last timestep of each of 50 equal parts."""
    return torch.arange(1, _SOLVER + 1) * float(timesteps // _SOLVER) - 1


def levels(ticks: Float[Tensor, " n"]) -> Callable[[int, Shape], Tensor]:
    """Every (n // steps)-th tick from the last one down, and the clean end."""

    def chosen(steps: int, shape: Shape) -> Tensor:  # noqa: ARG001  the same for every size
        if not 1 <= steps <= len(ticks):
            raise UserError(
                f"T2V-Turbo samples in 1 to {len(ticks)} steps (4 to 8 as published), not {steps}. "
                "Choose another number with --steps."
            )
        return torch.cat([ticks.flip(0)[:: len(ticks) // steps][:steps], torch.tensor([-1.0])])

    return chosen


def _text(pipeline: Any) -> Callable[[Sequence[str]], Conditions]:
    network, conditions = pipeline.unet, told(pipeline, fps=pipeline.config.fps)
    width, scale = network.config.guidance_width, pipeline.config.guidance

    def text(prompts: Sequence[str]) -> Conditions:
        given = conditions(prompts).tensors
        w = torch.full((len(prompts),), scale, device=network.device)
        waves = guidance_embedding(w, width).to(network.dtype)
        return Conditions({**given, "guidance": waves})

    return text


def guidance_embedding(w: Float[Tensor, " b"], width: int) -> Float[Tensor, "b width"]:
    """Sinusoids of 1000 w, sines first, the lowest frequency at 1 / 10000."""
    return get_timestep_embedding(1000 * w, width, flip_sin_to_cos=False, downscale_freq_shift=1)

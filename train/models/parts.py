"""What families' files are made of: settings beside the weights, levels, a video autoencoder."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from data.errors import UserError
from train.models.protocol import SampleSettings
from train.parametrisation import Discrete, Flow, Latents, Schedule, Shape, Solver

SETTINGS = "sampling.json"
"""Name of the optional file beside `model_index.json`."""


def settings(source: str, published: SampleSettings, tokens: int) -> tuple[SampleSettings, int]:
    """How to sample these weights, and the length that their prompts are padded to.

    A folder may hold `sampling.json`, what its weights were trained for: `frames` that come out,
    `fps`, and arguments of the pipeline's call (`height`, `width`, `num_inference_steps`,
    `guidance_scale`, `max_sequence_length`). Without it the published values hold.
    """
    path = Path(source) / SETTINGS
    if not path.is_file():
        return published, tokens
    found = json.loads(path.read_text())
    own = SampleSettings(
        frames=found["frames"],
        height=found["height"],
        width=found["width"],
        fps=float(found["fps"]),
        steps=found["num_inference_steps"],
        guidance=float(found["guidance_scale"]),
    )
    return own, found["max_sequence_length"]


def evenly(steps: int) -> list[float]:
    """1, 1 - 1/n, ..., 1/n: what most pipelines hand to their scheduler before the shift."""
    return [1 - i / steps for i in range(steps)]


def flow(scheduler: Any, sigmas: Callable[[int], list[float]] | None = None) -> Flow:
    """The law of a pipeline's scheduler: its shift, its levels, and its steps.

    Steps are Euler, or UniPC (Zhao et al. 2023) by diffusers' own class. There one thing differs:
    diffusers cuts 1000 t to an integer before it shows it to the network; here it stays a fraction.

    A scheduler with `use_dynamic_shifting` shifts larger clips further, by the number of their
    latent positions, as Esser et al. 2024 do; training levels get the same shift.

    Args:
        scheduler: Of diffusers.
        sigmas: What the pipeline hands to it, by the number of steps; None: its own default.

    Raises:
        UserError: It is neither.
    """
    own = copy.deepcopy(scheduler)
    config: Any = own.config
    euler = isinstance(own, FlowMatchEulerDiscreteScheduler)
    if not euler:
        _demand_unipc(own)
    dynamic, linear = config.use_dynamic_shifting, config.time_shift_type == "linear"

    def mu(shape: Shape) -> float:
        least, most = config.base_image_seq_len, config.max_image_seq_len
        slope = (config.max_shift - config.base_shift) / (most - least)
        return config.base_shift + slope * (math.prod(shape[1:]) - least)

    def levels(steps: int, shape: Shape) -> Tensor:
        given = None if sigmas is None else sigmas(steps)
        own.set_timesteps(steps, sigmas=given, mu=mu(shape) if dynamic else None)
        return torch.as_tensor(own.sigmas)

    def shift(shape: Shape) -> float:
        return mu(shape) if linear else math.exp(mu(shape))

    constant = own.shift if euler else config.flow_shift
    return Flow(
        shift=shift if dynamic else constant,
        levels=levels,
        multistep=None if euler else partial(_unipc, own),
    )


def _demand_unipc(scheduler: Any) -> None:
    config = scheduler.config
    unipc = isinstance(scheduler, UniPCMultistepScheduler) and config.use_flow_sigmas
    if not unipc or config.prediction_type != "flow_prediction":
        raise UserError(
            f"This model's scheduler is {type(scheduler).__name__}; supported are "
            "FlowMatchEulerDiscreteScheduler, and UniPCMultistepScheduler with use_flow_sigmas and "
            "prediction_type flow_prediction. Name one of them in model_index.json and in "
            "scheduler/scheduler_config.json."
        )


def _unipc(scheduler: Any, schedule: Schedule) -> Solver:
    """One rollout of diffusers' UniPC along these levels."""
    own = copy.deepcopy(scheduler)
    own.set_timesteps(len(schedule) - 1, mu=0.0)  # the shift is in the levels already
    own.sigmas = schedule.cpu()
    own.set_begin_index(0)  # it counts its steps itself; some of its integers may be equal

    def step(prediction: Latents, t_index: int, latents: Latents) -> Latents:
        return own.step(prediction, own.timesteps[t_index], latents, return_dict=False)[0]

    return step


def discrete(scheduler: Any) -> Discrete:
    """The law of a DDIM scheduler of diffusers: its table, prediction type and timesteps.

    Raises:
        UserError: It predicts neither the noise nor v.
    """
    own = copy.deepcopy(scheduler)
    kinds: dict[str, Literal["epsilon", "v"]] = {"epsilon": "epsilon", "v_prediction": "v"}
    kind = own.config.prediction_type
    if kind not in kinds:
        raise UserError(
            f"This model's scheduler predicts {kind!r}; supported are {', '.join(sorted(kinds))}."
        )

    def levels(steps: int, shape: Shape) -> Tensor:  # noqa: ARG001  the same for every size
        own.set_timesteps(steps)
        return torch.cat([own.timesteps.float(), torch.tensor([-1.0])])

    return Discrete(
        alphas_cumprod=own.alphas_cumprod,
        prediction=kinds[kind],
        levels=levels,
        final=float(own.final_alpha_cumprod),
    )


def demand_sides(settings: SampleSettings, name: str, multiple: int) -> None:
    """Height and width must be multiples of that many pixels.

    Raises:
        UserError: One of them is not.
    """
    if settings.height % multiple or settings.width % multiple:
        raise UserError(
            f"Model {name} takes heights and widths that are multiples of {multiple} pixels, "
            f"not {settings.width}x{settings.height}. Choose others with --width and --height."
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoAutoencoder:
    """A causal video VAE of diffusers that encodes `chunk` n + 1 frames; latents are `z f y x`."""

    vae: Any
    space: int
    """Pixels per latent row and column."""
    time: int
    """Frames per latent frame after the first."""
    chunk: int
    """Frames per pass: `time`, or more where the VAE decodes several latent frames at once."""
    patch: int
    """Latent rows and columns per patch of the denoiser."""
    scale: float
    """Latents are (raw - mean) * scale."""
    mean: Float[Tensor, " z"] | None = None
    std: Float[Tensor, " z"] | None = None
    """Per channel; where given, scale is over std."""
    lead: int = 0
    """Copies of the first latent frame in front, cut off again before decoding."""
    decoding: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the decoder."""

    def check(self, settings: SampleSettings, name: str) -> None:
        """Height and width must fill patches, frames the VAE's passes."""
        demand_sides(settings, name, self.space * self.patch)
        if (settings.frames - 1) % self.chunk:
            raise UserError(
                f"Model {name} takes {self.chunk}n + 1 frames, not {settings.frames}. Choose "
                "another number with --frames."
            )

    def shape(self, settings: SampleSettings) -> tuple[int, ...]:
        """(channels, latent frames, latent height, latent width)."""
        return (
            self.vae.config.latent_channels,
            (settings.frames - 1) // self.time + 1 + self.lead,
            settings.height // self.space,
            settings.width // self.space,
        )

    def encode(self, frames: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b z f y x"]:
        """The posterior's mean, normalised.

        Raises:
            ValueError: Not `chunk` n + 1 frames.
        """
        if (frames.shape[1] - 1) % self.chunk:
            raise ValueError(f"This VAE encodes {self.chunk}n + 1 frames, not {frames.shape[1]}")
        signed = frames.transpose(1, 2).to(self.vae.dtype) * 2 - 1
        mean, factor = self._scales(frames)
        latents = (self.vae.encode(signed).latent_dist.mode().float() - mean) * factor
        return torch.cat([latents[:, :, :1]] * self.lead + [latents], dim=2)

    def decode(self, latents: Float[Tensor, "b z f y x"]) -> Float[Tensor, "b t c h w"]:
        """By the VAE's own decoder, which does not clamp."""
        return pixels(self.vae.decode(self.raw(latents), **self.decoding).sample)

    def raw(self, latents: Float[Tensor, "b z f y x"]) -> Float[Tensor, "b z _ y x"]:
        """What the decoder takes: without the lead, in the VAE's own scale and precision."""
        mean, factor = self._scales(latents)
        return (latents[:, :, self.lead :] / factor + mean).to(self.vae.dtype)

    def _scales(self, like: Tensor) -> tuple[Tensor, Tensor]:
        if self.mean is None or self.std is None:
            return like.new_zeros(()), like.new_tensor(self.scale)
        mean, std = (x.to(like).view(1, -1, 1, 1, 1) for x in (self.mean, self.std))
        return mean, self.scale / std


def one_then(ratio: int, latent_frames: int) -> list[range]:
    """The numbers of the frames that each latent frame becomes: one, then `ratio` each."""
    ends = [1 + i * ratio for i in range(latent_frames)]
    return [range(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def frame_by_frame(
    decode: Callable[[Tensor], Tensor],
    latents: Float[Tensor, "b t z y x"],
    wanted: Sequence[int] | None,
    *,
    at_once: int,
    checkpointed: bool,
) -> Float[Tensor, "b n c h w"]:
    """Frames of a decoder that sees one at a time, as `train.reward.frames.PartialDecoder`.

    Args:
        decode: Latents `n z y x` to pixels in about [-1, 1].
        latents: As `decode` takes them.
        wanted: Numbers of the frames to give; None for all.
        at_once: Frames per call; 1 where a call is made again on the way back.
        checkpointed: Keep only the latents; make the rest again on the way back.
    """
    chosen = latents if wanted is None else latents[:, list(wanted)]
    again = checkpointed and torch.is_grad_enabled()
    parts = [
        checkpoint(decode, one, use_reentrant=False) if again else decode(one)
        for one in chosen.flatten(0, 1).split(1 if again else at_once)
    ]
    return pixels(torch.cat(parts).unflatten(0, (len(latents), -1)).transpose(1, 2))


class _StraightThroughClamp(torch.autograd.Function):
    """Clamp to [0, 1] whose gradient is the identity: a saturated pixel can still be moved back."""

    @staticmethod
    def forward(ctx: Any, frames: Tensor) -> Tensor:  # noqa: ARG004
        return frames.clamp(0.0, 1.0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:  # noqa: ARG004
        return grads[0]


def pixels(signed: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b t c h w"]:
    """A decoder's output in [-1, 1] as float32 frames in [0, 1], clamped straight-through."""
    frames: Tensor = _StraightThroughClamp.apply((signed.float() + 1) / 2)  # pyright: ignore[reportAssignmentType]
    return frames.transpose(1, 2)

"""Wan 2.1 text-to-video (diffusers `WanPipeline`), and with it the built-in model `shapes`.

Flow matching: x_t = (1 - t) x0 + t noise with t the scheduler's sigma in (0, 1], the network sees
the timestep 1000 t and predicts v = noise - x0. Training levels are uniform draws after the
scheduler's shift, t = s u / (1 + (s - 1) u), the law that its sampler uses too. Latents are the
posterior's mean (not a sample: the same clip has one latent), normalised with the VAE's
per-channel mean and deviation as `WanPipeline` does. The sampler is Euler on the pipeline's shift;
a pipeline saved with UniPC samples with Euler here.

Left out on purpose: Wan 2.2 (two experts, per-token timesteps) and image-to-video, refused by
name; tiled and chunk-checkpointed decoding.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline
from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify
from jaxtyping import Float
from torch import Tensor

from data.errors import UserError
from train.models.protocol import Conditions, SampleSettings

PIPELINES = ("WanPipeline",)
_TIMESTEPS = 1000  # the network's clock: 1000 is pure noise
_LEAST_LEVEL = 1e-3  # its first tick; at 0 there is no noise to tell two clips by
_CHUNK = 4  # frames per pass of the VAE's encoder after the first; it drops what does not fill one
_PUBLISHED = SampleSettings(frames=81, height=480, width=832, fps=16.0, steps=50, guidance=5.0)
_PUBLISHED_TOKENS = 512


class _StraightThroughClamp(torch.autograd.Function):
    """Clamp to [0, 1] whose gradient is the identity: a saturated pixel can still be moved back."""

    @staticmethod
    def forward(ctx: Any, frames: Tensor) -> Tensor:  # noqa: ARG004
        return frames.clamp(0.0, 1.0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:  # noqa: ARG004
        return grads[0]


class Wan:
    """A `WanPipeline` behind the `VideoModel` protocol. See there for every method."""

    component = "transformer"
    lora_targets = ("to_q", "to_k", "to_v", "to_out.0")

    def __init__(
        self,
        pipeline: WanPipeline,
        *,
        source: str,
        name: str,
        sample_defaults: SampleSettings,
        max_tokens: int,
    ) -> None:
        """Freezes the pipeline's modules and puts them into evaluation mode.

        Args:
            pipeline: Loaded, on its device, in its precision.
            source: What a second copy can be loaded from.
            name: For people and for records.
            sample_defaults: Size and sampler settings to use where nothing else is said.
            max_tokens: Length that prompts are padded to with zeros. Prompts are not masked, so it
                must be the length that the model was trained with (512 for the published weights).
        """
        for module in (pipeline.transformer, pipeline.text_encoder, pipeline.vae):
            module.requires_grad_(requires_grad=False).eval()
        self.source, self.name, self.pipeline = source, name, pipeline
        self.sample_defaults, self.max_tokens = sample_defaults, max_tokens
        self.network, self.vae = pipeline.transformer, pipeline.vae
        self.device, self.dtype = self.network.device, self.network.dtype
        self._scheduler = _euler(pipeline.scheduler)
        shape = (1, self.vae.config.z_dim, 1, 1, 1)
        self._mean = torch.tensor(self.vae.config.latents_mean, device=self.device).view(shape)
        self._std = torch.tensor(self.vae.config.latents_std, device=self.device).view(shape)

    def check(self, settings: SampleSettings) -> None:
        """Height and width must fill patches, and frames the VAE's chunks of four (plus one)."""
        patch = self.network.config.patch_size
        space = self.vae.config.scale_factor_spatial * max(patch[1], patch[2])
        if settings.height % space or settings.width % space:
            raise UserError(
                f"Model {self.name} takes heights and widths that are multiples of {space} pixels, "
                f"not {settings.width}x{settings.height}. Choose others with --width and --height."
            )
        frames = self.latent_shape(settings)[1]
        if (settings.frames - 1) % _CHUNK or frames % patch[0]:
            raise UserError(
                f"Model {self.name} takes 4n + 1 frames whose latent frames fill patches of "
                f"{patch[0]}, not {settings.frames}. Choose another number with --frames."
            )

    def latent_shape(self, settings: SampleSettings) -> tuple[int, ...]:
        """(channels, latent frames, latent height, latent width)."""
        config = self.vae.config
        return (
            config.z_dim,
            (settings.frames - 1) // config.scale_factor_temporal + 1,
            settings.height // config.scale_factor_spatial,
            settings.width // config.scale_factor_spatial,
        )

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> Conditions:
        """UMT5 embeddings, zero from the end of each prompt on."""
        text, _ = self.pipeline.encode_prompt(
            prompt=list(prompts),
            do_classifier_free_guidance=False,
            max_sequence_length=self.max_tokens,
        )
        return Conditions({"text": text})

    @torch.no_grad()
    def encode(self, frames: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b z f y x"]:
        """The posterior's mean, normalised per channel.

        Raises:
            ValueError: Not 4n + 1 frames; the VAE would drop the rest without a word.
        """
        if (frames.shape[1] - 1) % _CHUNK:
            raise ValueError(f"The Wan VAE encodes 4n + 1 frames, not {frames.shape[1]}")
        signed = frames.transpose(1, 2).to(self.device, self.vae.dtype) * 2 - 1
        return (self.vae.encode(signed).latent_dist.mode().float() - self._mean) / self._std

    def decode(self, latents: Float[Tensor, "b z f y x"]) -> Float[Tensor, "b t c h w"]:
        """Frames by the decoder itself: `AutoencoderKLWan.decode` clamps, which kills gradients."""
        vae = self.vae
        z = vae.post_quant_conv((latents * self._std + self._mean).to(vae.dtype))
        vae.clear_cache()
        parts = []
        for i in range(z.shape[2]):
            vae._conv_idx = [0]
            parts.append(
                vae.decoder(
                    z[:, :, i : i + 1],
                    feat_cache=vae._feat_map,
                    feat_idx=vae._conv_idx,
                    first_chunk=i == 0,
                )
            )
        vae.clear_cache()
        out = torch.cat(parts, dim=2)
        if vae.config.patch_size is not None:
            out = unpatchify(out, patch_size=vae.config.patch_size)
        frames = (out.float() + 1) / 2
        clamped: Tensor = _StraightThroughClamp.apply(frames)  # pyright: ignore[reportAssignmentType]
        return clamped.transpose(1, 2)

    def timesteps(self, u: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Uniform, then the scheduler's shift; at least 0.001."""
        shift = self._scheduler.shift
        return (shift * u / (1 + (shift - 1) * u)).clamp(min=_LEAST_LEVEL)

    def noised(
        self,
        latents: Float[Tensor, " b *latent"],
        noise: Float[Tensor, " b *latent"],
        t: Float[Tensor, " b"],
    ) -> Float[Tensor, " b *latent"]:
        """(1 - t) latents + t noise."""
        level = t.view(-1, *[1] * (latents.ndim - 1))
        return (1 - level) * latents + level * noise

    def target(
        self,
        latents: Float[Tensor, " b *latent"],
        noise: Float[Tensor, " b *latent"],
        t: Float[Tensor, " b"],  # noqa: ARG002  a straight path has one velocity
    ) -> Float[Tensor, " b *latent"]:
        """Noise - latents."""
        return noise - latents

    def predict(
        self, noisy: Float[Tensor, " b *latent"], t: Float[Tensor, " b"], conditions: Conditions
    ) -> Float[Tensor, " b *latent"]:
        """The network's velocity at timestep 1000 t."""
        return self.network(
            hidden_states=noisy.to(self.dtype),
            timestep=t * _TIMESTEPS,
            encoder_hidden_states=conditions.tensors["text"].to(self.dtype),
            return_dict=False,
        )[0].float()

    def schedule(self, steps: int) -> Float[Tensor, " n"]:
        """The sigmas that `WanPipeline` itself would use, on the model's device."""
        self._scheduler.set_timesteps(steps)
        return torch.as_tensor(self._scheduler.sigmas, device=self.device)

    def step(
        self,
        prediction: Float[Tensor, " b *latent"],
        t_index: int,
        latents: Float[Tensor, " b *latent"],
        schedule: Float[Tensor, " n"],
    ) -> Float[Tensor, " b *latent"]:
        """Euler: latents + (t' - t) v."""
        return latents + (schedule[t_index + 1] - schedule[t_index]) * prediction


def load(source: str, *, name: str, device: torch.device | str, dtype: torch.dtype) -> Wan:
    """A Wan 2.1 text-to-video model from a folder or the hub.

    A folder may hold `shapes.json`, the settings that its weights were trained for: `frames` that
    come out, `fps`, and arguments of the pipeline's call (`height`, `width`,
    `num_inference_steps`, `guidance_scale`, `max_sequence_length`). Without it the published Wan
    2.1 settings hold.
    """
    pipeline = WanPipeline.from_pretrained(source, dtype=dtype)
    config: Any = pipeline.config
    if config.boundary_ratio is not None or config.expand_timesteps:
        raise UserError(
            f"Model {source} is Wan 2.2 (two experts or per-token timesteps), which is not "
            "supported yet. Use Wan 2.1, such as Wan-AI/Wan2.1-T2V-1.3B-Diffusers."
        )
    settings, tokens = _settings(Path(source) / "shapes.json")
    return Wan(
        pipeline.to(device), source=source, name=name, sample_defaults=settings, max_tokens=tokens
    )


def _settings(path: Path) -> tuple[SampleSettings, int]:
    if not path.is_file():
        return _PUBLISHED, _PUBLISHED_TOKENS
    found = json.loads(path.read_text())
    settings = SampleSettings(
        frames=found["frames"],
        height=found["height"],
        width=found["width"],
        fps=float(found["fps"]),
        steps=found["num_inference_steps"],
        guidance=float(found["guidance_scale"]),
    )
    return settings, found["max_sequence_length"]


def _euler(scheduler: Any) -> FlowMatchEulerDiscreteScheduler:
    """A private copy of the pipeline's Euler scheduler, or one with the shift of its UniPC."""
    if isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
        return copy.deepcopy(scheduler)
    return FlowMatchEulerDiscreteScheduler(shift=scheduler.config.flow_shift)

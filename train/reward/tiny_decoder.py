"""A small decoder of image latents for the frames that are scored: `--decoder FOLDER`.

diffusers' `AutoencoderTiny` (TAESD by O. Boer Bohan, distilled from Stable Diffusion's autoencoder)
keeps about a tenth of what the whole decoder keeps for the way back. It reads latents as the
denoiser has them, with Stable Diffusion's 0.18215 in them, over its own scaling factor (1), frame
by frame. So it serves the families whose latents are those of an image autoencoder; the temporal
layers of Stable Video Diffusion's decoder are left out with it.

Its pictures are not the model's, and a reward through it has another gradient. `measured` says by
how much, on clips of the reference, before the first step; looks of the watch, samples and whatever
is judged later come from the model's own decoder.

Left out on purpose: tiny decoders of video latents (TAEHV), which diffusers has no class for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from diffusers import AutoencoderTiny
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from data.errors import UserError
from train.models import SampleSettings, VideoModel
from train.models.parts import frame_by_frame
from train.models.svd import TemporalVae
from train.models.unet import FrameVae, pixels_per_latent
from train.policy import Policy
from train.reward import frames
from train.reward.frames import Scoring
from train.reward.rewards import Mixture
from train.sampling.rollout import Guidance, Sampler, clip_seed, denoise, initial_noise

CLIPS = 4
"""That the bias is measured on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TinyDecoder:
    """An `AutoencoderTiny` as a `train.reward.frames.PartialDecoder`."""

    vae: Any
    time: int
    """Axis of the latents that counts frames."""

    def groups(self, latents: Float[Tensor, "b ..."]) -> list[range]:
        """The numbers of the frames that each latent frame becomes: its own."""
        return [range(i, i + 1) for i in range(latents.shape[self.time])]

    def decode_some(
        self,
        latents: Float[Tensor, "b ..."],
        wanted: Sequence[int] | None,
        *,
        exact: bool,  # noqa: ARG002  no frame depends on another
        checkpointed: bool,
    ) -> Float[Tensor, "b n c h w"]:
        """See `train.reward.frames.PartialDecoder`."""
        z = latents.movedim(self.time, 1) / self.vae.config.scaling_factor
        return frame_by_frame(
            self._pictures, z.to(self.vae.dtype), wanted, at_once=z.shape[1],
            checkpointed=checkpointed,
        )  # fmt: skip

    def _pictures(self, z: Float[Tensor, "n z y x"]) -> Float[Tensor, "n c h w"]:
        return self.vae.decode(z).sample


def load(folder: str, model: VideoModel) -> TinyDecoder:
    """The decoder in a folder (or of the hub), frozen, on the model's device.

    Raises:
        UserError: the model has no image latents, or the decoder is not one of theirs.
    """
    own = getattr(model, "autoencoder", None)
    if not isinstance(own, FrameVae | TemporalVae):
        raise UserError(
            f"--decoder: latents of {model.name} are not those of an image autoencoder, which "
            "AnimateDiff, ModelScope, VideoCrafter2, T2V-Turbo and Stable Video Diffusion have. "
            "Leave it out; --checkpointing decoder and --score-frames random take less memory too"
        )
    try:
        kind: Any = AutoencoderTiny.load_config(folder)
        vae: Any = AutoencoderTiny.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise UserError(f"--decoder {folder!r} cannot be loaded: {error}") from error
    config, theirs = vae.config, cast(Any, own.vae).config
    factor = config.upsampling_scaling_factor ** (len(config.decoder_block_out_channels) - 1)
    sizes = (config.latent_channels, factor)
    wanted = (theirs.latent_channels, pixels_per_latent(own.vae))
    if kind.get("_class_name") != "AutoencoderTiny" or sizes != wanted:
        raise UserError(
            f"--decoder {folder!r} is a {kind.get('_class_name')} for latents of {sizes[0]} "
            f"channels and {sizes[1]} pixels a side; {model.name} needs an AutoencoderTiny for "
            f"{wanted[0]} channels and {wanted[1]} pixels, such as madebyollin/taesd"
        )
    vae.requires_grad_(requires_grad=False).eval().to(model.device, model.dtype)
    return TinyDecoder(vae=vae, time=2 if isinstance(own, FrameVae) else 1)


def measured(
    policy: Policy,
    reward: Mixture,
    scoring: Scoring,
    settings: SampleSettings,
    prompts: Sequence[str],
    seed: int,
) -> dict[str, float]:
    """Rewards of clips of the reference through `scoring.decoder` beside the model's own.

    Args:
        policy: Whose reference is sampled, a clip per prompt.
        reward: Differentiable.
        scoring: With the decoder to measure.
        settings: Of the sampler.
        prompts: Of the clips.
        seed: Of their noise.
    """
    with torch.no_grad(), policy.reference():
        latents = [_sampled(policy.model, settings, prompt, seed) for prompt in prompts]
    whole = replace(scoring, decoder=None, exact=True, checkpointed=True)
    values, slopes = [], []
    for how in (scoring, whole):
        pairs = zip(latents, prompts, strict=True)
        found = [_slope(policy.model, reward, how, settings, *one) for one in pairs]
        values.append(torch.tensor([value for value, _ in found]))
        slopes.append(torch.stack([slope for _, slope in found]))
    (tiny, true), (one, other) = values, slopes
    return bias(tiny, true, F.cosine_similarity(one, other, dim=1).cpu())


def bias(
    tiny: Float[Tensor, " b"], whole: Float[Tensor, " b"], cosines: Float[Tensor, " b"]
) -> dict[str, float]:
    """Mean difference of rewards, their correlation over clips, mean cosine of their gradients.

    A correlation that one of them does not vary for is left out.
    """
    found = {"difference": (tiny - whole).mean().item(), "cosine": cosines.mean().item()}
    correlation = torch.corrcoef(torch.stack([tiny, whole]))[0, 1].item() if len(tiny) > 1 else 0.0
    varies = len(tiny) > 1 and math.isfinite(correlation)
    return found | ({"correlation": correlation} if varies else {})


def told(found: dict[str, float], clips: int) -> str:
    """The bias in words."""
    together = f"{found['correlation']:.3f}" if "correlation" in found else "not defined"
    return (
        f"Through the tiny decoder, on {clips} clips of the reference: reward "
        f"{found['difference']:+.4g} beside the whole decoder's, correlation over clips "
        f"{together}, cosine of the gradients with respect to latents {found['cosine']:.3f}."
    )


def _sampled(
    model: VideoModel, settings: SampleSettings, prompt: str, seed: int
) -> Float[Tensor, "1 ..."]:
    noise = initial_noise(model, settings, [clip_seed(seed, prompt, 0)])
    guidance = Guidance.of(model, [prompt], settings.guidance)
    return denoise(Sampler(model, settings.steps, noise.shape[1:]), noise, guidance)


def _slope(
    model: VideoModel, reward: Mixture, scoring: Scoring, settings: SampleSettings,
    latents: Float[Tensor, "1 ..."], prompt: str,
) -> tuple[float, Float[Tensor, " n"]]:  # fmt: skip
    """A clip's reward, and its gradient with respect to the latents."""
    held = latents.detach().requires_grad_()
    seen = frames.decoded(model, held, scoring, 0.5)
    value = reward(seen, [prompt], settings.fps / frames.spacing(scoring.spec)).sum()
    (gradient,) = torch.autograd.grad(value, held)
    return value.item(), gradient.flatten()

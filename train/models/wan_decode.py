"""The Wan VAE's decoder, latent frame by latent frame, with memory for one of them at a time.

The decoder is causal: a latent frame is decoded with what its convolutions remember of the ones
before. diffusers keeps that memory in the module and changes it on the way, so that nothing can be
made again on the way back. Here it goes into each call and comes out of it, a call can be
checkpointed, and frames and gradients are those of the plain decode to the last bit.

Only what is asked for is decoded: nothing after the last frame that is wanted. The ones before it
must run, to be remembered. With `exact` the gradient reaches them too; without it they keep no
graph, which costs least and leaves out what an earlier latent frame does to a later picture.

Left out on purpose: tiles, and clamping (it has no gradient outside its range).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan, unpatchify
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from train.models.parts import one_then


def groups(vae: AutoencoderKLWan, latent_frames: int) -> list[range]:
    """The numbers of the frames that each latent frame becomes: one, then equally many each."""
    config: Any = vae.config
    return one_then(2 ** sum(config.temperal_downsample), latent_frames)


def decode(
    vae: AutoencoderKLWan,
    latents: Float[Tensor, "b z f y x"],
    *,
    wanted: Sequence[int] | None = None,
    exact: bool = True,
    checkpointed: bool = False,
) -> Float[Tensor, "b c t h w"]:
    """Frames in about [-1, 1], not clamped.

    Args:
        vae: Its weights and its precision.
        latents: In the VAE's own scale.
        wanted: Numbers of the frames to give, rising; None for all.
        exact: Whether earlier latent frames get a gradient from later frames.
        checkpointed: Keep only what passes between latent frames; make the rest again on the way
            back.
    """
    config: Any = vae.config
    latent_frames = groups(vae, latents.shape[2])
    frames = set(range(latent_frames[-1].stop) if wanted is None else wanted)
    last = max(i for i, some in enumerate(latent_frames) if frames & set(some))
    z = vae.post_quant_conv(latents)
    vae.clear_cache()
    cache: list[Any] = [None] * len(vae._feat_map)
    parts = []
    for i, some in enumerate(latent_frames[: last + 1]):
        here = [frame - some.start for frame in some if frame in frames]
        with nullcontext() if exact or here else torch.no_grad():
            out, *cache = _frame(vae, z[:, :, i : i + 1], cache, first=i == 0, again=checkpointed)
        if here:
            parts.append(out if len(here) == len(some) else out[:, :, here])
    whole = torch.cat(parts, dim=2)
    return whole if config.patch_size is None else unpatchify(whole, patch_size=config.patch_size)


def _frame(
    vae: AutoencoderKLWan,
    z: Float[Tensor, "b z 1 y x"],
    cache: list[Any],
    *,
    first: bool,
    again: bool,
) -> tuple[Any, ...]:
    """One latent frame's pictures, and the memory that it leaves."""

    def run(z: Tensor, *remembered: Any) -> tuple[Any, ...]:
        kept = list(remembered)
        out = vae.decoder(z, feat_cache=kept, feat_idx=[0], first_chunk=first)
        return out, *kept

    if not (again and torch.is_grad_enabled()):
        return run(z, *cache)
    return checkpoint(run, z, *cache, use_reentrant=False, preserve_rng_state=False)

"""CogVideoX's decoder, as far as the last frame that is wanted.

The decoder is causal, and diffusers runs it on two latent frames at a time (three at first, where
their number is odd): what its convolutions remember goes from call to call, and its group norms
look at the frames of one call. So a call's frames depend on no later call, and frames and gradients
are those of the whole decode to the last bit. Each call can be checkpointed. With `exact` the
gradient reaches calls that only have to be remembered; without it they keep no graph.

Left out on purpose: tiles, and single latent frames: a group norm has seen its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from train.models.parts import one_then


def groups(vae: Any, latent_frames: int) -> list[range]:
    """The numbers of the frames that each latent frame becomes: one, then equally many each."""
    return one_then(round(vae.config.temporal_compression_ratio), latent_frames)


def calls(vae: Any, latent_frames: int) -> list[range]:
    """The latent frames that each call of the decoder gets; their number must be odd."""
    size = vae.num_latent_frames_batch_size
    first = min(size + latent_frames % size, latent_frames)
    return [range(first), *(range(i, i + size) for i in range(first, latent_frames, size))]


def decode(
    vae: Any,
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
        exact: Whether earlier calls get a gradient from later frames.
        checkpointed: Keep only what passes between calls; make the rest again on the way back.
    """
    of = groups(vae, latents.shape[2])
    frames = range(of[-1].stop) if wanted is None else wanted
    parts, cache = [], None
    for some in calls(vae, latents.shape[2]):
        begin, end = of[some.start].start, of[some.stop - 1].stop
        here = [frame - begin for frame in frames if begin <= frame < end]
        with nullcontext() if exact or here else torch.no_grad():
            z = latents[:, :, some.start : some.stop]
            out, cache = _call(vae, z, cache, again=checkpointed)
        if here:
            parts.append(out[:, :, here])
        if frames[-1] < end:
            break
    return torch.cat(parts, dim=2)


def _call(
    vae: Any, latents: Float[Tensor, "b z f y x"], cache: Any, *, again: bool
) -> tuple[Tensor, Any]:
    """The frames of one call, and what it remembers."""

    def run(z: Tensor, remembered: Any) -> Any:
        z = z if vae.post_quant_conv is None else vae.post_quant_conv(z)
        return vae.decoder(z, conv_cache=remembered)

    if not (again and torch.is_grad_enabled()):
        return run(latents, cache)
    found: Any = checkpoint(run, latents, cache, use_reentrant=False, preserve_rng_state=False)
    return found

"""Open-Sora's decoder over time, group by group of latent frames: only groups that are wanted.

A group's frames depend on no other group, so frames and gradients are those of the whole decode.
Within a group the norms look at all of it: it is decoded whole, and frames are taken out of it.
With `exact` a scored frame's gradient reaches its whole group; without it only the latent frames
that are scored. VADER decodes the chosen latent frame as if it were a clip of its own, which is
cheaper, and no picture of the clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from train.nets.temporal_vae import TemporalVae


def groups(latent_frames: int, size: int, frames: int, ratio: int) -> list[range]:
    """The numbers of the frames that each latent frame becomes.

    Args:
        latent_frames: Of the clip.
        size: Latent frames per group.
        frames: Frames per group; what is missing is missing from its first latent frame.
        ratio: Frames per latent frame.
    """
    ends = [
        first + frames - (size - 1 - i) * ratio
        for first in range(0, latent_frames // size * frames, frames)
        for i in range(size)
    ]
    return [range(*ends_of) for ends_of in pairwise([0, *ends])]


def decode(
    vae: TemporalVae,
    latents: Float[Tensor, "b z f y x"],
    of: Sequence[range],
    size: int,
    *,
    wanted: Sequence[int] | None = None,
    exact: bool = True,
    checkpointed: bool = False,
) -> Float[Tensor, "b c t y x"]:
    """Latents of frames, in the image autoencoder's scale.

    Args:
        vae: Its weights and its precision.
        latents: In the VAE's own scale.
        of: The frames of each latent frame, as `groups` says.
        size: Latent frames per group.
        wanted: Numbers of the frames to give, rising; None for all.
        exact: Whether the other latent frames of a group get a gradient.
        checkpointed: Keep only what goes into a group; make the rest again on the way back.
    """
    frames = set(range(of[-1].stop) if wanted is None else wanted)
    again, parts = checkpointed and torch.is_grad_enabled(), []
    for first in range(0, len(of), size):
        some = range(first, first + size)
        start, stop = of[first].start, of[some[-1]].stop
        here = [frame - start for frame in range(start, stop) if frame in frames]
        if not here:
            continue
        z = latents[:, :, first : some.stop]
        if not exact:
            scored = z.new_tensor([not frames.isdisjoint(of[i]) for i in some], dtype=torch.bool)
            z = torch.where(scored.view(-1, 1, 1), z, z.detach())
        length = stop - start
        out = (
            checkpoint(vae.decode, z, length, use_reentrant=False, preserve_rng_state=False)
            if again
            else vae.decode(z, length)
        )
        parts.append(out if len(here) == length else out[:, :, here])
    return torch.cat(parts, dim=2)

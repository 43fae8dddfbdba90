"""Which frames of a clip a reward sees: `all`, `first`, `random`, `every:4`, `0,8,16`.

VADER scores one random frame, or every second one for its action reward. With `latent:` before it
the choice is among latent frames, each with all the pictures that it becomes: `latent:random` is
VADER's choice on Open-Sora, `latent:first` VideoX-Fun's (exact and cheapest, and a reason why image
rewards make clips stand still: the first picture depends on no other).

Only what is scored is decoded, where the family's autoencoder can (`PartialDecoder`). The others
decode the whole clip, and make it again on the way back as a whole.

Left out on purpose: another choice for each reward of a mixture, or for each clip of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from data.errors import UserError
from train.models.protocol import VideoModel

_LATENT = "latent:"


@runtime_checkable
class PartialDecoder(Protocol):
    """An autoencoder that can decode some frames without the others."""

    def groups(self, latents: Float[Tensor, "b ..."]) -> list[range]:
        """The numbers of the frames that each latent frame becomes."""
        ...

    def decode_some(
        self,
        latents: Float[Tensor, "b ..."],
        wanted: Sequence[int] | None,
        *,
        exact: bool,
        checkpointed: bool,
    ) -> Float[Tensor, "b t c h w"]:
        """Frames in [0, 1], as `VideoModel.decode`.

        Args:
            latents: Of whole clips.
            wanted: Numbers of the frames to give, rising; None for all.
            exact: Whether latent frames other than the chosen ones get a gradient.
            checkpointed: Make activations again on the way back.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """Which frames are decoded and scored, and how."""

    spec: str = "all"
    exact: bool = True
    checkpointed: bool = False
    decoder: PartialDecoder | None = None
    """In place of the model's own."""


def decoded(
    model: VideoModel, latents: Float[Tensor, "b ..."], scoring: Scoring, u: float
) -> Float[Tensor, "b t c h w"]:
    """The frames to score, in [0, 1], differentiable.

    Args:
        model: Whose autoencoder decodes them, alone where it is a `PartialDecoder`.
        latents: Clean.
        scoring: Which frames.
        u: A uniform draw in [0, 1), which `random` takes.

    Raises:
        UserError: frames that these clips do not have.
    """
    autoencoder = scoring.decoder or getattr(model, "autoencoder", None)
    if isinstance(autoencoder, PartialDecoder):
        wanted = chosen(scoring.spec, autoencoder.groups(latents), u)
        exact, again = scoring.exact, scoring.checkpointed
        return autoencoder.decode_some(latents, wanted, exact=exact, checkpointed=again)
    if scoring.spec.startswith(_LATENT) or not scoring.exact:
        raise UserError(
            f"{model.name} decodes whole clips only: --score-frames without latent: and --decoder-"
            "gradient exact are what it can do"
        )
    again = scoring.checkpointed and torch.is_grad_enabled()
    frames = (
        checkpoint(model.decode, latents, use_reentrant=False, preserve_rng_state=False)
        if again
        else model.decode(latents)
    )
    wanted = chosen(scoring.spec, [range(i, i + 1) for i in range(frames.shape[1])], u)
    return frames if wanted is None else frames[:, list(wanted)]


def chosen(spec: str, groups: Sequence[range], u: float) -> tuple[int, ...] | None:
    """Numbers of the frames that are scored, rising; None for all.

    Args:
        spec: As the module says.
        groups: The frames of each latent frame, from first to last.
        u: A uniform draw in [0, 1), which `random` takes.

    Raises:
        UserError: not understood, or a frame that the clip does not have.
    """
    if spec == "all":
        return None
    if spec.startswith(_LATENT):
        picked = _numbers(spec, spec.removeprefix(_LATENT), len(groups), u)
        return tuple(frame for i in picked for frame in groups[i])
    return _numbers(spec, spec, sum(map(len, groups)), u)


def spacing(spec: str) -> int:
    """How many frames apart the scored ones are: what the clip's rate is divided by."""
    kind, _, number = spec.partition(":")
    return int(number) if kind == "every" else 1


def _numbers(spec: str, name: str, count: int, u: float) -> tuple[int, ...]:
    if name == "all":
        return tuple(range(count))
    if name == "first":
        return (0,)
    if name == "random":
        return (int(u * count),)
    kind, _, number = name.partition(":")
    if kind == "every" and number.isdigit() and int(number) > 0:
        return tuple(range(0, count, int(number)))
    parts = [part.strip() for part in name.split(",")]
    if not all(part.isdigit() for part in parts):
        raise UserError(
            f"--score-frames is {spec!r}; write all, first, random, every:N or frame numbers such "
            "as 0,8,16; with latent: before it, of latent frames"
        )
    numbers = tuple(sorted({int(part) for part in parts}))
    if numbers[-1] >= count:
        raise UserError(
            f"--score-frames is {spec!r}, but there are {count} to choose from, 0 to {count - 1}"
        )
    return numbers

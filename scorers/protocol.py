"""What a scorer is, and what a reward is.

A scorer judges clips and gives one raw number per dimension. It has no range, weight, sign or
target: ranges and weights are rows of `data/omniscore.py`, sign and target are arguments of a loss.
A reward is a scorer that promises gradients with respect to the frames; the contract test computes
one.

A scorer lives in `scorers/<name>.py`, which exposes `CARD` (what `python -m scorers --list` prints)
and `load(*, device, dtype, **options)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a person wants to know before loading a scorer."""

    summary: str
    """One line: what is measured."""
    ranges: Mapping[str, tuple[float, float]]
    """Raw range per dimension, higher = better: the values that a scorer can return."""
    differentiable: bool
    weights: str = "none"
    """What has to be on disk: `none`, `in the repository`, or a hub id."""
    licence: str = "-"
    """Licence of those weights."""
    only_float32: bool = False
    """Whether its network stays in float32 whatever it is asked to be loaded as."""


@runtime_checkable
class Scorer(Protocol):
    """Judges a batch of clips of one size."""

    @property
    def name(self) -> str:
        """Name of its file."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever a clip could get another number; scores are cached per version."""
        ...

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Keys of the columns that a call returns."""
        ...

    @property
    def differentiable(self) -> bool:
        """Whether gradients reach the frames."""
        ...

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b d"]:
        """Raw values, one row per clip, each row as if the clip were alone.

        Args:
            frames: RGB in [0, 1], at least 16 px high and wide.
            prompts: one text per clip.
            fps: frames per second, one per clip.

        Returns:
            One column per dimension. NaN where it cannot judge (motion in a single frame): no score
            is stored then.
        """
        ...


class Reward(Scorer, Protocol):
    """A scorer whose gradients with respect to the frames are finite and not all zero."""

    @property
    def differentiable(self) -> Literal[True]:
        """Always."""
        ...


@dataclass(frozen=True, kw_only=True)
class Carded:
    """What a scorer says of itself, from its card."""

    name: str
    version: str
    card: Card

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Those of the card, in its order."""
        return tuple(self.card.ranges)

    @property
    def differentiable(self) -> bool:
        """As the card says."""
        return self.card.differentiable


@dataclass(frozen=True, kw_only=True)
class Measure(Carded):
    """A scorer that is a function of the frames alone, with or without a network behind it."""

    values: Callable[[Tensor], Tensor]
    """Frames `b t 3 h w`, float32 in [0, 1], to raw values `b d`."""

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b d"]:
        """The measure per clip; `prompts` and `fps` play no part."""
        del prompts, fps
        check(frames)
        return self.values(frames.float())


@dataclass(frozen=True, kw_only=True)
class InPrecision:
    """A scorer whose network is not float32: its numbers are those of another version."""

    scorer: Scorer
    version: str

    @property
    def name(self) -> str:
        """As in float32."""
        return self.scorer.name

    @property
    def dimensions(self) -> tuple[str, ...]:
        """As in float32."""
        return self.scorer.dimensions

    @property
    def differentiable(self) -> bool:
        """As in float32."""
        return self.scorer.differentiable

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b d"]:
        """What the scorer says."""
        return self.scorer(frames, prompts, fps)


def check(frames: Tensor) -> None:
    """Refuse what no scorer can read: not RGB, too small, integer values."""
    if frames.ndim != 5 or frames.shape[2] != 3 or min(frames.shape[3:]) < 16:
        raise ValueError(
            f"frames are {tuple(frames.shape)}; need b t 3 h w, at least 16 px each way"
        )
    if not frames.dtype.is_floating_point:
        raise ValueError(f"frames are {frames.dtype}; need floating point in [0, 1]: divide by 255")


def luminance(frames: Float[Tensor, "*batch 3 h w"]) -> Float[Tensor, "*batch h w"]:
    """Luma of RGB in [0, 1] (ITU-R BT.601), in [0, 1]."""
    red, green, blue = frames.unbind(-3)
    return 0.299 * red + 0.587 * green + 0.114 * blue

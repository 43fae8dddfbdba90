"""Judges that look at two clips at once: what one is, both orders, and from pairs to one number.

A scorer says a number of one clip. A judge (`Judge`) is shown two clips of one prompt and says the
log-odds that the first one is better. Which one comes first sways it: large models prefer a place
as much as a clip. So it is always asked twice, with the clips exchanged (`both_orders`):

    opinion = (asked(left, right) - asked(right, left)) / 2      swapping the clips flips its sign
    place   = (asked(left, right) + asked(right, left)) / 2      what the first place gets by itself

The opinions about all pairs of a prompt's n clips become one value per clip (`strengths`): the
least-squares solution of `value_i - value_j = opinion_ij`, which is the mean opinion of a clip over
all n. Those are `Score`s like any other, so that profiles, pairs, labels, calibration and agreement
take them as they are; of two clips the difference of values *is* the opinion. They compare within
a prompt only, and are worked out anew when it gets another clip (`scorers/tournament.py`).

A judge is never a person: nothing here makes a `Vote`. Pure: no IO.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Judge(Protocol):
    """Compares two clips of one prompt; lives in `scorers/<name>.py`, named in `scorers.JUDGES`."""

    @property
    def name(self) -> str:
        """Name of its file."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever an opinion could be another."""
        ...

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What it is asked about: keys of the columns that a call returns."""
        ...

    def __call__(
        self,
        left: Float[Tensor, "b t c h w"],
        right: Float[Tensor, "b s c i j"],
        prompts: Sequence[str],
        fps: Sequence[tuple[float, float]],
    ) -> Float[Tensor, "b d"]:
        """Log-odds that the left clip, shown first, is better; asked in this one order.

        Args:
            left: RGB in [0, 1].
            right: likewise; its length and size may be others.
            prompts: one text per pair.
            fps: frames per second of left and right, per pair.
        """
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says when it was asked in both orders; log-odds."""

    opinion: Float[Tensor, "b d"]
    """That the left clip is better. Exactly the negative where the clips are exchanged."""
    place: Float[Tensor, "b d"]
    """That whatever is shown first is better."""

    @property
    def swayed(self) -> Float[Tensor, "b d"]:
        """1 where the place outweighs the clips, so that the two orders name different winners."""
        return (self.place.abs() > self.opinion.abs()).to(self.place.dtype)


def both_orders(
    judge: Judge,
    left: Float[Tensor, "b t c h w"],
    right: Float[Tensor, "b s c i j"],
    prompts: Sequence[str],
    fps: Sequence[tuple[float, float]],
) -> Verdict:
    """Ask twice, the clips exchanged; arguments as a `Judge` takes them."""
    first = judge(left, right, prompts, fps).float()
    second = judge(right, left, prompts, [(after, before) for before, after in fps]).float()
    return Verdict((first - second) / 2, (first + second) / 2)


def strengths(opinions: Float[Tensor, "n n"]) -> Float[Tensor, " n"]:
    """One value per clip whose differences come nearest to the opinions; they sum to 0.

    Args:
        opinions: log-odds that the row's clip is better than the column's: antisymmetric, 0 on the
            diagonal, every pair asked.
    """
    return opinions.mean(1)

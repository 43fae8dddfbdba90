"""What a step of `train.vader` takes, by clips and settings, and which settings fit. Pure.

A step's bytes are those of its gradient and optimizer, and of each clip that is sampled together at
its worst moment (`train.reward.forecast` counts them), with a tenth for what is not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.errors import UserError

_SLACK = 1.1
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class ClipCost:
    """One clip of a step: bytes on top of what is loaded, and arithmetic."""

    network: int
    """Kept for the way back by the sampler's steps with gradient."""
    decoder: int
    reward: int
    peak: int
    """At the worst moment, without the gradient itself."""
    flops: float
    uncounted: tuple[str, ...] = ()
    """Scorers that are not in it."""

    def together(self, clips: int, fixed: int) -> int:
        """Bytes of so many clips, and `fixed` for gradient and optimizer."""
        return fixed + int(_SLACK * clips * self.peak)


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """How a step is made, and what it is expected to take."""

    parts: tuple[str, ...]
    micro: int
    """Clips that are sampled together."""
    cost: ClipCost
    fixed: int
    clips: int
    """Of this process's step."""

    @property
    def peak(self) -> int:
        """Bytes on top of what is loaded."""
        return self.cost.together(self.micro, self.fixed)

    @property
    def flops(self) -> float:
        """Of this process's step."""
        return self.clips * self.cost.flops

    def __str__(self) -> str:
        """For people."""
        cost, shown = self.cost, ",".join(self.parts) or "none"
        sizes = (cost.network, cost.decoder, cost.reward, cost.peak)
        network, decoder, reward, peak = (f"{size / _GIB:.2g}" for size in sizes)
        missing = f"; not counted: {', '.join(cost.uncounted)}" if cost.uncounted else ""
        return (
            f"--checkpointing {shown} --micro {self.micro}: about {self.peak / _GIB:.2g} GiB on "
            f"top of the loaded weights (a clip: {network} kept by the network, {decoder} by the "
            f"decoder, {reward} by the rewards, {peak} at the worst moment{missing}) and "
            f"{self.flops / 1e12:.3g} TFLOP per step"
        )


def choose(
    costs: Sequence[tuple[tuple[str, ...], ClipCost]], *, clips: int, fixed: int, room: int
) -> Forecast:
    """The least arithmetic that fits; of those, the most clips together.

    Args:
        costs: By the parts that are made again.
        clips: Of a step of this process.
        fixed: Bytes of gradient and optimizer.
        room: Bytes.

    Raises:
        UserError: Nothing fits.
    """
    least = 0
    for parts, cost in sorted(costs, key=lambda one: one[1].flops):
        for micro in dict.fromkeys(-(-clips // cuts) for cuts in range(1, clips + 1)):
            made = Forecast(parts=parts, micro=micro, cost=cost, fixed=fixed, clips=clips)
            if made.peak <= room:
                return made
            least = min(least or made.peak, made.peak)
    raise UserError(
        f"A step needs {least / _GIB:.3g} GiB at the least, and {room / _GIB:.3g} are free. Take "
        "--score-frames random, --decoder-gradient chosen, --k 1, fewer --frames, a smaller "
        "--height and --width, or --dtype bfloat16."
    )

"""When a run on pairs is better ended than gone on with, from its evaluations alone. Pure.

- `rises`: the error on chosen clips has risen that many evaluations in a row and is above the
  reference's. It is the first sign of samples that get worse: loss and accuracy go on improving
  while the policy unlearns what people prefer (likelihood displacement, arXiv 2511.19049).
- `drift`: the policy's predictions are further than that (mean square) from the reference's.

Both are off unless asked for. A rule looks at every evaluation that the run has logged, so that a
resumed run stops where it would have stopped.

Left out on purpose: rules on samples; those of a reward are in `train.reward.watch`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Limits; None is no rule."""

    rises: int | None = None
    """Evaluations in a row, at least 1."""
    drift: float | None = None
    """Mean squared distance of predictions, above 0."""


def reason(evaluations: Sequence[Mapping[str, float]], rules: Rules) -> str:
    """Why to stop after the last of `evaluations`; empty where there is no reason.

    Args:
        evaluations: Oldest first, each with `chosen_rise` and `drift`.
        rules: The limits.
    """
    if not evaluations:
        return ""
    last = evaluations[-1]
    found = []
    if rules.rises is not None and _rising(evaluations, rules.rises):
        found.append(
            f"the error on chosen clips has risen at {rules.rises} evaluations in a row, to "
            f"{last['chosen_rise']:+.4f} against the reference"
        )
    if rules.drift is not None and last["drift"] > rules.drift:
        found.append(
            f"predictions are {last['drift']:.3g} (mean square) from the reference's; the limit is "
            f"{rules.drift:g}"
        )
    return "; ".join(found)


def _rising(evaluations: Sequence[Mapping[str, float]], times: int) -> bool:
    rises = [one["chosen_rise"] for one in evaluations][-times - 1 :]
    return len(rises) == times + 1 and rises[-1] > 0 and all(b > a for a, b in pairwise(rises))

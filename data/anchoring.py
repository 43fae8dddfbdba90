"""What seeing OmniScore does to people: the two arms compared, and what the reveal changed.

A seeded hash draws who answers a pair blind (`annotate/exposure.py`), so the two arms differ in
nothing else. *Anchoring* is agreement with OmniScore in the shown arm minus that in the blind arm,
of votes that took a side; the interval draws whole prompts, each with its votes of both arms.
*Pull* looks at the same people twice: where a blind answer stood after the reveal, minus where it
was, on the scale 1 for OmniScore's side, 1/2 a tie, 0 against it. Above 0 means towards the score.

Left out on purpose: anchoring per annotator (`data.raters` has the few figures that single people
carry), and any correction of labels for it: train on blind votes instead. Pure: no IO.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from data.agreement import Exposures
from data.bootstrap import (
    FEW,
    Estimate,
    enough,
    generator,
    interval,
    mean,
    per_cluster,
    resampled,
    share,
    too_few,
)
from data.judged import Verdicts
from data.records import Pair, Vote


@dataclass(frozen=True, slots=True, kw_only=True)
class Reveal:
    """Blind answers that were followed by a look at the score, on pairs with an opinion."""

    n: int
    kept: int
    towards: int
    """Changed towards OmniScore: from against to a tie or its side, or from a tie to its side."""
    away: int
    changed: Estimate
    """Share that changed in either direction."""
    pull: Estimate
    """Mean movement towards OmniScore, in [-1, 1]."""


def anchoring(blind: Verdicts, shown: Verdicts, *, seed: int) -> Estimate:
    """Agreement of the shown arm minus that of the blind arm, in [-1, 1].

    Both from the same pairs, so that their prompts have the same numbers.
    """
    blind, shown = (one.pick((one.said != 0) & one.opinion) for one in (blind, shown))
    few = min(len(blind), len(shown))
    if few < FEW:
        which = "blind" if len(blind) <= len(shown) else "shown"
        return too_few(few, note=f"n={few} {which} votes: too few")
    prompt = np.concatenate([blind.prompt, shown.prompt])
    arm = np.repeat([0, 1], [len(blind), len(shown)])
    hit = np.concatenate([blind.said, shown.said]) > 0
    columns = np.stack([(arm == 1) & hit, arm == 1, (arm == 0) & hit, arm == 0], 1)
    sums = per_cluster(prompt, columns)
    if not enough(len(prompt), len(sums)):
        return too_few(len(prompt), len(sums))
    value = _difference(sums.sum(0)[None])[0]
    drawn = _difference(resampled(sums, generator(seed, "anchoring")))
    low, high = interval(drawn, len(sums))
    return Estimate(value=float(value), low=low, high=high, n=len(prompt), clusters=len(sums))


def _difference(sums: Float[np.ndarray, "draws 4"]) -> Float[np.ndarray, " draws"]:
    """Shown minus blind from (hits, votes) of both; NaN where a draw has nobody in one arm."""
    with np.errstate(invalid="ignore"):
        return sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3]


def reveal(found: Exposures, pairs: Mapping[str, Pair], *, seed: int) -> Reveal:
    """What became of blind answers after the reveal; see the module's text."""
    moves: list[float] = []
    changed: list[bool] = []
    prompts: list[str] = []
    for before, after in found.reveals:
        pair = pairs.get(before.pair)
        if pair is None or pair.best is None:
            continue
        start, end = _place(before, pair), _place(after, pair)
        if start is not None and end is not None:
            moves.append(end - start)
            changed.append(end != start)
            prompts.append(pair.prompt)
    moved = np.array(moves)
    return Reveal(
        n=len(moves),
        kept=int((moved == 0).sum()),
        towards=int((moved > 0).sum()),
        away=int((moved < 0).sum()),
        changed=share(prompts, np.array(changed, dtype=bool), generator(seed, "reveal")),
        pull=mean(prompts, moved, generator(seed, "pull")),
    )


def _place(vote: Vote, pair: Pair) -> float | None:
    """1 on OmniScore's side, 1/2 a tie, 0 against; None where no answer was given."""
    if vote.outcome == "tie":
        return 0.5
    if vote.outcome != "preference":
        return None
    return float(vote.preferred == pair.best)

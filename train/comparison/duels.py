"""Who wins: clips of two arms at the same prompts from the same noise, by one measure at a time.

Pure: no IO, no torch. Ties (differences of a measure up to `TIE`) count half; the interval is a
bootstrap over prompts (`data.agreement.win_rate`), for several clips of one prompt are not
independent.

Left out on purpose: corrections for looking at several measures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from data.agreement import Share, duel, win_rate
from data.console import table

OMNISCORE, ORACLE = "OmniScore", "oracle"
JUDGE = "judge "
"""What the name of a measure begins with that is a further scorer's raw value."""
BASE = "base"
TIE = 0.01
"""Differences of a measure in [0, 1] up to this are ties."""


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """A clip of one arm, where it lies, and what was measured."""

    arm: str
    prompt: str
    index: int
    path: str
    scores: Mapping[str, float]
    """By measure and by dimension (normalised); what could not be judged is absent."""


@dataclass(frozen=True, kw_only=True)
class Duel:
    """How often one arm's clips beat another's, by one measure."""

    measure: str
    ours: str
    theirs: str
    rate: Share

    @property
    def name(self) -> str:
        """For the run's metrics."""
        return f"{self.measure}: {self.ours} against {self.theirs}"


def all_duels(clips: Sequence[Sampled], arms: Sequence[str], *, seed: int) -> list[Duel]:
    """Every arm against every later one, by each measure that all their clips have.

    Args:
        clips: of every arm, at the same prompts and indices.
        arms: in the order in which they are to be compared.
        seed: of the bootstrap.
    """
    found = []
    further = sorted({name for clip in clips for name in clip.scores if name.startswith(JUDGE)})
    for measure in (ORACLE, OMNISCORE, *further):
        known = {
            (clip.arm, clip.prompt, clip.index): clip.scores[measure]
            for clip in clips
            if measure in clip.scores
        }
        for ours, theirs in combinations(arms, 2):
            both = [
                (prompt, value, known[theirs, prompt, index])
                for (arm, prompt, index), value in known.items()
                if arm == ours and (theirs, prompt, index) in known
            ]
            if both:
                tie = 0.0 if measure in further else TIE
                won = duel([(mine, other) for _, mine, other in both], tie=tie)
                outcomes = [(prompt, x) for (prompt, _, _), x in zip(both, won, strict=True)]
                rate = win_rate(outcomes, seed=seed)
                found.append(Duel(measure=measure, ours=ours, theirs=theirs, rate=rate))
    return found


def means(clips: Sequence[Sampled]) -> dict[str, dict[str, float]]:
    """Mean of every measure and dimension, by arm; over the clips that have it."""
    values: dict[str, dict[str, list[float]]] = {}
    for clip in clips:
        for measure, value in clip.scores.items():
            values.setdefault(clip.arm, {}).setdefault(measure, []).append(value)
    return {
        arm: {measure: sum(some) / len(some) for measure, some in sorted(scores.items())}
        for arm, scores in values.items()
    }


def duel_table(duels: Sequence[Duel]) -> str:
    """The win rates as a table for the terminal."""
    return table(
        ("wins", "against", "by", "win rate", "95 % interval", "clips"),
        [
            (one.ours, one.theirs, one.measure, f"{one.rate.share:.1%}",
             f"{one.rate.low:.1%} to {one.rate.high:.1%}", one.rate.n)
            for one in duels
        ],
    )  # fmt: skip

"""How often people agree with OmniScore, and how often one arm beats another.

Agreement is *confirmations / (confirmations + overrides)*: of the votes that took a side on a pair
where OmniScore has an opinion, the share that took its side. Ties, skips, unusable pairs and
unscored pairs are counted beside it, never inside it. Seeing a score pulls people towards it, so
the figure to quote is that of blind votes; `Agreement` keeps the exposures apart:

- `blind`: the answer given before any score was shown, also where it was changed after the score
  was revealed (an undone answer leaves altogether);
- `shown`: votes cast with the score in view from the start;
- `revealed`: what stands after the reveal of a blind answer; `changed` counts the answers that
moved;
- `overall`: every vote that stands.

Intervals: Wilson's for a share of independent votes. For win rates over prompts with several clips
each, the bootstrap of `data.bootstrap`, which draws whole prompts; where all prompts agree exactly
it has no spread, so there Wilson's interval on the number of prompts stands instead. Unlike there a
win rate is given for any number of clips: how many is for whoever asked for them to say.

Left out on purpose: ties and margins (`data.judged`), agreement between people (`data.consensus`),
reliability per person (`data.raters`). Pure: no IO.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from data.bootstrap import bounds, generator, per_cluster, wilson_bounds
from data.records import Pair, Vote
from data.votes import first_answers, live_votes


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share in [0, 1] with its interval; `share` is None where there was nothing to count."""

    share: float | None
    low: float
    high: float
    n: int
    """What was counted: votes, or comparisons."""

    def __str__(self) -> str:
        if self.share is None:
            return "no data"
        return f"{self.share:.0%} [{self.low:.0%}, {self.high:.0%}] (n={self.n})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What the votes of one exposure said about OmniScore's opinion."""

    confirmations: int = 0
    overrides: int = 0
    ties: int = 0
    unusable: int = 0
    skips: int = 0
    unscored: int = 0
    """Preferences on pairs where OmniScore has no opinion."""

    @property
    def agreement(self) -> Share:
        """Confirmations among the votes that took a side, with Wilson's 95 % interval."""
        return wilson(self.confirmations, self.confirmations + self.overrides)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Tallies by exposure (see the module's docstring)."""

    overall: Tally
    blind: Tally
    shown: Tally
    revealed: Tally
    changed: int
    """Blind answers whose outcome or preferred clip is another one after the reveal."""

    def as_dict(self) -> dict[str, Any]:
        """JSON values: every tally with its agreement, and `changed`."""
        tallies = {name: getattr(self, name) for name in ("overall", "blind", "shown", "revealed")}
        return {
            name: asdict(tally) | {"agreement": asdict(tally.agreement)}
            for name, tally in tallies.items()
        } | {"changed": self.changed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposures:
    """The votes by what could be seen when they were cast (see the module's docstring)."""

    overall: list[Vote]
    blind: list[Vote]
    shown: list[Vote]
    reveals: list[tuple[Vote, Vote]]
    """A blind answer, and what stands after its reveal."""


def exposures(votes: Iterable[Vote]) -> Exposures:
    """Sort the votes by exposure; undone ones leave, revised ones stay where they say something."""
    cast = list(votes)
    standing = live_votes(cast)
    chains = list(zip(first_answers(cast), standing, strict=True))
    blind = [(first, last) for first, last in chains if first.exposure == "blind"]
    return Exposures(
        overall=standing,
        blind=[first for first, _ in blind],
        shown=[last for first, last in chains if first.exposure == "shown"],
        reveals=[(first, last) for first, last in blind if last.exposure == "shown"],
    )


def agreement(pairs: Iterable[Pair], votes: Iterable[Vote]) -> Agreement:
    """Count what people said about OmniScore's `best`.

    Votes about pairs not given, and about pairs that only check people, are ignored.
    """
    known = {pair.id: pair for pair in pairs if pair.trains}
    found = exposures(vote for vote in votes if vote.pair in known)
    return Agreement(
        overall=_tally(found.overall, known),
        blind=_tally(found.blind, known),
        shown=_tally(found.shown, known),
        revealed=_tally([last for _, last in found.reveals], known),
        changed=sum(_answer(one) != _answer(other) for one, other in found.reveals),
    )


def _answer(vote: Vote) -> tuple[str, str | None]:
    return (vote.outcome, vote.preferred)


def _tally(votes: Iterable[Vote], pairs: Mapping[str, Pair]) -> Tally:
    counts = dict.fromkeys(Tally.__dataclass_fields__, 0)
    for vote in votes:
        counts[_verdict(vote, pairs[vote.pair])] += 1
    return Tally(**counts)


def _verdict(vote: Vote, pair: Pair) -> str:
    if vote.outcome == "skip":
        return "skips"
    if vote.unusable:
        return "unusable"
    if vote.outcome == "tie":
        return "ties"
    if pair.best is None:
        return "unscored"
    return "confirmations" if vote.preferred == pair.best else "overrides"


def wilson(successes: float, n: int) -> Share:
    """A share with Wilson's 95 % score interval (ties may come in as half a success).

    Raises:
        ValueError: unless 0 <= successes <= n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"wilson({successes}, {n}): successes must lie in [0, n]")
    if n == 0:
        return Share(share=None, low=0.0, high=1.0, n=0)
    low, high = wilson_bounds(successes, n)
    return Share(share=successes / n, low=low, high=high, n=n)


def win_rate(outcomes: Sequence[tuple[str, float]], *, seed: int = 0) -> Share:
    """Mean of `outcomes` (1 win, 0.5 tie, 0 loss) with a 95 % interval clustered by prompt.

    Args:
        outcomes: (prompt, outcome) per compared clip.
        seed: of the bootstrap's generator.
    """
    if not outcomes:
        return wilson(0, 0)
    prompts, won = zip(*outcomes, strict=True)
    sums = per_cluster(prompts, np.stack([won, np.ones(len(won))], 1))
    rate, count = float(sum(won)) / len(won), len(sums)
    low = high = rate
    if count > 1:
        low, high = bounds(sums, generator(seed, "win rate"))
    if low == high:
        low, high = wilson_bounds(rate * count, count)
    return Share(share=rate, low=low, high=high, n=len(won))


def duel(scores: Iterable[tuple[float, float]], *, tie: float = 0.0) -> list[float]:
    """1, 0.5 or 0 for each (ours, theirs): a win, a tie (difference at most `tie`), a loss."""
    return [0.5 if abs(ours - theirs) <= tie else float(ours > theirs) for ours, theirs in scores]

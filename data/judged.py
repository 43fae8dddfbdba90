"""How well OmniScore foretells the votes: without ties, with ties, and by margin.

- Without ties: of the votes that took a side where OmniScore has one, the share on its side.
- With ties (Deutsch et al., arXiv 2305.14324, section 5): OmniScore calls a tie where its margin is
  at most a threshold, and is right where it says what the vote says, tie or side. The threshold is
  the one that is right most often *on these votes*, so the share is quoted from cross-validation:
  prompts are dealt into `FOLDS` parts, and each part is judged by the threshold of the others.
  (The paper also pairs items of different groups; here a pair is always two clips of one prompt.)
- By margin: the first share in bins of equally many votes. A score that knows what it says agrees
  more often where its margin is larger.

Skips and unusable pairs do not enter, nor do pairs without both scores: a missing score is neither
a tie nor wrong. Intervals draw whole prompts (`data.bootstrap`). Left out on purpose: calibration
of probabilities (`data.calibrate`). Pure: no IO.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from data.bootstrap import Estimate, generator, share, too_few
from data.records import Pair, Vote

FOLDS = 10
BINS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What votes said about OmniScore's opinion, as columns: one row per vote."""

    prompt: Int[np.ndarray, " n"]
    """Index of the prompt among all prompts of the pairs, in order of their ids."""
    margin: Float[np.ndarray, " n"]
    """>= 0, in units of OmniScore."""
    said: Int[np.ndarray, " n"]
    """1 for OmniScore's side, 0 a tie, -1 against; with no side of OmniScore's, 1 or 0."""
    opinion: Bool[np.ndarray, " n"]
    """Whether OmniScore has a side at all; False where both totals are equal."""

    def __len__(self) -> int:
        return len(self.said)

    def pick(self, rows: Bool[np.ndarray, " n"]) -> Verdicts:
        """Only these rows."""
        return Verdicts(
            prompt=self.prompt[rows],
            margin=self.margin[rows],
            said=self.said[rows],
            opinion=self.opinion[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WithTies:
    """Agreement where a tie is an answer too."""

    share: Estimate
    """Right, tie or side, by the threshold of other prompts."""
    threshold: float | None
    """OmniScore calls a tie up to this margin; fitted on all votes."""
    fitted: float | None
    """Right with that threshold, on the votes that it was fitted on: too good by construction."""
    never: float | None
    """Right if OmniScore never called a tie."""
    ties: float | None
    """Share of ties among these votes: right if it always called one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginBin:
    """Agreement of the votes whose pair has a margin in [low, high]."""

    low: float
    high: float
    share: Estimate


def verdicts(votes: Iterable[Vote], pairs: Mapping[str, Pair]) -> Verdicts:
    """The votes on scored pairs that answered; votes about other pairs are ignored.

    The numbers of the prompts depend on `pairs` alone: two calls with the same pairs fit together.
    """
    prompts = {
        prompt: place
        for place, prompt in enumerate(sorted({pair.prompt for pair in pairs.values()}))
    }
    rows: list[tuple[int, float, int, bool]] = []
    for vote in votes:
        pair = pairs.get(vote.pair)
        if pair is None or pair.margin is None or vote.unusable:
            continue
        if vote.outcome not in ("preference", "tie"):
            continue
        against = vote.outcome == "preference" and pair.best not in (None, vote.preferred)
        said = 0 if vote.outcome == "tie" else -1 if against else 1
        rows.append((prompts[pair.prompt], pair.margin, said, pair.best is not None))
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    return Verdicts(
        prompt=np.array(columns[0], dtype=np.int64),
        margin=np.array(columns[1], dtype=float),
        said=np.array(columns[2], dtype=np.int64),
        opinion=np.array(columns[3], dtype=bool),
    )


def without_ties(given: Verdicts, *, seed: int, what: str) -> Estimate:
    """Share on OmniScore's side of the votes that took one, where it has one."""
    sided = given.pick((given.said != 0) & given.opinion)
    return share(sided.prompt, sided.said > 0, generator(seed, f"agreement {what}"))


def with_ties(given: Verdicts, *, seed: int, what: str) -> WithTies:
    """Agreement with ties, its threshold calibrated by cross-validation over prompts."""
    count = len(given)
    if not count:
        return WithTies(share=too_few(0), threshold=None, fitted=None, never=None, ties=None)
    rng = generator(seed, f"with ties {what}")
    threshold = best_threshold(given)
    prompts, place = np.unique(given.prompt, return_inverse=True)
    fold = rng.permutation(len(prompts))[place] % FOLDS
    hits = np.zeros(count)
    for part in range(FOLDS):
        inside = fold == part
        if inside.any() and not inside.all():
            hits[inside] = _right(given.pick(inside), best_threshold(given.pick(~inside)))
    return WithTies(
        share=share(given.prompt, hits, rng),
        threshold=threshold,
        fitted=float(_right(given, threshold).mean()),
        never=float(_right(given, -1.0).mean()),
        ties=float((given.said == 0).mean()),
    )


def best_threshold(given: Verdicts) -> float:
    """The margin up to which a tie is called so that most verdicts are right; the smallest such.

    Only margins that occur can change anything; 0 says that only equal totals are ties.
    """
    order = np.argsort(given.margin, kind="stable")
    margin, said = given.margin[order], given.said[order]
    side = (said > 0) & given.opinion[order]
    right = np.concatenate([[0], np.cumsum(said == 0)]) + np.concatenate(
        [np.cumsum(side[::-1])[::-1], [0]]
    )  # right[i]: the first i margins are called ties
    ends = np.append(margin[1:] != margin[:-1], True)  # equal margins fall together
    allowed = np.concatenate([[margin[0] > 0], ends])
    best = int(np.argmax(np.where(allowed, right, -1)))
    return float(margin[best - 1]) if best else 0.0


def _right(given: Verdicts, threshold: float) -> Bool[np.ndarray, " n"]:
    """Whether OmniScore with that threshold says what the vote says."""
    return np.where(given.margin <= threshold, given.said == 0, (given.said > 0) & given.opinion)


def by_margin(given: Verdicts, *, seed: int, bins: int = BINS) -> tuple[MarginBin, ...]:
    """Agreement without ties in bins of equally many votes, smallest margins first."""
    sided = given.pick((given.said != 0) & given.opinion)
    if not len(sided):
        return ()
    edges = np.quantile(sided.margin, np.linspace(0, 1, bins + 1)[1:-1])
    place = np.searchsorted(edges, sided.margin, side="right")
    found = []
    for index in range(bins):
        rows = sided.pick(place == index)
        if len(rows):
            found.append(
                MarginBin(
                    low=float(rows.margin.min()),
                    high=float(rows.margin.max()),
                    share=share(rows.prompt, rows.said > 0, generator(seed, f"margin {index}")),
                )
            )
    return tuple(found)

"""How far each annotator's answers can be trusted: reliability from votes on common pairs.

Dawid and Skene (1979): every pair has a true answer that nobody sees (`a` is better, neither is,
`b` is better), every annotator has a confusion table P(answer | truth), and EM finds both from the
votes alone. Which clip of a pair is called `a` is an accident of its hash, so a table that treated
them differently would fit noise: here it is the same under a swap of a and b. That leaves three
numbers per annotator when one clip is better (`right`, `tie`, `wrong`, sum 1), and one when neither
is (`tie_on_tie`; the rest is shared evenly by the sides). Somebody who always answers left, or at
random, comes out with `right` = `wrong`: his votes say nothing, and `log_odds` is about 0. Somebody
who answers the wrong way round comes out below 0.

Few votes do not give 0 or 1: the tables are posterior modes under Dirichlet priors worth `STRENGTH`
votes around `RIGHT, TIE, WRONG`. Their ratio of 3 makes one vote of an unknown person worth a
probability of 0.75, as in `data.labels.human`. Where nobody shares a pair with anybody, the votes
cannot tell a good annotator from a bad one, and exactly that prior comes out.

A vote counts as a tie where neither clip was preferred, also when both were called unusable. Skips,
undone and revised votes do not count, nor do votes on pairs that only check people. Leave out the
people whose votes do not count before (`data.decisions.counted`).

Left out on purpose: difficulty of a pair, and drift over time. Pure: no IO.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from data.records import Pair, Vote
from data.votes import live_votes

Said = Literal["a", "tie", "b"]
SAID: tuple[Said, ...] = ("a", "tie", "b")
"""The answers in the order of their codes 0, 1, 2; ordinal, with the tie between the clips."""

RIGHT, TIE, WRONG = 0.63, 0.16, 0.21
"""Prior means where one clip is better: right / wrong = 3, and about one tie in six."""
TIE_ON_TIE = 0.5
TIED = 0.2
"""Prior share of pairs in which neither clip is better."""
STRENGTH = 10.0
"""Worth of each prior, in votes."""
_EDGE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """How one annotator answers, given the truth; probabilities, never exactly 0 or 1."""

    right: float
    """P(prefers the better clip | one is better)."""
    tie: float
    wrong: float
    tie_on_tie: float
    """P(tie | neither is better)."""
    votes: int
    """Votes that entered."""
    shared: int
    """Those on pairs that somebody else answered too: only these say anything about reliability."""

    @property
    def accuracy(self) -> float:
        """P(right | one clip is better and a side was taken); 0.5 says nothing."""
        return self.right / (self.right + self.wrong)

    def log_odds(self, said: Said) -> float:
        """Log P(said | a is better) - log P(said | b is better): what this vote adds for `a`."""
        weight = math.log(self.right / self.wrong)
        return {"a": weight, "tie": 0.0, "b": -weight}[said]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Standing votes as columns: one row per (pair, annotator), codes as in `SAID`."""

    pairs: tuple[str, ...]
    people: tuple[str, ...]
    pair: Int[np.ndarray, " n"]
    """Index into `pairs`."""
    person: Int[np.ndarray, " n"]
    """Index into `people`."""
    said: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.said)

    def table(self) -> Float[np.ndarray, "pairs 3"]:
        """How often each pair got each answer."""
        flat = np.bincount(self.pair * 3 + self.said, minlength=3 * len(self.pairs))
        return flat.reshape(-1, 3).astype(float)


def said(vote: Vote, pair: Pair) -> Said | None:
    """What a vote says about a pair; None where it is a skip or an undo."""
    if vote.outcome == "tie":
        return "tie"
    if vote.outcome != "preference":
        return None
    return "a" if vote.preferred == pair.a else "b"


def answers(votes: Iterable[Vote], pairs: Iterable[Pair]) -> Answers:
    """The standing answers to `pairs` that train, as columns; pairs nobody answered are left out.

    Pairs and people are in the order of their names, so that no order of arrival matters.
    """
    known = {pair.id: pair for pair in pairs if pair.trains}
    rows = [
        (vote.pair, vote.annotator, SAID.index(answer))
        for vote in live_votes(votes)
        if vote.pair in known and (answer := said(vote, known[vote.pair])) is not None
    ]
    rows.sort()
    seen, people = sorted({row[0] for row in rows}), sorted({row[1] for row in rows})
    place = {name: index for index, name in enumerate(seen)}
    who = {name: index for index, name in enumerate(people)}
    return Answers(
        pairs=tuple(seen),
        people=tuple(people),
        pair=np.array([place[row[0]] for row in rows], dtype=np.int64),
        person=np.array([who[row[1]] for row in rows], dtype=np.int64),
        said=np.array([row[2] for row in rows], dtype=np.int64),
    )


def reliability(votes: Iterable[Vote], pairs: Iterable[Pair]) -> dict[str, Reliability]:
    """Dawid and Skene's reliability of every annotator who answered; see the module's text."""
    given = answers(votes, pairs)
    sides, ties = _confusions(given)
    per_pair = np.bincount(given.pair, minlength=len(given.pairs))
    count = len(given.people)
    votes_of = np.bincount(given.person, minlength=count)
    shared = np.bincount(given.person, weights=per_pair[given.pair] > 1, minlength=count)
    return {
        name: Reliability(
            right=float(sides[index, 0]),
            tie=float(sides[index, 1]),
            wrong=float(sides[index, 2]),
            tie_on_tie=float(ties[index]),
            votes=int(votes_of[index]),
            shared=int(shared[index]),
        )
        for index, name in enumerate(given.people)
    }


def _confusions(
    given: Answers, *, rounds: int = 1000, tolerance: float = 1e-11
) -> tuple[Float[np.ndarray, "people 3"], Float[np.ndarray, " people"]]:
    """EM from the prior to where it stands: (right, tie, wrong) and P(tie | tie) of everybody.

    EM creeps where few pairs are shared, so two steps are extrapolated to a third (SQUAREM, scheme
    S3, Varadhan and Roland 2008), unless that leaves (0, 1) or moves on faster than before.
    """
    people = len(given.people)
    here = np.concatenate(
        [np.tile([RIGHT, TIE, WRONG], people), np.full(people, TIE_ON_TIE), [TIED]]
    )
    for _ in range(rounds):
        first = _step(given, here)
        second = _step(given, first)
        moved, bent = first - here, second - 2 * first + here
        if np.abs(second - first).max() < tolerance:
            return second[: 3 * people].reshape(-1, 3), second[3 * people : -1]
        length = max(1.0, float(np.linalg.norm(moved) / max(np.linalg.norm(bent), 1e-300)))
        far = here + 2 * length * moved + length**2 * bent
        here = second
        if ((far > _EDGE) & (far < 1 - _EDGE)).all():
            landed = _step(given, far)
            if np.linalg.norm(landed - far) <= np.linalg.norm(moved):
                here = landed
    return here[: 3 * people].reshape(-1, 3), here[3 * people : -1]


def _step(given: Answers, here: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """One round of EM on everybody's (right, tie, wrong), then P(tie | tie), then the ties."""
    people = len(given.people)
    truth = _truth(given, here[: 3 * people].reshape(-1, 3), here[3 * people : -1], float(here[-1]))
    sides, ties = _tables(given, truth)
    tied = (truth[:, 1].sum() + STRENGTH * TIED) / (len(truth) + STRENGTH)
    return np.concatenate([sides.ravel(), ties, [tied]])


def _truth(
    given: Answers,
    sides: Float[np.ndarray, "people 3"],
    ties: Float[np.ndarray, " people"],
    tied: float,
) -> Float[np.ndarray, "pairs 3"]:
    """E step: P(truth is a, tie, b | votes) of every pair."""
    split = (1 - ties) / 2
    by_truth = np.stack([sides, np.stack([split, ties, split], 1), sides[:, ::-1]], 1)
    cell, logs = given.person * 3 + given.said, np.log(by_truth)
    prior = np.log(np.array([(1 - tied) / 2, tied, (1 - tied) / 2]))
    a, tie, b = (
        prior[t] + np.bincount(given.pair, logs[:, t].ravel()[cell], len(given.pairs))
        for t in range(3)
    )
    most = np.maximum(np.maximum(a, tie), b)
    odds = [np.exp(one - most) for one in (a, tie, b)]
    return np.stack(odds, 1) / (odds[0] + odds[1] + odds[2])[:, None]


def _tables(
    given: Answers, truth: Float[np.ndarray, "pairs 3"]
) -> tuple[Float[np.ndarray, "people 3"], Float[np.ndarray, " people"]]:
    """M step: expected counts plus the prior's, a and b folded into one table."""
    people, belief = len(given.people), truth[given.pair]
    cell = given.person * 3 + given.said

    def counts(weights: Float[np.ndarray, " n"]) -> Float[np.ndarray, "people 3"]:
        return np.bincount(cell, weights, 3 * people).reshape(people, 3).astype(float)

    sides = 0.0 + counts(belief[:, 0]) + counts(belief[:, 2])[:, ::-1]  # float without votes, too
    sides += STRENGTH * np.array([RIGHT, TIE, WRONG])
    equal = counts(belief[:, 1])
    ties = (equal[:, 1] + STRENGTH * TIE_ON_TIE) / (equal.sum(1) + STRENGTH)
    return sides / sides.sum(1, keepdims=True), ties

"""How well labels foresee votes that they have not seen. Pure.

Answers, as they were first given, are dealt to folds by a hash of pair and person. Each fold's
answers are predicted from labels made without any vote of that person about that pair; the other
people's answers to the same pair stay: that is what a label source knows of a pair. The prediction
is a share for clip `a`, ties half:

- `auto`: 1, 0, or 1/2 without an opinion, as training takes it;
- `human`: the people's posterior share, 1/2 where nobody else answered;
- `posterior`: belief in the truth, passed through the confusion table that the votes seen give the
  person who answers (an unknown person's where they give none).

`curve` is the data of a reliability plot: in each bin of predictions, what was predicted on average
and what people answered. Log-loss takes predictions to lie in [0.01, 0.99]: `auto` is certain, and
would else cost infinity the first time that it is wrong.

Left out on purpose: drawing. `python -m data.calibrate` prints the posterior's bins as a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from data.bootstrap import Estimate, generator, mean
from data.calibration import LEAST_VOTES
from data.crossfit import fold_of
from data.labels import resolve
from data.posterior import UNKNOWN, beliefs, table
from data.profile import Profile
from data.raters import said
from data.records import Pair, Preference, Score, Vote
from data.votes import first_answers

SOURCES = ("auto", "human", "posterior")
FOLDS = 5
_EDGE = 0.01
_SHARE = {"a": 1.0, "tie": 0.5, "b": 0.0}


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Answers, and what each source predicted for them without having seen them."""

    answers: Float[ndarray, " n"]
    """1 for `a`, 1/2 tie, 0 for `b`."""
    prompts: tuple[str, ...]
    predicted: Mapping[str, Float[ndarray, " n"]]
    """By source: share for `a`, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One place of a reliability plot."""

    low: float
    high: float
    predicted: float
    """Mean of the predictions that fall in [low, high), the last bin closed."""
    answered: Estimate
    """Share of the answers, ties half, with an interval that draws whole prompts."""


def foresee(
    pairs: Sequence[Pair],
    scores: Iterable[Score],
    votes: Iterable[Vote],
    profile: Profile,
    *,
    seed: int = 0,
) -> Foreseen:
    """Predict every blind answer (all answers, where fewer than 50 are blind) by every source."""
    known = {pair.id: pair for pair in pairs if pair.trains}
    rows = list(scores)
    cast = [vote for vote in votes if vote.pair in known]
    asked = _asked(first_answers(cast), known)
    place = fold_of([_key(vote) for vote in asked], folds=FOLDS, seed=seed)
    predicted = {source: np.full(len(asked), 0.5) for source in SOURCES}
    for fold in range(FOLDS):
        held = [index for index, vote in enumerate(asked) if place[_key(vote)] == fold]
        gone = {_key(asked[index]) for index in held}
        seen = [vote for vote in cast if _key(vote) not in gone]
        if held:
            found = _by_source(list(known.values()), rows, seen, profile, [asked[i] for i in held])
            for source, values in found.items():
                predicted[source][held] = values
    answers = [_SHARE[answer] for v in asked if (answer := said(v, known[v.pair])) is not None]
    prompts = tuple(known[vote.pair].prompt for vote in asked)
    return Foreseen(np.array(answers, dtype=float), prompts, predicted)


def _key(vote: Vote) -> str:
    return f"{vote.pair} {vote.annotator}"


def _asked(first: Sequence[Vote], known: Mapping[str, Pair]) -> list[Vote]:
    answered = [vote for vote in first if said(vote, known[vote.pair]) is not None]
    blind = [vote for vote in answered if vote.exposure == "blind"]
    return sorted(blind if len(blind) >= LEAST_VOTES else answered, key=_key)


def _by_source(
    pairs: Sequence[Pair],
    scores: Sequence[Score],
    seen: Sequence[Vote],
    profile: Profile,
    asked: Sequence[Vote],
) -> dict[str, list[float]]:
    found = {}
    for source in ("auto", "human"):
        labels = resolve(source, pairs, scores, seen, profile=profile)
        share = {pair.id: _share(pair, labels[pair.id]) for pair in pairs}
        found[source] = [share[vote.pair] for vote in asked]
    known = beliefs(pairs, scores, seen, profile)
    found["posterior"] = []
    for vote in asked:
        truth = known.pairs[vote.pair]
        confusion = table(known.reliability.get(vote.annotator, UNKNOWN))
        a, tie, _ = (np.array([truth.a, truth.tie, truth.b]) @ confusion).tolist()
        found["posterior"].append(a + tie / 2)
    return found


def _share(pair: Pair, label: Preference | str) -> float:
    if not isinstance(label, Preference):
        return 0.5
    return label.probability if label.chosen == pair.a else 1 - label.probability


def brier(found: Foreseen, source: str, *, seed: int = 0) -> Estimate:
    """Mean of (prediction - answer)², with its interval."""
    missed = (found.predicted[source] - found.answers) ** 2
    return mean(found.prompts, missed, generator(seed, "brier"))


def log_loss(found: Foreseen, source: str, *, seed: int = 0) -> Estimate:
    """Mean of -y ln p - (1 - y) ln(1 - p) in nats, p kept in [0.01, 0.99], with its interval."""
    p = np.clip(found.predicted[source], _EDGE, 1 - _EDGE)
    each = -found.answers * np.log(p) - (1 - found.answers) * np.log1p(-p)
    return mean(found.prompts, each, generator(seed, "log-loss"))


def curve(found: Foreseen, source: str, *, bins: int = 10, seed: int = 0) -> list[Bin]:
    """A reliability plot's data: equal bins of the prediction, empty ones left out."""
    p = found.predicted[source]
    place = np.minimum((p * bins).astype(int), bins - 1)
    drawn = []
    for each in sorted(set(place.tolist())):
        index = np.flatnonzero(place == each)
        prompts = [found.prompts[i] for i in index.tolist()]
        answered = mean(prompts, found.answers[index], generator(seed, f"curve {each}"))
        drawn.append(
            Bin(
                low=each / bins,
                high=(each + 1) / bins,
                predicted=float(p[index].mean()),
                answered=answered,
            )
        )
    return drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """What one source's predictions are worth."""

    brier: Estimate
    log_loss: Estimate
    curve: tuple[Bin, ...]


def foresight(found: Foreseen, *, seed: int = 0) -> dict[str, Foresight]:
    """Every source's figures and reliability plot."""
    return {
        source: Foresight(
            brier=brier(found, source, seed=seed),
            log_loss=log_loss(found, source, seed=seed),
            curve=tuple(curve(found, source, seed=seed)),
        )
        for source in found.predicted
    }

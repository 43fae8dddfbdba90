"""Held-out figures of calibrations: folds by prompt, ridge strength, bootstrap. Pure.

Prompts are dealt to folds in the order of a hash: all answers to clips of one prompt are on one
side. A fold's answers are predicted by a fit on the others, whose ridge was chosen inside those
others by the same kind of folds (nested): no answer has any part in its own prediction. Of the
ridges tried, the strongest one counts that is worse than the best by no more than one standard
error of their difference, clustered by prompt.

Intervals draw whole prompts: answers about one prompt are not independent. Same seed, same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from data import davidson
from data.bootstrap import Estimate, generator, mean, too_few
from data.fitting import NO_RIDGE, Comparisons, Model
from data.records import digest

RIDGES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, NO_RIDGE)
"""Tried by cross-validation; per root-mean-square unit of a dimension."""
FOLDS = 5


def fold_of(prompts: Sequence[str], *, folds: int, seed: int) -> dict[str, int]:
    """Fold of each prompt: dealt round in the order of a hash, so sizes differ by one at most."""
    order = sorted(set(prompts), key=lambda prompt: (digest("fold", seed, prompt), prompt))
    return {prompt: place % folds for place, prompt in enumerate(order)}


def split(
    rows: Comparisons, *, folds: int = FOLDS, seed: int = 0
) -> Iterator[tuple[Comparisons, Int[ndarray, " m"]]]:
    """Training rows and indices of held-out rows of each fold that holds any."""
    fold = fold_of(rows.prompts, folds=folds, seed=seed)
    place = np.array([fold[prompt] for prompt in rows.prompts], dtype=np.int64)
    for each in range(folds):
        if (place == each).any():
            yield rows.where(place != each), np.flatnonzero(place == each)


def chosen_ridge(rows: Comparisons, model: Model, *, seed: int = 0) -> float:
    """The strongest ridge within one standard error of the best, by folds of prompts."""
    if not len(rows):
        return NO_RIDGE
    table = np.zeros((len(RIDGES), len(rows)))
    for train, held in split(rows, seed=seed):
        test = rows.where(held)
        for place, ridge in enumerate(RIDGES):
            tried = replace(model, ridge=ridge)
            table[place, held] = tried.losses(tried.fit(train), test)
    best = int(table.sum(1).argmin())
    excess = table - table[best]
    near = [
        ridge
        for ridge, each in zip(RIDGES, excess, strict=True)
        if each.mean() <= standard_error(each, rows.prompts)
    ]
    return max(near)


def standard_error(values: Float[ndarray, " n"], groups: Sequence[str]) -> float:
    """Of the mean of `values`, clustered: sqrt(G/(G-1) Σ_g (Σ_{i in g} (v_i - mean))²) / n."""
    _, place = np.unique(groups, return_inverse=True)
    sums = np.bincount(place, values - values.mean())
    count = len(sums)
    if count < 2:
        return 0.0
    return float(np.sqrt((sums**2).sum() * count / (count - 1)) / len(values))


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Predictions of answers that had no part in them: η without nuisances, and shares."""

    eta: Float[ndarray, " n"]
    """Logits for left, side and pull left out."""
    shares: Float[ndarray, "n 3"]
    """Of left, tie, right, side and pull included."""


def held_out(rows: Comparisons, candidates: Sequence[Model], *, seed: int = 0) -> HeldOut:
    """Predictions for every row, from the other prompts.

    Args:
        rows: the answers.
        candidates: models of which each fold takes the one that fits its training part best, as for
            the single dimensions. One model with ridge nan: its ridge is chosen in each fold.
        seed: of the folds.
    """
    eta, shares = np.zeros(len(rows)), np.zeros((len(rows), 3))
    for train, held in split(rows, seed=seed):
        test = rows.where(held)
        model, found = _best(train, candidates, seed)
        eta[held] = test.x @ model.logits(found)
        logs = davidson.log_shares(model.design(test) @ found[:-1], float(found[-1]))
        shares[held] = np.exp(logs)
    return HeldOut(eta, shares)


def _best(train: Comparisons, candidates: Sequence[Model], seed: int) -> tuple[Model, ndarray]:
    fits = []
    for each in candidates:
        chosen = chosen_ridge(train, each, seed=seed) if math.isnan(each.ridge) else each.ridge
        model = replace(each, ridge=chosen)
        found = model.fit(train)
        fits.append((float(model.losses(found, train).sum()), len(fits), model, found))
    _, _, model, found = min(fits, key=lambda fit: fit[:2])
    return model, found


@dataclass(frozen=True, slots=True)
class Figures:
    """Per answer: what a prediction is worth."""

    loss: Float[ndarray, " n"]
    """Nats: minus the log of the share predicted for the answer given."""
    right: Float[ndarray, " n"]
    """1 where the side taken was the one predicted, 0.5 where none was predicted; nan for ties."""
    brier: Float[ndarray, " n"]
    """(predicted share of left, ties half, minus 1, 1/2 or 0)²."""


def figures(found: HeldOut, answers: Int[ndarray, " n"]) -> Figures:
    """What each prediction is worth against the answer given."""
    given = np.take_along_axis(found.shares, (1 - answers)[:, None], axis=1)[:, 0]
    right = np.where(answers == 0, np.nan, (1 + np.sign(found.eta) * answers) / 2)
    left = found.shares[:, 0] + found.shares[:, 1] / 2
    return Figures(-np.log(given), right, (left - (1 + answers) / 2) ** 2)


def estimate(
    values: Float[ndarray, " n"], prompts: Sequence[str], *, seed: int, what: str
) -> Estimate:
    """Mean of the values that are no nan, with an interval that draws whole prompts."""
    known = np.flatnonzero(~np.isnan(values))
    kept = [prompts[place] for place in known.tolist()]
    if not kept:
        return too_few(0)
    return mean(kept, values[known], generator(seed, what))


def bootstrapped(
    rows: Comparisons, model: Model, *, draws: int = 1000, seed: int = 0
) -> Float[ndarray, "draws q"]:
    """Parameters refitted to samples of whole prompts, the ridge as it is."""
    start = model.fit(rows)
    names, place = np.unique(rows.prompts, return_inverse=True)
    count = len(names)
    drawn = generator(seed, "calibration").multinomial(count, np.full(count, 1 / count), draws)
    times = drawn.astype(float)
    return np.array([model.fit(rows, weights=each[place], start=start) for each in times])


def ceiling(rows: Comparisons) -> tuple[Figures, tuple[str, ...]]:
    """How well the other people's answers to a pair predict one person's, and their prompts.

    The others' shares, with Jeffreys' half a vote for each of the three answers, in place of a
    model: only pairs that two or more people answered enter. Left is left on that person's page.
    """
    by_pair: dict[str, list[int]] = {}
    for place, pair in enumerate(rows.pairs):
        by_pair.setdefault(pair, []).append(place)
    shared = [place for group in by_pair.values() if len(group) > 1 for place in group]
    eta, shares = np.zeros(len(shared)), np.zeros((len(shared), 3))
    for index, place in enumerate(shared):
        others = [other for other in by_pair[rows.pairs[place]] if other != place]
        counts = np.full(3, 0.5)
        for other in others:
            counts[1 - _turned(rows, other, place)] += 1
        eta[index] = counts[0] - counts[2]
        shares[index] = counts / counts.sum()
    kept = np.array(shared, dtype=np.int64)
    prompts = tuple(rows.prompts[place] for place in shared)
    return figures(HeldOut(eta, shares), rows.answers[kept]), prompts


def _turned(rows: Comparisons, other: int, place: int) -> int:
    """The answer of row `other` as seen from row `place`, whose sides may be swapped."""
    answer = int(rows.answers[other])
    return answer if rows.left[other] == rows.left[place] else -answer

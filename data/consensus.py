"""How far people agree with each other, about the clips and not the sides they stood on.

An answer is `a`, `tie` or `b` (the two clips in canonical order). Only pairs that at least two
people answered count.

- Percent: of all couples of answers about one pair by two people, the share that says the same.
- Cohen's kappa (1960), of two people with at least `FEW` pairs in common; from statsmodels.
- Fleiss' kappa (1971) needs equally many answers everywhere: it is taken on the pairs with the most
  usual number of answers, which is given with it; from statsmodels.
- Krippendorff's alpha, nominal and ordinal (`a` < tie < `b`), takes all of them, with holes; from
  evalica. Its interval draws whole prompts: the coincidence matrix is a sum over pairs, so it can
  be weighted and summed anew for every draw at once.

Which clip of a pair is `a` is an accident of its hash, so chance agreement is that of a fair coin
(and of ties). What counts as good is not fixed; the literature asks for alpha above 0.67 to 0.8,
and pairwise votes on clips rarely reach 0.4. Left out on purpose: weighted kappas. Pure: no IO.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, cast

import numpy as np
from jaxtyping import Float

from data.bootstrap import (
    FEW,
    Estimate,
    enough,
    generator,
    interval,
    per_cluster,
    resampled,
    share,
    too_few,
)
from data.raters import Answers

Scale = Literal["nominal", "ordinal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Couple:
    """Two people and what they both answered."""

    one: str
    other: str
    pairs: int
    same: float
    """Share of these pairs with the same answer."""
    kappa: float | None
    """Cohen's; None where both always say one and the same thing: nothing is left to chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consensus:
    """Agreement between people."""

    people: int
    pairs: int
    """Pairs that at least two people answered."""
    same: Estimate
    """Couples of answers that say the same."""
    couples: tuple[Couple, ...]
    """People with at least `FEW` pairs in common, most pairs first."""
    fleiss: Estimate
    """Without an interval."""
    fleiss_answers: int
    """Answers per pair of the pairs that `fleiss` was taken on; 0 where there is none."""
    nominal: Estimate
    ordinal: Estimate


def consensus(given: Answers, prompts: Mapping[str, str], *, seed: int) -> Consensus:
    """All of it; `prompts` says which prompt a pair belongs to."""
    table = given.table()
    several = table.sum(1) > 1
    table = table[several]
    where = [prompts[pair] for pair, keep in zip(given.pairs, several, strict=True) if keep]
    fleiss, answers = _fleiss(table)
    return Consensus(
        people=len(given.people),
        pairs=len(table),
        same=_same(table, where, seed),
        couples=couples(given),
        fleiss=fleiss,
        fleiss_answers=answers,
        nominal=_alpha(table, where, "nominal", seed),
        ordinal=_alpha(table, where, "ordinal", seed),
    )


def _same(table: Float[np.ndarray, "pairs 3"], where: Sequence[str], seed: int) -> Estimate:
    """Share of couples of answers that agree; every couple counts once."""
    total = table.sum(1)
    alike = (table * (table - 1)).sum(1) / 2
    every = total * (total - 1) / 2
    return share(where, alike, generator(seed, "percent"), of=every)


def couples(given: Answers) -> tuple[Couple, ...]:
    """Cohen's kappa of everybody who shares at least `FEW` pairs with somebody."""
    from statsmodels.stats.inter_rater import cohens_kappa

    tables: dict[tuple[int, int], Float[np.ndarray, "3 3"]] = {}
    for members in _members(given):
        for (one, first), (other, second) in combinations(members, 2):
            tables.setdefault((one, other), np.zeros((3, 3)))[first, second] += 1
    found = []
    for (one, other), table in tables.items():
        if (count := int(table.sum())) < FEW:
            continue
        by_chance = (table.sum(0) * table.sum(1)).sum() == count**2
        kappa = (
            None if by_chance else float(cast("float", cohens_kappa(table, return_results=False)))
        )
        same = float(np.trace(table) / count)
        names = given.people[one], given.people[other]
        found.append(Couple(one=names[0], other=names[1], pairs=count, same=same, kappa=kappa))
    return tuple(sorted(found, key=lambda two: (-two.pairs, two.one, two.other)))


def _members(given: Answers) -> list[list[tuple[int, int]]]:
    """(person, answer) of every pair with at least two of them, people in order."""
    groups: dict[int, list[tuple[int, int]]] = {}
    for pair, person, said in zip(given.pair, given.person, given.said, strict=True):
        groups.setdefault(int(pair), []).append((int(person), int(said)))
    return [sorted(group) for group in groups.values() if len(group) > 1]


def _fleiss(table: Float[np.ndarray, "pairs 3"]) -> tuple[Estimate, int]:
    """Fleiss' kappa on the pairs with the commonest number of answers, and that number."""
    from statsmodels.stats.inter_rater import fleiss_kappa

    counts = Counter(table.sum(1).astype(int).tolist())
    if not counts:
        return too_few(0), 0
    answers = min(counts, key=lambda number: (-counts[number], number))
    mine = table[table.sum(1) == answers]
    if len(mine) < FEW:
        return too_few(len(mine)), answers
    if (mine.sum(0) == mine.sum()).any():
        return too_few(len(mine), note="everybody always said the same"), answers
    kappa = float(fleiss_kappa(mine))
    return Estimate(value=kappa, low=None, high=None, n=len(mine)), answers


def alpha(table: Float[np.ndarray, "pairs 3"], scale: Scale) -> float:
    """Krippendorff's alpha of answers counted per pair (each pair has at least two).

    evalica takes raters x pairs; who said what plays no part in alpha, so every pair's answers are
    laid into the first places of a column.
    """
    import evalica
    import pandas as pd

    counts = table.astype(int)
    places = np.full((counts.sum(1).max(), len(counts)), np.nan)
    filled = np.zeros(len(counts), dtype=int)
    for said in range(3):
        for place in range(counts[:, said].max()):
            rows = np.flatnonzero(counts[:, said] > place)
            places[filled[rows], rows] = said
            filled[rows] += 1
    return float(evalica.alpha(pd.DataFrame(places), distance=scale).alpha)


def _alpha(
    table: Float[np.ndarray, "pairs 3"], where: Sequence[str], scale: Scale, seed: int
) -> Estimate:
    clusters = len(set(where))
    if not enough(len(table), clusters):
        return too_few(len(table), clusters)
    if (table.sum(0) == table.sum()).any():
        return too_few(len(table), note="everybody always said the same")
    sums = per_cluster(where, _coincidences(table))
    drawn = resampled(sums, generator(seed, f"alpha {scale}")).reshape(-1, 3, 3)
    low, high = interval(_from_coincidences(drawn, scale), clusters)
    value = alpha(table, scale)
    return Estimate(value=value, low=low, high=high, n=len(table), clusters=clusters)


def _coincidences(table: Float[np.ndarray, "pairs 3"]) -> Float[np.ndarray, "pairs 9"]:
    """Every pair's part of the coincidence matrix: couples of its answers over (answers - 1)."""
    couples = table[:, :, None] * table[:, None, :] - np.eye(3) * table[:, None, :]
    return (couples / (table.sum(1) - 1)[:, None, None]).reshape(-1, 9)


def _from_coincidences(
    matrices: Float[np.ndarray, "draws 3 3"], scale: Scale
) -> Float[np.ndarray, " draws"]:
    """1 - observed / expected disagreement; NaN where a draw has one kind of answer only."""
    margins = matrices.sum(2)
    total = margins.sum(1)
    difference = np.ones((len(matrices), 3, 3)) - np.eye(3)
    if scale == "ordinal":  # (sum of the margins between, the two ends half) squared
        middle = np.cumsum(margins, 1) - margins / 2
        difference = (middle[:, :, None] - middle[:, None, :]) ** 2
    observed = (matrices * difference).sum((1, 2)) * (total - 1)
    expected = (margins[:, :, None] * margins[:, None, :] * difference).sum((1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return 1 - np.where(expected > 0, observed / expected, np.nan)

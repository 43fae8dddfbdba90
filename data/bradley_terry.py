"""Bradley-Terry with ties, fitted for many resampled tables at once.

Every item i has a strength s_i (natural log). With d = s_i - s_j, of two items compared:

- `davidson` (1970): P(i), P(tie), P(j) proportional to e^(d/2), v, e^(-d/2).
- `rao-kupper` (1967): P(i) = 1 / (1 + t e^-d), P(j) = 1 / (1 + t e^d), the rest ties; t > 1.
- `half-wins`: plain Bradley-Terry (1952), a tie counting half a win for each; says nothing about
  how likely ties are.

All are fitted by Newton's method on the penalised log-likelihood, which is concave in the strengths
and log v or log t: a normal prior of `PRIOR_SD` around 0 on each strength (an item that won
everything gets a finite rating, and the strengths sum to 0), and one made-up vote between equals,
spread evenly over the three answers, on the tie parameter. No library that fits here has ties, a
prior and many tables at once; the plain case is held to evalica in the tests.

Left out on purpose: order effects, and covariates. Pure: no IO.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from data import davidson
from data.davidson import Slopes

Model = Literal["davidson", "rao-kupper", "half-wins"]
PRIOR_SD = 2.0
"""Of a strength, natural log. Wide: a priori two items may well win 50 to 1 against each other."""
_STEPS, _HALVINGS, _PRECISION = 100, 40, 1e-11


Law = Callable[
    [Float[ndarray, "draws e 3"], Float[ndarray, "draws e"], Float[ndarray, "draws 1"]], Slopes
]
"""Counts, difference of the strengths, and tie parameter (log v or log t) of every edge."""


def _rao_kupper(
    counts: Float[ndarray, "draws e 3"],
    d: Float[ndarray, "draws e"],
    tie: Float[ndarray, "draws 1"],
) -> Slopes:
    """`tie` is log t, above 0."""
    won, tied, lost = np.moveaxis(counts, -1, 0)
    up, down = _sigmoid(tie - d), _sigmoid(tie + d)
    not_lost, not_won = won + tied, lost + tied
    bend_up, bend_down = not_lost * up * (1 - up), not_won * down * (1 - down)
    shrink = np.expm1(2 * tie)
    return Slopes(
        value=tied * np.log(shrink)
        - not_lost * np.logaddexp(0, tie - d)
        - not_won * np.logaddexp(0, tie + d),
        by_d=not_lost * up - not_won * down,
        by_tie=2 * tied * (1 + 1 / shrink) - not_lost * up - not_won * down,
        by_d_d=-bend_up - bend_down,
        by_tie_tie=-bend_up - bend_down - 4 * tied * (1 + 1 / shrink) / shrink,
        by_d_tie=bend_up - bend_down,
    )


def _half_wins(
    counts: Float[ndarray, "draws e 3"],
    d: Float[ndarray, "draws e"],
    tie: Float[ndarray, "draws 1"],
) -> Slopes:
    """There is no tie parameter: it stays where it is."""
    won, tied, lost = np.moveaxis(counts, -1, 0)
    won, lost = won + tied / 2, lost + tied / 2
    p, nothing = _sigmoid(d), 0 * d * tie
    return Slopes(
        value=-won * np.logaddexp(0, -d) - lost * np.logaddexp(0, d),
        by_d=won * (1 - p) - lost * p,
        by_tie=nothing,
        by_d_d=-(won + lost) * p * (1 - p),
        by_tie_tie=nothing - 1,
        by_d_tie=nothing,
    )


def _sigmoid(x: Float[ndarray, "draws e"]) -> Float[ndarray, "draws e"]:
    return np.exp(-np.logaddexp(0, -x))


_LAWS: dict[Model, tuple[Law, float]] = {
    "davidson": (davidson.slopes, 0.0),
    "rao-kupper": (_rao_kupper, float(np.log(2))),
    "half-wins": (_half_wins, 0.0),
}
"""Law and first tie parameter: one tie in three between equals."""
MODELS: tuple[Model, ...] = tuple(_LAWS)


def fit(
    edges: Int[ndarray, "e 2"],
    counts: Float[ndarray, "draws e 3"],
    items: int,
    model: Model,
    *,
    prior_sd: float = PRIOR_SD,
) -> tuple[Float[ndarray, "draws k"], Float[ndarray, " draws"]]:
    """Strengths of the items and the tie parameter (log v or log t) of every table.

    Args:
        edges: Couples of items that met, each couple once, as indices below `items`.
        counts: Wins of the first, ties, wins of the second of every couple; per table.
        items: How many there are.
        model: One of `MODELS`.
        prior_sd: Of a strength.
    """
    law, start = _LAWS[model]
    tables = _Tables(law, edges, counts, items, prior_sd)
    here = _Point(np.zeros((len(counts), items)), np.full((len(counts), 1), start))
    best = tables.objective(here)
    slack = 1e-12 * np.abs(best)
    for _ in range(_STEPS):
        step = tables.newton(here)
        size = np.ones((len(counts), 1))
        for _ in range(_HALVINGS):
            worse = ~(tables.objective(here.moved(size * step)) >= best - slack)
            if not worse.any():
                break
            size[worse] /= 2
        here = here.moved(size * step)
        best = tables.objective(here)
        if np.abs(step).max(initial=0.0) < _PRECISION:
            break
    return here.strengths - here.strengths.mean(1, keepdims=True), here.tie[:, 0]


def tie_between_equals(tie: float, model: Model) -> float:
    """P(tie) of two items of equal strength."""
    if model == "davidson":
        return float(np.exp(davidson.log_shares(np.zeros(1), tie))[0, 1])
    return float(np.tanh(tie / 2))


@dataclass(frozen=True, slots=True)
class _Point:
    """Where a fit of many tables stands."""

    strengths: Float[ndarray, "draws k"]
    tie: Float[ndarray, "draws 1"]

    def moved(self, step: Float[ndarray, "draws q"]) -> _Point:
        return _Point(self.strengths + step[:, :-1], self.tie + step[:, -1:])


@dataclass(frozen=True, slots=True)
class _Tables:
    """What is fitted: the penalised log-likelihood of every table, and its Newton steps."""

    law: Law
    edges: Int[ndarray, "e 2"]
    counts: Float[ndarray, "draws e 3"]
    items: int
    prior_sd: float

    def _slopes(self, at: _Point) -> tuple[Slopes, Slopes]:
        """Of the votes, and of the made-up vote between equals."""
        d = at.strengths[:, self.edges[:, 0]] - at.strengths[:, self.edges[:, 1]]
        made_up = np.full((len(self.counts), 1, 3), 1 / 3)
        return self.law(self.counts, d, at.tie), self.law(made_up, np.zeros_like(at.tie), at.tie)

    def objective(self, at: _Point) -> Float[ndarray, " draws"]:
        """NaN or -inf where the tie parameter has no meaning."""
        with np.errstate(invalid="ignore", divide="ignore"):
            votes, made_up = self._slopes(at)
        prior = (at.strengths**2).sum(1) / (2 * self.prior_sd**2)
        return votes.value.sum(1) + made_up.value.sum(1) - prior

    def newton(self, at: _Point) -> Float[ndarray, "draws q"]:
        """The step of strengths and tie parameter."""
        draws, items = at.strengths.shape
        votes, made_up = self._slopes(at)
        one, other = self.edges.T
        gradient = np.zeros((draws, items + 1))
        gradient[:, :-1] = self._spread(votes.by_d) - at.strengths / self.prior_sd**2
        gradient[:, -1] = votes.by_tie.sum(1) + made_up.by_tie.sum(1)
        hessian = np.zeros((draws, items + 1, items + 1))
        hessian[:, one, other] = hessian[:, other, one] = -votes.by_d_d
        diagonal = np.arange(items)
        hessian[:, diagonal, diagonal] = -hessian[:, :-1, :-1].sum(2) - 1 / self.prior_sd**2
        hessian[:, :-1, -1] = hessian[:, -1, :-1] = self._spread(votes.by_d_tie)
        hessian[:, -1, -1] = votes.by_tie_tie.sum(1) + made_up.by_tie_tie.sum(1)
        return -np.linalg.solve(hessian, gradient[..., None])[..., 0]

    def _spread(self, values: Float[ndarray, "draws e"]) -> Float[ndarray, "draws k"]:
        """Derivatives by d as derivatives by the strengths: plus for one, minus for the other."""
        one, other = self.edges.T
        square = np.zeros((len(values), self.items, self.items))
        square[:, one, other] = values
        return square.sum(2) - square.sum(1)

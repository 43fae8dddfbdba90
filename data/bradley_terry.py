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

Model = Literal["davidson", "rao-kupper", "half-wins"]
PRIOR_SD = 2.0
"""Of a strength, natural log. Wide: a priori two items may well win 50 to 1 against each other."""
_STEPS, _HALVINGS, _PRECISION = 100, 40, 1e-11


@dataclass(frozen=True, slots=True)
class Slopes:
    """Log-likelihood of every edge, and its derivatives by d and by the tie parameter."""

    value: Float[ndarray, "draws e"]
    by_d: Float[ndarray, "draws e"]
    by_tie: Float[ndarray, "draws e"]
    by_d_d: Float[ndarray, "draws e"]
    by_tie_tie: Float[ndarray, "draws e"]
    by_d_tie: Float[ndarray, "draws e"]


Law = Callable[
    [Float[ndarray, "draws e 3"], Float[ndarray, "draws e"], Float[ndarray, "draws 1"]], Slopes
]


def _davidson(
    counts: Float[ndarray, "draws e 3"],
    d: Float[ndarray, "draws e"],
    tie: Float[ndarray, "draws 1"],
) -> Slopes:
    """`tie` is log v."""
    won, tied, lost = np.moveaxis(counts, -1, 0)
    n = won + tied + lost
    log_total = np.logaddexp(np.logaddexp(d / 2, -d / 2), tie)
    p_won, p_tied, p_lost = (np.exp(x - log_total) for x in (d / 2, tie + 0 * d, -d / 2))
    edge = p_won - p_lost
    return Slopes(
        value=(won - lost) * d / 2 + tied * tie - n * log_total,
        by_d=(won - lost - n * edge) / 2,
        by_tie=tied - n * p_tied,
        by_d_d=-n * (p_won + p_lost - edge**2) / 4,
        by_tie_tie=-n * p_tied * (1 - p_tied),
        by_d_tie=n * p_tied * edge / 2,
    )


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
    "davidson": (_davidson, 0.0),
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
    strengths = np.zeros((len(counts), items))
    tie = np.full((len(counts), 1), start)
    best = _objective(law, edges, counts, strengths, tie, prior_sd)
    slack = 1e-12 * np.abs(best)
    for _ in range(_STEPS):
        step = _newton(law, edges, counts, strengths, tie, prior_sd)
        size = np.ones((len(counts), 1))
        for _ in range(_HALVINGS):
            there = (strengths + size * step[:, :-1], tie + size * step[:, -1:])
            worse = ~(_objective(law, edges, counts, *there, prior_sd) >= best - slack)
            if not worse.any():
                break
            size[worse] /= 2
        strengths, tie = strengths + size * step[:, :-1], tie + size * step[:, -1:]
        best = _objective(law, edges, counts, strengths, tie, prior_sd)
        if np.abs(step).max(initial=0.0) < _PRECISION:
            break
    return strengths - strengths.mean(1, keepdims=True), tie[:, 0]


def tie_between_equals(tie: float, model: Model) -> float:
    """P(tie) of two items of equal strength."""
    if model == "davidson":
        return float(np.exp(tie) / (2 + np.exp(tie)))
    return float(np.tanh(tie / 2))


def _slopes(
    law: Law,
    edges: Int[ndarray, "e 2"],
    counts: Float[ndarray, "draws e 3"],
    strengths: Float[ndarray, "draws k"],
    tie: Float[ndarray, "draws 1"],
) -> tuple[Slopes, Slopes]:
    """Of the votes, and of the made-up vote between equals."""
    d = strengths[:, edges[:, 0]] - strengths[:, edges[:, 1]]
    made_up = np.full((len(counts), 1, 3), 1 / 3)
    return law(counts, d, tie), law(made_up, np.zeros_like(tie), tie)


def _objective(
    law: Law,
    edges: Int[ndarray, "e 2"],
    counts: Float[ndarray, "draws e 3"],
    strengths: Float[ndarray, "draws k"],
    tie: Float[ndarray, "draws 1"],
    prior_sd: float,
) -> Float[ndarray, " draws"]:
    """Penalised log-likelihood; NaN or -inf where the tie parameter has no meaning."""
    with np.errstate(invalid="ignore", divide="ignore"):
        votes, made_up = _slopes(law, edges, counts, strengths, tie)
    return votes.value.sum(1) + made_up.value.sum(1) - (strengths**2).sum(1) / (2 * prior_sd**2)


def _newton(
    law: Law,
    edges: Int[ndarray, "e 2"],
    counts: Float[ndarray, "draws e 3"],
    strengths: Float[ndarray, "draws k"],
    tie: Float[ndarray, "draws 1"],
    prior_sd: float,
) -> Float[ndarray, "draws k+1"]:
    """The Newton step of strengths and tie parameter."""
    draws, items = strengths.shape
    votes, made_up = _slopes(law, edges, counts, strengths, tie)
    one, other = edges.T

    def spread(values: Float[ndarray, "draws e"]) -> Float[ndarray, "draws k"]:
        """Derivatives by d as derivatives by the strengths: plus for one, minus for the other."""
        square = np.zeros((draws, items, items))
        square[:, one, other] = values
        return square.sum(2) - square.sum(1)

    gradient = np.zeros((draws, items + 1))
    gradient[:, :-1] = spread(votes.by_d) - strengths / prior_sd**2
    gradient[:, -1] = votes.by_tie.sum(1) + made_up.by_tie.sum(1)
    hessian = np.zeros((draws, items + 1, items + 1))
    hessian[:, one, other] = hessian[:, other, one] = -votes.by_d_d
    diagonal = np.arange(items)
    hessian[:, diagonal, diagonal] = -hessian[:, :-1, :-1].sum(2) - 1 / prior_sd**2
    hessian[:, :-1, -1] = hessian[:, -1, :-1] = spread(votes.by_d_tie)
    hessian[:, -1, -1] = votes.by_tie_tie.sum(1) + made_up.by_tie_tie.sum(1)
    return -np.linalg.solve(hessian, gradient[..., None])[..., 0]

"""Davidson's law of ties (1970), and Bradley–Terry with it as a regression with a Gaussian prior.

With η how much the first is ahead, in logits, the three outcomes weigh exp(η/2) (first), exp(τ)
(tie) and exp(-η/2) (second): among answers that take a side this is logistic, and P(tie) /
sqrt(P(first) P(second)) = exp(τ) whatever η is. Calibrations, ratings and this fit take the law
from here. In the regression each answer has a row z of the design matrix, and η = z·θ. The negative
log-likelihood is convex in (θ, τ) and the prior makes it strictly so, hence one minimum.

Left out on purpose: designs (`data/fitting.py`), strengths of many resampled tables at once and
Rao and Kupper's threshold for ties (`data/bradley_terry.py`). Pure: no IO.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

_GRADIENT = 1e-6
_POLISH = 2
"""Newton steps after the minimiser stops: each squares what is left of the error."""


@dataclass(frozen=True, slots=True)
class Prior:
    """Independent Gaussians on (θ, τ), the tie's last; a precision of 0 is no prior."""

    centre: Float[ndarray, " q"]
    precision: Float[ndarray, " q"]


@dataclass(frozen=True, slots=True)
class Slopes:
    """Log-likelihood of counted answers, and its derivatives by d (that is η) and the tie's τ."""

    value: Float[ndarray, "*s"]
    by_d: Float[ndarray, "*s"]
    by_tie: Float[ndarray, "*s"]
    by_d_d: Float[ndarray, "*s"]
    by_tie_tie: Float[ndarray, "*s"]
    by_d_tie: Float[ndarray, "*s"]


def log_shares(
    eta: Float[ndarray, "*s"], tie: float | Float[ndarray, "*#s"]
) -> Float[ndarray, "*s 3"]:
    """Log probabilities of first, tie, second; `tie` (τ) as it broadcasts."""
    logits = np.stack([eta / 2, np.broadcast_to(tie, eta.shape), -eta / 2], axis=-1)
    top = logits.max(axis=-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))


def slopes(
    counts: Float[ndarray, "*s 3"],
    d: Float[ndarray, "*s"],
    tie: float | Float[ndarray, "*#s"],
) -> Slopes:
    """Of as many answers (first, tie, second) as `counts` says, where the first is ahead by `d`."""
    logs = log_shares(d, tie)
    won, tied, lost = np.moveaxis(counts, -1, 0)
    n = won + tied + lost
    p_won, p_tied, p_lost = np.moveaxis(np.exp(logs), -1, 0)
    edge = p_won - p_lost
    return Slopes(
        value=(counts * logs).sum(-1),
        by_d=(won - lost - n * edge) / 2,
        by_tie=tied - n * p_tied,
        by_d_d=-n * (p_won + p_lost - edge**2) / 4,
        by_tie_tie=-n * p_tied * (1 - p_tied),
        by_d_tie=n * p_tied * edge / 2,
    )


def losses(
    eta: Float[ndarray, " n"], tie: float | Float[ndarray, " n"], answers: Int[ndarray, " n"]
) -> Float[ndarray, " n"]:
    """Negative log-likelihood of each answer: 1 first, 0 tie, -1 second; in nats."""
    return -np.take_along_axis(log_shares(eta, tie), (1 - answers)[:, None], axis=1)[:, 0]


def fit(
    design: Float[ndarray, "n p"],
    answers: Int[ndarray, " n"],
    prior: Prior,
    *,
    weights: Float[ndarray, " n"] | None = None,
    start: Float[ndarray, " q"] | None = None,
) -> Float[ndarray, " q"]:
    """The most probable (θ, τ), to rounding error.

    Args:
        design: one row per answer.
        answers: 1 first, 0 tie, -1 second.
        prior: of p coefficients and the tie.
        weights: how often each answer counts; None: once.
        start: where to begin; None: the prior's centre. Only speed depends on it.
    """
    from scipy.optimize import minimize  # here: the law alone does not wait for it

    counts = np.eye(3)[1 - answers] * (1.0 if weights is None else weights[:, None])
    objective = _Objective(design, counts, prior)
    begin = prior.centre if start is None else start
    found = minimize(
        objective.value,
        begin,
        jac=objective.gradient,
        hess=objective.hessian,
        method="trust-exact",
        options={"gtol": _GRADIENT * max(1.0, float(counts.sum()))},
    ).x
    for _ in range(_POLISH):
        found = found - np.linalg.solve(objective.hessian(found), objective.gradient(found))
    return found


def covariance(
    design: Float[ndarray, "n p"],
    answers: Int[ndarray, " n"],
    prior: Prior,
    at: Float[ndarray, " q"],
) -> Float[ndarray, "q q"]:
    """How uncertain a fit is (Laplace): the inverse Hessian of the log posterior at its mode."""
    return np.linalg.inv(_Objective(design, np.eye(3)[1 - answers], prior).hessian(at))


def moderated(eta: Float[ndarray, " n"], variance: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
    """Logits whose logistic is about the mean of the logistic over N(eta, variance).

    MacKay 1992, The Evidence Framework Applied to Classification Networks: eta / sqrt(1 + pi v/8).
    """
    return eta / np.sqrt(1 + np.pi * variance / 8)


@dataclass(slots=True)
class _Objective:
    """Negative log posterior of (θ, τ), its gradient and its Hessian."""

    design: ndarray
    counts: ndarray
    """Per row: first, tie, second."""
    prior: Prior
    _last: tuple[ndarray, Slopes] | None = None
    """Value, gradient and Hessian are asked for at the same place, one after the other."""

    def _slopes(self, at: ndarray) -> Slopes:
        if self._last is None or not np.array_equal(self._last[0], at):
            self._last = at.copy(), slopes(self.counts, self.design @ at[:-1], at[-1])
        return self._last[1]

    def value(self, at: ndarray) -> float:
        off = at - self.prior.centre
        return float(off @ (self.prior.precision * off) / 2 - self._slopes(at).value.sum())

    def gradient(self, at: ndarray) -> ndarray:
        found = self._slopes(at)
        data = np.append(self.design.T @ found.by_d, found.by_tie.sum())
        return self.prior.precision * (at - self.prior.centre) - data

    def hessian(self, at: ndarray) -> ndarray:
        found = self._slopes(at)
        data = np.zeros((len(at), len(at)))
        data[:-1, :-1] = self.design.T @ (self.design * found.by_d_d[:, None])
        data[:-1, -1] = data[-1, :-1] = self.design.T @ found.by_d_tie
        data[-1, -1] = found.by_tie_tie.sum()
        return np.diag(self.prior.precision) - data

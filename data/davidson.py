"""Bradley–Terry with ties (Davidson 1970) as a regression with a Gaussian prior. Pure.

Each answer has a row of the design matrix z and one of three outcomes. With η = z·θ the outcomes
weigh exp(η/2) (first), exp(τ) (tie) and exp(-η/2) (second): among answers that take a side this is
logistic regression, and P(tie) / sqrt(P(first) P(second)) = exp(τ) whatever η is. The negative
log-likelihood is convex in (θ, τ) and the prior makes it strictly so, hence one minimum.

Left out on purpose: designs (`data/fitting.py`), Rao and Kupper's threshold for ties, which is not
log-linear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import minimize

_GRADIENT = 1e-6
_POLISH = 2
"""Newton steps after the minimiser stops: each squares what is left of the error."""


@dataclass(frozen=True, slots=True)
class Prior:
    """Independent Gaussians on (θ, τ), the tie's last; a precision of 0 is no prior."""

    centre: Float[ndarray, " q"]
    precision: Float[ndarray, " q"]


def log_shares(
    eta: Float[ndarray, " n"], tie: float | Float[ndarray, " n"]
) -> Float[ndarray, "n 3"]:
    """Log probabilities of first, tie, second; `tie` is one for all or one per answer."""
    logits = np.stack([eta / 2, np.broadcast_to(tie, eta.shape), -eta / 2], axis=1)
    top = logits.max(axis=1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))


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
    counts = np.ones(len(answers)) if weights is None else weights
    objective = _Objective(design, answers, counts, prior)
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


@dataclass(frozen=True, slots=True)
class _Objective:
    """Negative log posterior of (θ, τ), its gradient and its Hessian."""

    design: ndarray
    answers: ndarray
    counts: ndarray
    prior: Prior

    def _eta(self, at: ndarray) -> ndarray:
        return self.design @ at[:-1]

    def value(self, at: ndarray) -> float:
        off = at - self.prior.centre
        data = self.counts @ losses(self._eta(at), at[-1], self.answers)
        return float(data + off @ (self.prior.precision * off) / 2)

    def gradient(self, at: ndarray) -> ndarray:
        first, tie, second = np.exp(log_shares(self._eta(at), at[-1])).T
        by_eta = self.counts * (first - second - self.answers) / 2
        by_tie = self.counts @ (tie - (self.answers == 0))
        data = np.append(self.design.T @ by_eta, by_tie)
        return data + self.prior.precision * (at - self.prior.centre)

    def hessian(self, at: ndarray) -> ndarray:
        first, tie, second = np.exp(log_shares(self._eta(at), at[-1])).T
        spread = self.counts * (first + second - (first - second) ** 2) / 4
        mixed = -self.design.T @ (self.counts * (first - second) * tie) / 2
        whole = np.zeros((len(at), len(at)))
        whole[:-1, :-1] = self.design.T @ (self.design * spread[:, None])
        whole[:-1, -1] = whole[-1, :-1] = mixed
        whole[-1, -1] = self.counts @ (tie * (1 - tie))
        return whole + np.diag(self.prior.precision)

"""Bradley-Terry with ties: closed forms, and the same minimum found in another way."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from data import davidson
from data.davidson import Prior


def flat(size: int) -> Prior:
    return Prior(np.zeros(size), np.zeros(size))


def test_three_shares_by_hand():
    # η = 2 ln 2 weighs 2, 1 and 1/2 with ν = 1: shares 4/7, 2/7, 1/7.
    shares = np.exp(davidson.log_shares(np.array([2 * math.log(2)]), 0.0))
    assert shares == pytest.approx(np.array([[4 / 7, 2 / 7, 1 / 7]]))
    losses = davidson.losses(np.full(3, 2 * math.log(2)), 0.0, np.array([1, 0, -1]))
    assert losses == pytest.approx(-np.log([4 / 7, 2 / 7, 1 / 7]))


def test_no_prior_has_a_closed_form():
    # 30 first, 20 ties, 10 second: e^θ = 30/10 and ν = 20 / sqrt(30 * 10).
    answers = np.repeat([1, 0, -1], [30, 20, 10])
    side, tie = davidson.fit(np.ones((60, 1)), answers, flat(2))
    assert side == pytest.approx(math.log(3), abs=1e-12)
    assert tie == pytest.approx(math.log(20 / math.sqrt(300)), abs=1e-12)


def test_counts_are_repetitions():
    answers = np.array([1, 0, -1])
    once = davidson.fit(np.ones((3, 1)), answers, flat(2), weights=np.array([30.0, 20, 10]))
    many = davidson.fit(np.ones((60, 1)), np.repeat(answers, [30, 20, 10]), flat(2))
    assert once == pytest.approx(many, abs=1e-12)


def test_no_answers_give_the_prior():
    prior = Prior(np.array([0.3, -0.2]), np.array([2.0, 5.0]))
    found = davidson.fit(np.zeros((0, 1)), np.zeros(0, dtype=int), prior)
    assert found == pytest.approx(prior.centre, abs=1e-12)


def test_another_implementation_finds_the_same_minimum():
    draw = np.random.default_rng(3)
    design, answers = draw.normal(size=(12, 2)), draw.integers(-1, 2, 12)
    centre, precision = np.array([0.4, 0.0, -0.7]), np.array([1.0, 3.0, 2.0])
    found = davidson.fit(design, answers, Prior(centre, precision))

    def slope(which: int):
        """Derivative of the log posterior, written out per answer from the three weights."""

        def at(u, v, tie):
            total = mpmath.mpf(0)
            for row, answer in zip(design.tolist(), answers.tolist(), strict=True):
                eta = row[0] * u + row[1] * v
                win, draw_, loss = mpmath.exp(eta / 2), mpmath.exp(tie), mpmath.exp(-eta / 2)
                norm = win + draw_ + loss
                expected = draw_ / norm if which == 2 else row[which] * (win - loss) / (2 * norm)
                given = float(answer == 0) if which == 2 else row[which] * answer / 2
                total += given - expected
            return total - precision[which] * ((u, v, tie)[which] - centre[which])

        return at

    with mpmath.workdps(30):
        root = mpmath.findroot([slope(0), slope(1), slope(2)], (0.1, 0.1, -0.5))
    assert found == pytest.approx([float(x) for x in root], abs=1e-9)


def test_the_start_changes_nothing():
    draw = np.random.default_rng(1)
    design, answers = draw.normal(size=(40, 3)), draw.integers(-1, 2, 40)
    prior = Prior(np.zeros(4), np.full(4, 0.5))
    one = davidson.fit(design, answers, prior)
    other = davidson.fit(design, answers, prior, start=np.array([3.0, -2, 1, 2]))
    assert one == pytest.approx(other, abs=1e-11)


def test_all_answers_alike_stay_finite_under_the_prior():
    prior = Prior(np.zeros(2), np.ones(2))
    side, tie = davidson.fit(np.ones((500, 1)), np.ones(500, dtype=int), prior)
    assert math.isfinite(side)
    assert math.isfinite(tie)
    assert side > 3


def test_covariance_is_the_inverse_of_the_curvature_found_by_differences():
    draw = np.random.default_rng(5)
    design, answers = draw.normal(size=(40, 2)), draw.integers(-1, 2, 40)
    prior = Prior(np.array([0.2, 0.0, -0.5]), np.array([1.0, 4.0, 1.0]))
    at = davidson.fit(design, answers, prior)

    def loss(where: np.ndarray) -> float:
        told = davidson.losses(design @ where[:-1], float(where[-1]), answers).sum()
        return float(told + prior.precision @ (where - prior.centre) ** 2 / 2)

    step = 1e-3 * np.eye(3)
    bent = np.array(
        [[(loss(at + i + j) - loss(at + i - j) - loss(at - i + j) + loss(at - i - j)) / 4e-6
          for j in step] for i in step]
    )  # fmt: skip
    found = davidson.covariance(design, answers, prior, at)
    assert found == pytest.approx(np.linalg.inv(bent), rel=1e-5, abs=1e-8)


def test_moderated_logits_are_near_the_mean_of_the_logistic():
    # By hand: variance 8/pi halves nothing but divides by sqrt(2); without variance nothing moves.
    eta = np.array([-3.0, -0.5, 0.0, 1.0, 4.0])
    assert davidson.moderated(eta, np.zeros(5)) == pytest.approx(eta)
    assert davidson.moderated(np.ones(1), np.array([8 / math.pi])) == pytest.approx(0.5**0.5)
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    for variance in (0.3, 2.0):
        each = 1 / (1 + np.exp(-(eta[:, None] + nodes * variance**0.5)))
        mean = each @ weights / weights.sum()
        told = 1 / (1 + np.exp(-davidson.moderated(eta, np.full(5, variance))))
        assert told == pytest.approx(mean, abs=0.011)

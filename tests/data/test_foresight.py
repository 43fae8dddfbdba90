"""How well labels foresee votes that they have not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data import foresight
from data.foresight import Foreseen, curve, foresee

from .votes_world import LITE, world


def test_a_curve_by_hand():
    # Predictions .1 (twice, answers 0 and 1/2) and 1 (ten times, nine answered 1).
    predicted = np.array([0.1] * 2 + [1.0] * 10)
    answers = np.array([0.0, 0.5] + [1.0] * 9 + [0.0])
    found = Foreseen(answers, tuple(f"p{i}" for i in range(12)), {"auto": predicted})
    first, last = curve(found, "auto", bins=5)
    assert (first.low, first.high, first.predicted) == (0.0, 0.2, pytest.approx(0.1))
    assert first.answered.value is None
    assert first.answered.n == 2
    assert (last.low, last.high, last.predicted) == (0.8, 1.0, 1.0)
    assert last.answered.value == pytest.approx(0.9)


def test_brier_and_log_loss_by_hand():
    answers = np.array([1.0] * 8 + [0.0, 0.5])
    found = Foreseen(answers, tuple(f"p{i}" for i in range(10)), {"x": np.full(10, 0.8)})
    # 8 * .04 + .64 + .09 = 1.05; and 8 ln .8 + ln .2 + (ln .8 + ln .2) / 2 = -4.3111.
    assert foresight.brier(found, "x").value == pytest.approx(0.105)
    assert foresight.log_loss(found, "x").value == pytest.approx(0.43109, abs=1e-5)
    certain = replace(found, predicted={"x": np.ones(10)})
    # Certain and wrong once, half wrong once: ln 100 one and a half times, ln(1/.99) else.
    assert foresight.log_loss(certain, "x").value == pytest.approx(
        (1.5 * np.log(100) + 8.5 * np.log(1 / 0.99)) / 10
    )


def test_held_out_answers_are_not_seen():
    made = world(60, [0.9], each=1)
    found = foresee(made.pairs, made.scores, made.votes, LITE)
    # One person per pair: once the answer is held out, nobody is left to say anything.
    assert set(found.predicted["human"].tolist()) == {0.5}
    assert set(found.predicted["auto"].tolist()) <= {0.0, 1.0}
    assert len(found.answers) == 60


def test_a_revealed_answer_is_judged_and_held_out_as_it_was_first_given():
    made = world(60, [0.9], each=1)
    best = {pair.id: pair.best for pair in made.pairs}
    revealed = [
        replace(
            cast, id=f"{cast.id} kept", revises=cast.id, preferred=best[cast.pair],
            exposure="shown", time_ms=2,
        )
        for cast in made.votes
    ]  # fmt: skip
    found = foresee(made.pairs, made.scores, [*made.votes, *revealed], LITE)
    before = foresee(made.pairs, made.scores, made.votes, LITE)
    assert found.answers.tolist() == before.answers.tolist()
    assert set(found.predicted["human"].tolist()) == {0.5}


def test_the_posterior_foresees_better_and_is_about_calibrated():
    made = world(250, [0.85, 0.85, 0.85], each=2, weights=[0.2, 0.2, 0.2, 0.2, -0.1, 0.1, 0.0])
    found = foresee(made.pairs, made.scores, made.votes, LITE)
    worth = foresight.foresight(found)
    losses = {source: each.log_loss.value or 0.0 for source, each in worth.items()}
    assert losses["posterior"] < losses["human"] < losses["auto"]
    for each in worth["posterior"].curve:
        if each.answered.n >= 50:
            low, high = each.answered.low or 0.0, each.answered.high or 1.0
            assert low - 0.1 <= each.predicted <= high + 0.1

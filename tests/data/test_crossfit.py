"""Held-out figures: nothing leaks, by hand, and intervals that cover."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from data import crossfit
from data.crossfit import HeldOut, figures
from data.fitting import NO_RIDGE, Comparisons, Model, Scored, comparisons

from .votes_world import DEFAULT, LITE, World, world


def rows(made: World) -> Comparisons:
    return comparisons(made.pairs, made.votes, Scored(made.scores, LITE), "blind")


def model(made: World, **rest) -> Model:
    return Model(LITE, Scored(made.scores, LITE).units(made.pairs), **rest)


def test_folds_are_of_whole_prompts_and_even():
    prompts = [f"p{i % 23}" for i in range(100)]
    fold = crossfit.fold_of(prompts, folds=5, seed=1)
    sizes = np.bincount(list(fold.values()))
    assert sizes.tolist() == [5, 5, 5, 4, 4]
    assert fold == crossfit.fold_of(prompts[::-1], folds=5, seed=1)
    assert fold != crossfit.fold_of(prompts, folds=5, seed=2)


def test_no_answer_has_a_part_in_its_own_prediction():
    made = world(60, [0.8, 0.8], each=2, ties=0.1)
    given = rows(made)
    before = crossfit.held_out(given, [model(made, ridge=math.nan)])
    mine = np.array([prompt == given.prompts[0] for prompt in given.prompts])
    turned = replace(
        given, answers=np.where(mine, -given.answers - (given.answers == 0), given.answers)
    )
    after = crossfit.held_out(turned, [model(made, ridge=math.nan)])
    assert after.eta[mine].tolist() == before.eta[mine].tolist()
    assert after.eta[~mine].tolist() != before.eta[~mine].tolist()


def test_figures_by_hand():
    # Left is predicted with shares .5, .3, .2: answers left, tie, right.
    found = HeldOut(np.ones(3), np.tile([0.5, 0.3, 0.2], (3, 1)))
    worth = figures(found, np.array([1, 0, -1]))
    assert worth.loss == pytest.approx(-np.log([0.5, 0.3, 0.2]))
    assert worth.right[[0, 2]].tolist() == [1.0, 0.0]
    assert math.isnan(worth.right[1])
    # The share for left, ties half, is .65.
    assert worth.brier == pytest.approx([0.35**2, 0.15**2, 0.65**2])


def test_standard_error_by_hand():
    # Mean 2; prompts' sums of deviations -1 - 1, 2, 0; squares 4, 4, 0; times 3/2; root; over 4.
    values, prompts = np.array([1.0, 1, 4, 2]), ["p", "p", "q", "r"]
    assert crossfit.standard_error(values, prompts) == pytest.approx(math.sqrt(8 * 1.5) / 4)
    assert crossfit.standard_error(values, ["p"] * 4) == 0.0


def test_each_answer_alone_is_the_usual_standard_error():
    values = np.random.default_rng(0).normal(size=30)
    usual = values.std(ddof=1) / math.sqrt(30)
    found = crossfit.standard_error(values, [str(i) for i in range(30)])
    assert found == pytest.approx(usual, abs=1e-12)


def test_answers_that_follow_the_default_keep_its_weights_and_others_do_not():
    same = world(150, [0.75], each=1)
    assert crossfit.chosen_ridge(rows(same), model(same)) == NO_RIDGE
    turned = DEFAULT * np.array([1, -1, 1, -1, 1, -1, 1])
    other = world(150, [0.9], each=1, weights=turned)
    assert crossfit.chosen_ridge(rows(other), model(other)) <= 30


def test_people_as_a_ceiling_by_hand():
    made = world(2, [1.0, 1.0, 1.0], each=3)
    found, prompts = crossfit.ceiling(rows(made))
    # The two others agree: (2 + 1/2) / (2 + 3/2) for the answer given.
    assert found.loss == pytest.approx(np.full(6, -math.log(2.5 / 3.5)))
    assert found.right.tolist() == [1.0] * 6
    assert len(prompts) == 6
    alone, none = crossfit.ceiling(rows(world(5, [1.0], each=1)))
    assert (len(alone.loss), none) == (0, ())


def test_bootstrap_intervals_cover_the_truth():
    """Data from the model itself, three votes per prompt; 24 sets, each with two parameters."""
    true_scale, true_side, tie = 2.0, 0.4, math.log(0.4)
    hit = total = 0
    for seed in range(24):
        draw = np.random.default_rng(seed)
        made = world(60, [1.0, 1.0, 1.0], each=3, seed=seed)
        held, given = model(made), rows(made)
        eta = given.x @ (true_scale * held.direction) + true_side
        weights = np.exp(np.stack([eta / 2, np.full_like(eta, tie), -eta / 2], 1))
        picked = draw.random((len(eta), 1)) > (weights / weights.sum(1, keepdims=True)).cumsum(1)
        given = replace(given, answers=1 - picked.sum(1))
        found = crossfit.bootstrapped(given, held, draws=50, seed=seed)
        for place, truth in ((0, true_scale), (-3, true_side)):
            low, high = np.quantile(found[:, place], [0.025, 0.975])
            hit, total = hit + (low <= truth <= high), total + 1
    # Nominal 95 % of 48; a percentile interval of 50 draws falls a little short of it.
    assert 0.84 <= hit / total <= 1.0


def test_same_seed_same_bytes():
    made = world(40, [0.8], each=1)
    one, two = (crossfit.bootstrapped(rows(made), model(made), draws=5, seed=7) for _ in range(2))
    assert one.tobytes() == two.tobytes()
    other = crossfit.bootstrapped(rows(made), model(made), draws=5, seed=8)
    assert one.tobytes() != other.tobytes()

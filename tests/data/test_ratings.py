"""Ratings of generators: three models by hand, by other implementations, and under resampling."""

from __future__ import annotations

import evalica
import numpy as np
import pytest
from scipy.optimize import minimize

from data.bradley_terry import MODELS, PRIOR_SD, fit, tie_between_equals
from data.ratings import Game, games, ratings

from .ballot_box import pair, vote

CODES = ("one", "tie", "other")


def chances(model, d, tie):
    if model == "davidson":
        each = np.exp([d / 2, tie, -d / 2])
        return each / each.sum()
    if model == "rao-kupper":
        won, lost = 1 / (1 + np.exp(tie - d)), 1 / (1 + np.exp(tie + d))
        return np.array([won, 1 - won - lost, lost])
    won = 1 / (1 + np.exp(-d))
    return np.array([won, np.sqrt(won * (1 - won)), 1 - won])  # a tie is half of each


def played(strengths, count, *, tie=-0.36, model="davidson", seed=0, prompts=None):
    """Simulated games of items `0`, `1`, ... with these strengths."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        one, other = rng.choice(len(strengths), 2, replace=False)
        code = rng.choice(3, p=chances(model, strengths[one] - strengths[other], tie))
        prompt = str(number if prompts is None else number % prompts)
        found.append(Game(prompt=prompt, one=str(one), other=str(other), outcome=CODES[code]))
    return found


def counted(found, items):
    edges = np.array([(i, j) for i in range(items) for j in range(i + 1, items)])
    place = {tuple(edge): at for at, edge in enumerate(edges.tolist())}
    counts = np.zeros((1, len(edges), 3))
    for game in found:
        one, other, code = int(game.one), int(game.other), CODES.index(game.outcome)
        if one > other:
            one, other, code = other, one, 2 - code
        counts[0, place[one, other], code] += 1
    return edges, counts


@pytest.mark.parametrize("model", MODELS)
def test_two_items_by_hand(model):
    # 30 wins, 20 ties, 10 losses, and (nearly) no prior.
    edges, counts = np.array([[0, 1]]), np.array([[[30.0, 20, 10]]])
    strengths, tie = fit(edges, counts, 2, model, prior_sd=1e6)
    d = strengths[0, 0] - strengths[0, 1]
    if model == "half-wins":  # odds (30 + 10) : (10 + 10) = 2
        assert d == pytest.approx(np.log(2), abs=1e-9)
    else:  # two free numbers fit three shares up to the one made-up vote between equals
        expected = np.array([30, 20, 10]) / 60
        assert chances(model, d, tie[0]) == pytest.approx(expected, abs=0.004)
    assert strengths.sum() == pytest.approx(0, abs=1e-12)


def test_davidson_closed_form_without_the_made_up_vote():
    # Davidson: e^d = wins / losses = 9, v = ties / sqrt(wins * losses) = 20 / 30; so many votes
    # drown the prior and the made-up one.
    edges, counts = np.array([[0, 1]]), np.array([[[90.0, 20, 10]]]) * 1e8
    strengths, tie = fit(edges, counts, 2, "davidson")
    assert strengths[0, 0] - strengths[0, 1] == pytest.approx(np.log(9), abs=1e-7)
    assert np.exp(tie[0]) == pytest.approx(20 / 30, abs=1e-7)
    assert tie_between_equals(float(tie[0]), "davidson") == pytest.approx(0.25, abs=1e-7)


def test_a_tie_between_equals_by_hand():
    assert tie_between_equals(0.0, "davidson") == pytest.approx(1 / 3)  # 1 / (1 + 1 + 1)
    # t = 2: each wins with 1 / (1 + 2), which leaves a third for the tie.
    assert tie_between_equals(float(np.log(2)), "rao-kupper") == pytest.approx(1 / 3)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_fit_is_where_the_gradient_vanishes(model, seed):
    """The penalised likelihood, written from the formulas, has no slope left at the fit."""
    edges, counts = counted(played([-1.0, 0.0, 0.4, 0.9], 200, seed=seed), 4)
    strengths, tie = fit(edges, counts, 4, model)

    def loss(x):
        total = (x[:4] ** 2).sum() / (2 * PRIOR_SD**2)
        for (one, other), row in zip(edges, counts[0], strict=True):
            total -= row @ np.log(chances(model, x[one] - x[other], x[4]))
        if model != "half-wins":
            total -= np.log(chances(model, 0.0, x[4])).mean()
        return total

    found = np.append(strengths[0], tie[0])
    for at in range(5):
        step = np.eye(5)[at] * 1e-4
        slope = (loss(found + step) - loss(found - step)) / 2e-4
        assert abs(slope) < 2e-5 or (model == "half-wins" and at == 4)
    best = minimize(loss, np.zeros(5) + 0.3 * (np.arange(5) == 4), method="Nelder-Mead",
                    options={"maxiter": 200}).fun  # fmt: skip
    assert loss(found) <= best + 1e-9


def newton_second(edges, counts, items, model, sd):
    """The same maximum by SciPy with a numerical-free Hessian: trust region to full precision."""
    from scipy.optimize import root

    def gradient(x):
        slope = -x[:items] / sd**2
        by_tie = 0.0

        def add(row, d):
            n = row.sum()
            p = chances(model, d, x[items])
            if model == "davidson":
                return (row[0] - row[2] - n * (p[0] - p[2])) / 2, row[1] - n * p[1]
            if model == "half-wins":
                won, lost = row[0] + row[1] / 2, row[2] + row[1] / 2
                return won * (1 - p[0]) - lost * p[0], 0.0
            t = np.exp(x[items])
            up, down = t * np.exp(-d) / (1 + t * np.exp(-d)), t * np.exp(d) / (1 + t * np.exp(d))
            by_d = (row[0] + row[1]) * up - (row[2] + row[1]) * down
            by_t = (
                row[1] * 2 * t**2 / (t**2 - 1) - (row[0] + row[1]) * up - (row[2] + row[1]) * down
            )
            return by_d, by_t

        for (one, other), row in zip(edges, counts, strict=True):
            by_d, by_t = add(row, x[one] - x[other])
            slope[one] += by_d
            slope[other] -= by_d
            by_tie += by_t
        made_up = add(np.full(3, 1 / 3), 0.0)[1]
        return np.append(slope, by_tie + made_up if model != "half-wins" else x[items] - 1)

    start = np.append(np.zeros(items), 0.5)
    return root(gradient, start, method="hybr", options={"xtol": 1e-13}).x


@pytest.mark.parametrize("model", MODELS)
def test_the_fit_agrees_with_a_second_implementation(model):
    edges, counts = counted(played([-1.0, 0.0, 0.4, 0.9], 200, seed=3), 4)
    strengths, tie = fit(edges, counts, 4, model)
    expected = newton_second(edges, counts[0], 4, model, PRIOR_SD)
    assert strengths[0] == pytest.approx(expected[:4], abs=1e-9)
    if model != "half-wins":
        assert tie[0] == pytest.approx(expected[4], abs=1e-9)


def test_half_wins_agree_with_evalica_where_the_prior_is_switched_off():
    found = played([-0.8, 0.1, 0.7], 300, seed=5)
    edges, counts = counted(found, 3)
    mine = fit(edges, counts, 3, "half-wins", prior_sd=1e7)[0][0]
    winners = {
        "one": evalica.Winner.X,
        "other": evalica.Winner.Y,
        "tie": evalica.Winner.Draw,
    }
    theirs = evalica.bradley_terry(
        [game.one for game in found],
        [game.other for game in found],
        [winners[game.outcome] for game in found],
        tolerance=1e-14,
        limit=10_000,
    ).scores
    logs = np.log([theirs[str(item)] for item in range(3)])
    assert mine == pytest.approx(logs - logs.mean(), abs=1e-9)


def test_many_tables_are_solved_as_each_alone():
    edges, counts = counted(played([0.0, 0.5, -0.5], 90), 3)
    rng = np.random.default_rng(0)
    many = np.concatenate([counts, rng.poisson(counts.repeat(5, 0)), np.zeros_like(counts)])
    for model in MODELS:
        together, ties = fit(edges, many, 3, model)
        for at in range(len(many)):
            alone, tie = fit(edges, many[at : at + 1], 3, model)
            assert together[at] == pytest.approx(alone[0], abs=1e-9)
            assert ties[at] == pytest.approx(tie[0], abs=1e-9)
        assert together[-1] == pytest.approx(np.zeros(3))  # no votes: the prior alone


def test_who_won_everything_gets_a_finite_rating():
    edges, counts = np.array([[0, 1]]), np.array([[[5.0, 0, 0]]])
    for model in MODELS:
        strengths, _ = fit(edges, counts, 2, model)
        assert 0.5 < strengths[0, 0] < 4


def test_names_and_order_do_not_matter():
    found = played([0.0, 1.0, -1.0], 120, seed=2)
    turned = [
        Game(prompt=g.prompt, one=g.other, other=g.one,
             outcome={"one": "other", "other": "one", "tie": "tie"}[g.outcome])
        for g in reversed(found)
    ]  # fmt: skip
    assert ratings(found, seed=1) == ratings(turned, seed=1)


def test_records_parts_and_few_votes():
    found = ratings(
        [
            Game(prompt="p", one="x", other="y", outcome="one"),
            Game(prompt="q", one="y", other="x", outcome="tie"),
            Game(prompt="r", one="u", other="v", outcome="other"),
        ],
        seed=0,
    )
    record = {one.item: (one.wins, one.ties, one.losses) for one in found.items}
    assert record == {"x": (1, 1, 0), "y": (0, 1, 1), "u": (0, 0, 1), "v": (1, 0, 0)}
    assert found.parts == (("u", "v"), ("x", "y"))
    assert found.items[0].strengths["davidson"].told() == "n=1: too few"
    assert found.ties == {}
    nobody = ratings([], seed=0)
    assert (nobody.items, nobody.parts, nobody.games) == ((), (), 0)


def test_games_leave_out_checks_skips_and_one_items_own_clips():
    plain, same = pair("g"), pair("h")
    gold = pair("g", strategy="gold:frozen")
    item = {plain.a: "x", plain.b: "y", same.a: "x", same.b: "x"}
    votes = [
        vote(plain, "1", "a"),
        vote(plain, "2", "b", name="old"),
        vote(plain, "2", "tie", revises="old"),
        vote(plain, "3", "skip"),
        vote(gold, "1", "a"),
        vote(same, "1", "a"),
    ]
    found, within = games(votes, {one.id: one for one in (plain, same, gold)}, item)
    assert [(g.one, g.other, g.outcome) for g in found] == [("x", "y", "one"), ("x", "y", "tie")]
    assert within == 1
    lost, _ = games([vote(plain, "1", "a")], {plain.id: plain}, {plain.a: "x"})
    assert lost[0].other == "(not known)"


def test_the_intervals_hold_the_truth():
    truth = np.array([-0.6, 0.0, 0.6])
    held = np.zeros(3)
    for seed in range(30):
        found = ratings(played(truth, 240, seed=100 + seed, prompts=60), seed=seed, draws=250)
        for one in found.items:
            rated = one.strengths["davidson"]
            held[int(one.item)] += rated.low <= truth[int(one.item)] <= rated.high
    assert (held / 30 >= 0.83).all()
    assert 0.88 <= held.mean() / 30 <= 0.995

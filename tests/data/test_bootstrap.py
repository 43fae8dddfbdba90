"""Clustered intervals: by hand, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from data.bootstrap import (
    GROUPS,
    decimals,
    generator,
    interval,
    mean,
    per_cluster,
    resampled,
    share,
    wilson_bounds,
)


def test_sums_per_cluster_by_hand():
    sums = per_cluster(["q", "p", "q"], np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]]))
    assert sums.tolist() == [[2, 20], [5, 50]]


def test_a_share_is_hits_over_all_whatever_the_clusters():
    prompts = [str(i % 6) for i in range(12)]
    hits = np.array([1, 1, 1, 0, 1, 0, 1, 0, 1, 0, 0.5, 0])
    found = share(prompts, hits, generator(0, "test"))
    assert found.value == pytest.approx(6.5 / 12)
    assert (found.n, found.clusters) == (12, 6)
    assert 0 <= found.low < found.value < found.high <= 1
    assert share(prompts, hits, generator(0, "test")) == found
    assert share(prompts, hits, generator(1, "test")) != found


def test_too_few_say_so_instead_of_a_number():
    few = share(["p"] * 3, np.ones(3), generator(0, "x"))
    assert (few.value, few.low, few.told()) == (None, None, "n=3: too few")
    one_prompt = share(["p"] * 30, np.ones(30), generator(0, "x"))
    assert one_prompt.told() == "1 prompt: too few for an interval"


def test_unanimous_clusters_get_wilsons_interval_on_their_number():
    found = share([str(i // 2) for i in range(20)], np.ones(20), generator(0, "x"))
    assert (found.value, found.high) == (1.0, 1.0)
    # Wilson for 10 of 10: low = 1 / (1 + z^2 / 10) = 1 / 1.38415 = 0.72247.
    assert found.low == pytest.approx(0.72247, abs=1e-5)
    still = mean([str(i) for i in range(12)], np.zeros(12), generator(0, "x"))
    assert (still.value, still.low, still.high) == (0, 0, 0)


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (3, 11), (11, 11), (80, 123)])
def test_wilson_agrees_with_statsmodels(successes, n):
    expected = proportion_confint(successes, n, method="wilson")
    assert wilson_bounds(successes, n) == pytest.approx(expected, abs=1e-9)


def test_the_levels_are_widened_as_student_and_n_minus_one_ask():
    values = np.linspace(0, 1, 100_001)
    low, high = interval(values, 10)
    # sqrt(10 / 9) * t(0.025, 9 df) = 1.05409 * -2.26216 = -2.38453; Phi of it = 0.008551.
    assert low == pytest.approx(stats.norm.cdf(np.sqrt(10 / 9) * stats.t.ppf(0.025, 9)), abs=1e-5)
    assert (low, high) == pytest.approx((0.008551, 0.991449), abs=1e-5)


def test_every_draw_takes_as_many_clusters_as_there_are():
    sums = np.stack([np.arange(7.0), np.ones(7)], 1)
    drawn = resampled(sums, generator(0, "x"), draws=500)
    assert (drawn[:, 1] == 7).all()
    assert drawn[:, 0].mean() == pytest.approx(21, abs=1.0)


def test_many_clusters_are_added_up_in_groups_and_the_width_stays():
    rng = np.random.default_rng(0)
    hits = rng.random(3 * GROUPS) < 0.7
    found = share(np.arange(len(hits)), hits, generator(0, "x"))
    width = 2 * 1.96 * np.sqrt(0.7 * 0.3 / len(hits))
    assert found.high - found.low == pytest.approx(width, rel=0.12)


@pytest.mark.parametrize("clusters", [8, 30])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(clusters):
    rng = np.random.default_rng(clusters)
    held = 0
    for trial in range(400):
        rate = rng.beta(3, 2, clusters).repeat(4)  # mean 0.6, votes of a prompt go together
        hits = rng.random(4 * clusters) < rate
        found = share(np.arange(clusters).repeat(4), hits, generator(trial, "coverage"))
        held += found.low <= 0.6 <= found.high
    assert 0.92 <= held / 400 <= 0.985


def test_no_minus_before_zero():
    assert (decimals(-0.001), decimals(-0.126)) == ("0.00", "-0.13")

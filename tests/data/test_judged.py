"""Agreement with OmniScore: without ties, with ties and their threshold, and by margin."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.judged import Verdicts, best_threshold, by_margin, verdicts, with_ties, without_ties

from .ballot_box import pair, vote


def columns(margin, said, prompt=None, opinion=None) -> Verdicts:
    n = len(margin)
    return Verdicts(
        prompt=np.arange(n) if prompt is None else np.array(prompt),
        margin=np.array(margin, dtype=float),
        said=np.array(said, dtype=np.int64),
        opinion=np.array([m > 0 for m in margin] if opinion is None else opinion, dtype=bool),
    )


def test_votes_become_verdicts():
    scored, equal = pair("p"), pair("e", best=None, margin=0.0)
    unscored = pair("u", best=None, margin=None)
    votes = [
        vote(scored, "1", "best"),
        vote(scored, "2", "worst"),
        vote(scored, "3", "tie"),
        vote(scored, "4", "skip"),
        vote(scored, "5", "best", unusable=True),
        vote(equal, "6", "a"),
        vote(equal, "7", "tie"),
        vote(unscored, "8", "a"),
    ]
    found = verdicts(votes, {one.id: one for one in (scored, equal, unscored)})
    assert found.said.tolist() == [1, -1, 0, 1, 0]
    assert found.opinion.tolist() == [True, True, True, False, False]
    assert found.margin.tolist() == [0.1, 0.1, 0.1, 0.0, 0.0]
    assert found.prompt.tolist() == [1, 1, 1, 0, 0]  # prompts e, p, u in order


def test_the_threshold_by_hand():
    # Margins 1..6, said tie tie side tie side against. Right with the first i margins as ties:
    # i=0: 2 (the sides); 1: 3; 2: 4; 3: 3; 4: 4; 5: 3; 6: 3. The smallest best is two: margin 2.
    given = columns([1, 2, 3, 4, 5, 6], [0, 0, 1, 0, 1, -1])
    assert best_threshold(given) == 2.0
    # Without any tie in the votes nothing is called a tie, and equal totals still are.
    assert best_threshold(columns([1, 2], [1, 1])) == 0.0
    assert best_threshold(columns([0, 2], [1, 1])) == 0.0
    # Equal margins fall together: calling only one of the two threes a tie is not possible.
    assert best_threshold(columns([3, 3, 5], [0, 1, 1])) == 0.0


@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from([-1, 0, 1])), min_size=1, max_size=25))
def test_the_threshold_agrees_with_trying_every_one(rows):
    margin, said = [m / 4 for m, _ in rows], [s for _, s in rows]

    def right(threshold):
        return sum(
            s == 0 if m <= threshold else s > 0 and m > 0 for m, s in zip(margin, said, strict=True)
        )

    tried = sorted({0.0, *margin})
    best = max(right(one) for one in tried)
    found = best_threshold(columns(margin, said))
    assert right(found) == best
    assert found == min(one for one in tried if right(one) == best)


def test_with_ties_is_honest_about_what_was_fitted():
    rng = np.random.default_rng(0)
    margin = rng.random(600)
    said = np.where(margin < 0.3, 0, np.where(rng.random(600) < 0.8, 1, -1))
    found = with_ties(columns(margin, said, prompt=np.arange(600) // 3), seed=0, what="x")
    assert found.threshold == pytest.approx(0.3, abs=0.02)
    assert found.ties == pytest.approx((said == 0).mean())
    assert found.never == pytest.approx((said == 1).mean())
    assert found.fitted == pytest.approx(0.3 + 0.7 * 0.8, abs=0.05)
    assert found.never < found.share.value <= found.fitted
    assert found.share.low < found.share.value < found.share.high


def test_prompts_that_nobody_voted_on_change_nothing():
    # Dealing folds over all prompts could put every one with votes into a single fold.
    margin, said = np.arange(40) / 40, np.where(np.arange(40) < 12, 0, 1)
    few = with_ties(columns(margin, said, prompt=np.arange(40) % 8), seed=0, what="x")
    among_many = with_ties(columns(margin, said, prompt=np.arange(40) % 8 * 97), seed=0, what="x")
    assert few == among_many


def test_noise_gains_nothing_from_the_fit():
    # Ties have nothing to do with the margin: nobody can be right more often than in one of three.
    rng = np.random.default_rng(1)
    fits = [
        with_ties(columns(rng.random(60), rng.choice([-1, 0, 1], 60)), seed=seed, what="x")
        for seed in range(60)
    ]
    assert np.mean([one.fitted for one in fits]) > 0.39
    assert np.mean([one.share.value for one in fits]) == pytest.approx(1 / 3, abs=0.03)


def test_without_ties_counts_sides_only():
    given = columns([1] * 20 + [0] * 3, [1] * 12 + [-1] * 4 + [0] * 4 + [1, 1, 0])
    found = without_ties(given, seed=0, what="x")
    assert (found.value, found.n) == (12 / 16, 16)
    assert without_ties(columns([], []), seed=0, what="x").told() == "n=0: too few"
    assert with_ties(columns([], []), seed=0, what="x").share.told() == "n=0: too few"


def test_bins_hold_equally_many_and_every_vote_once():
    margin = np.arange(1, 101) / 100
    said = np.where(np.arange(100) % 10 < np.arange(100) // 10, 1, -1)
    bins = by_margin(columns(margin, said), seed=0)
    assert [one.share.n for one in bins] == [20] * 5
    assert (bins[0].low, bins[-1].high) == (0.01, 1.0)
    assert all(a.high < b.low for a, b in itertools.pairwise(bins))
    # Tens 0 and 1 agree 0 and 1 times of 10, tens 8 and 9 agree 8 and 9 times of 10.
    assert (bins[0].share.value, bins[4].share.value) == (1 / 20, 17 / 20)
    assert by_margin(columns([], []), seed=0) == ()

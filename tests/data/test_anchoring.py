"""The pull of a score that was seen: two arms compared, and one person before and after."""

from __future__ import annotations

import numpy as np
import pytest

from data.agreement import exposures
from data.anchoring import anchoring, reveal
from data.judged import verdicts

from .ballot_box import pair, vote


def arms(blind, shown, *, prompts, seed):
    """Verdicts of simulated votes with these chances of taking OmniScore's side, per arm."""
    rng = np.random.default_rng(seed)
    about = [pair(f"q{seed}-{i}") for i in range(prompts)]
    votes = {"blind": [], "shown": []}
    for one in about:
        taste = rng.normal(0, 0.1)  # the votes of one prompt go together
        for i in range(6):
            arm, chance = ("blind", blind) if i % 2 else ("shown", shown)
            said = "best" if rng.random() < chance + taste else "worst"
            votes[arm].append(vote(one, f"w{i}", said, exposure=arm))
    known = {one.id: one for one in about}
    return verdicts(votes["blind"], known), verdicts(votes["shown"], known)


def test_the_difference_by_hand():
    about = [pair(f"h{i}") for i in range(10)]
    known = {one.id: one for one in about}
    blind = [vote(one, "x", "best" if i < 6 else "worst") for i, one in enumerate(about)]
    shown = [vote(one, "y", "best" if i < 9 else "worst") for i, one in enumerate(about)]
    found = anchoring(verdicts(blind, known), verdicts(shown, known), seed=0)
    assert found.value == pytest.approx(9 / 10 - 6 / 10)
    assert (found.n, found.clusters) == (20, 10)
    assert found.low < 0.3 < found.high
    few = anchoring(verdicts(blind[:4], known), verdicts(shown, known), seed=0)
    assert few.told() == "n=4 blind votes: too few"


def test_it_holds_the_truth_and_nothing_is_found_where_nothing_is():
    held = [0, 0]
    for seed in range(120):
        for place, effect in enumerate((0.0, 0.15)):
            found = anchoring(*arms(0.6, 0.6 + effect, prompts=25, seed=seed), seed=seed)
            held[place] += found.low <= effect <= found.high
    assert all(0.90 <= one / 120 <= 1.0 for one in held)


def test_what_the_reveal_changed_by_hand():
    about = [pair(f"r{i}") for i in range(12)]
    moves = [("worst", "best"), ("tie", "best"), ("worst", "tie"), ("best", "worst")]
    moves += [("best", "best")] * 8
    votes = []
    for i, (one, (before, after)) in enumerate(zip(about, moves, strict=True)):
        votes.append(vote(one, "x", before, name=f"b{i}", exposure="blind"))
        votes.append(vote(one, "x", after, revises=f"b{i}", exposure="shown"))
    found = reveal(exposures(votes), {one.id: one for one in about}, seed=0)
    assert (found.n, found.kept, found.towards, found.away) == (12, 8, 3, 1)
    assert found.changed.value == pytest.approx(4 / 12)
    # 1 + 1/2 + 1/2 towards, 1 away: 1 / 12 on balance.
    assert found.pull.value == pytest.approx(1 / 12)
    assert found.pull.low < 1 / 12 < found.pull.high


def test_blind_answers_without_a_reveal_and_unscored_pairs_say_nothing():
    scored, unscored = pair("s"), pair("u", best=None, margin=None)
    votes = [
        vote(scored, "x", "best", exposure="blind"),
        vote(unscored, "x", "a", name="first", exposure="blind"),
        vote(unscored, "x", "b", revises="first", exposure="shown"),
    ]
    found = reveal(exposures(votes), {one.id: one for one in (scored, unscored)}, seed=0)
    assert (found.n, found.pull.told()) == (0, "n=0: too few")

"""Scores and votes together: by hand, on any number of votes, against bad annotators."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from data import posterior
from data.calibration import Shares
from data.fitting import Model, Scored, comparisons
from data.labels import LABELS, human, left_out
from data.posterior import UNKNOWN, beliefs
from data.records import Pair, Vote

from .votes_world import KEYS, LITE, World, clip_scores, vote, world

A, B = "a" * 64, "b" * 64
PAIR = Pair(prompt="p", a=A, b=B, best=A, profile="lite", margin=0.1)
SCORES = [*clip_scores(A, [0.6] * len(KEYS)), *clip_scores(B, [0.4] * len(KEYS))]


def known(made: World, votes: list[Vote] | None = None) -> posterior.Beliefs:
    return beliefs(made.pairs, made.scores, made.votes if votes is None else votes, LITE)


def right(made: World, found: posterior.Beliefs) -> float:
    """Share of the pairs whose better clip is believed in."""
    sure = [
        found.pairs[pair.id].probability > 0.5
        if made.better[pair.id] == pair.a
        else found.pairs[pair.id].probability < 0.5
        for pair in made.pairs
    ]
    return float(np.mean(sure))


def test_one_vote_by_hand():
    # Nobody knows x: .63 right, .16 tie, .21 wrong, and .25 for each side where neither is better.
    # Before .4, .2, .4, then x says a: .252, .05, .084 over their sum .386.
    said = posterior.evidence([vote(PAIR, "x", A)], {PAIR.id: PAIR}, {"x": UNKNOWN}, 0.0)
    found = posterior.updated(Shares(0.4, 0.2, 0.4), said[PAIR.id])
    assert (found.a, found.tie, found.b) == pytest.approx(
        (0.252 / 0.386, 0.05 / 0.386, 0.084 / 0.386)
    )
    whole = beliefs([PAIR], [], [vote(PAIR, "x", A)], LITE).pairs[PAIR.id]
    assert whole.a == pytest.approx(found.a, abs=0.001)


def test_votes_add_their_log_odds():
    before = Shares(0.5, 0.1, 0.4)
    cast = [vote(PAIR, "x", A), vote(PAIR, "y", B), vote(PAIR, "z", B)]
    people = {
        "x": replace(UNKNOWN, right=0.8, tie=0.1, wrong=0.1),
        "y": replace(UNKNOWN, right=0.5, tie=0.2, wrong=0.3),
        "z": replace(UNKNOWN, right=0.4, tie=0.2, wrong=0.4),
    }
    after = posterior.updated(
        before, posterior.evidence(cast, {PAIR.id: PAIR}, people, 0.0)[PAIR.id]
    )
    grown = people["x"].log_odds("a") + people["y"].log_odds("b") + people["z"].log_odds("b")
    assert grown == pytest.approx(math.log(8) - math.log(5 / 3))
    assert math.log(after.a / after.b) == pytest.approx(math.log(5 / 4) + grown)


def test_a_tie_makes_neither_likelier_and_turns_nothing():
    before = Shares(0.6, 0.1, 0.3)
    cast = [vote(PAIR, "x", None)]
    after = posterior.updated(
        before, posterior.evidence(cast, {PAIR.id: PAIR}, {"x": UNKNOWN}, 0.0)[PAIR.id]
    )
    # .6 * .16, .1 * .5 and .3 * .16 over their sum .194.
    assert (after.a, after.tie, after.b) == pytest.approx(
        (0.096 / 0.194, 0.05 / 0.194, 0.048 / 0.194)
    )


def test_the_prior_is_unmixed_by_hand():
    # Truths .7, .1, .2 through the unknown person's table give these answers; back again.
    table = posterior.table(UNKNOWN)
    answers = np.array([0.7, 0.1, 0.2]) @ table
    found = posterior.truth(Shares(*answers.tolist()), table)
    spread = 0.01 + 0.97 * np.array([0.7, 0.1, 0.2])
    assert (found.a, found.tie, found.b) == pytest.approx(spread.tolist())
    # Surer than any truth could make the answers: as sure as a prior may be.
    certain = posterior.truth(Shares(0.97, 0.02, 0.01), table)
    assert certain.a == pytest.approx(0.98)


def test_no_votes_keep_the_default_at_the_cautious_scale():
    found = beliefs([PAIR], SCORES, [], LITE)
    # The only scored pair has the root mean square margin: 60 of 100 answers that take a side.
    shares = found.pairs[PAIR.id]
    assert shares.a / (shares.a + shares.b) == pytest.approx(0.6)
    assert found.calibrated == 0
    assert "Fewer than 50 answers" in posterior.basis([PAIR], SCORES, [], LITE)


def test_many_votes_end_near_the_people_whatever_the_score():
    cast = [vote(PAIR, f"w{i}", B) for i in range(12)] + [vote(PAIR, f"v{i}", A) for i in range(2)]
    found = beliefs([PAIR], SCORES, cast, LITE).pairs[PAIR.id]
    assert found.b > 0.99


def test_a_pairs_own_votes_have_no_part_in_its_prior():
    made = world(80, [0.8, 0.8], each=2)
    scored = Scored(made.scores, LITE)
    mine = made.pairs[0]

    def prior(votes: list[Vote]) -> dict[str, Shares]:
        given = comparisons(made.pairs, votes, scored, "blind")
        return posterior.priors(made.pairs, given, Model(LITE, scored.units(made.pairs)), scored, 0)

    turned = [
        replace(v, preferred=v.right if v.preferred == v.left else v.left)
        if v.pair == mine.id
        else v
        for v in made.votes
    ]
    assert prior(turned)[mine.id] == prior(made.votes)[mine.id]
    assert prior(turned) != prior(made.votes)


def test_unvoted_pairs_profit_from_votes_on_others():
    turned = [0.1, 0.15, 0.15, 0.15, -0.3, 0.1, 0.05]
    made = world(300, [0.85, 0.85, 0.85], each=2, weights=turned)
    voted = {pair.id for pair in made.pairs[:150]}
    found = known(made, [cast for cast in made.votes if cast.pair in voted])
    rest = World(made.pairs[150:], made.scores, [], made.better)
    default = right(rest, known(rest))
    assert right(rest, found) > default + 0.15
    assert right(rest, found) > 0.85


@pytest.mark.parametrize("bad", [0.5, "left"], ids=["at random", "always left"])
def test_one_simulated_annotator_who_says_nothing_costs_little(bad):
    good = [0.85, 0.85, 0.85]
    honest = world(200, good, each=3, noise=0.05, seed=2)
    spoiled = world(200, [*good, bad], each=4, noise=0.05, seed=2)
    found = known(spoiled)
    worth = {name: who.log_odds("a") for name, who in found.reliability.items()}
    assert abs(worth["w3"]) < 0.45
    assert min(worth[f"w{i}"] for i in range(3)) > 1.0
    assert right(spoiled, found) > right(honest, known(honest)) - 0.03


def test_posterior_is_righter_than_scores_and_than_votes():
    made = world(300, [0.75] * 4, each=2, weights=[0.2, 0.2, 0.2, 0.2, -0.1, 0.1, 0.0], ties=0.1)
    by_people = {label.pair: label.chosen for label in human(made.pairs, [], made.votes)}
    human_right = np.mean([by_people.get(pair) == clip for pair, clip in made.better.items()])
    auto_right = np.mean([pair.best == made.better[pair.id] for pair in made.pairs])
    assert right(made, known(made)) > max(human_right, auto_right) + 0.03


def test_following_by_hand():
    # 100 blind votes agree with the best 60 times, 100 shown ones 80 times: (.8 - .6) / (1 - .6).
    pairs = [replace(PAIR, prompt=f"p{i}", campaign=f"c{i}") for i in range(200)]
    cast = [
        vote(pair, "x", A if i % 100 < (60 if i < 100 else 80) else B,
             exposure="blind" if i < 100 else "shown")
        for i, pair in enumerate(pairs)
    ]  # fmt: skip
    assert posterior.following(pairs, cast) == pytest.approx(0.5)
    assert posterior.following(pairs, cast[:-1]) == 0.0


def test_a_seen_score_discounts_agreement_and_no_override():
    seen = {"x": replace(vote(PAIR, "x", A), exposure="shown"), "b": vote(PAIR, "x", A)}
    over = {"x": replace(vote(PAIR, "x", B), exposure="shown"), "b": vote(PAIR, "x", B)}

    def odds(cast: Vote) -> float:
        logs = posterior.evidence([cast], {PAIR.id: PAIR}, {"x": UNKNOWN}, 0.5)[PAIR.id]
        return float(logs[0] - logs[2])

    assert odds(seen["b"]) == pytest.approx(math.log(3))
    # Half follow: half of .63 and a half more, against half of .21 and a half more.
    assert odds(seen["x"]) == pytest.approx(math.log(0.815 / 0.605))
    assert odds(over["x"]) == pytest.approx(odds(over["b"])) == pytest.approx(-math.log(3))


def test_sides_names_and_order_change_nothing():
    made = world(60, [0.8, 0.8], each=2, ties=0.2)
    before = known(made).pairs
    turned = [replace(cast, left=cast.right, right=cast.left) for cast in made.votes]
    for votes in (turned, made.votes[::-1]):
        after = known(made, votes).pairs
        for pair in before:
            assert after[pair].a == pytest.approx(before[pair].a, abs=1e-9)


def test_labels_of_every_kind_of_pair():
    made = world(60, [0.9, 0.9], each=2)
    unscored = Pair(prompt="u", a=A, b=B)
    gold = replace(made.pairs[0], strategy="gold:frozen")
    silent = {made.pairs[1].id}
    bad = made.pairs[2].id
    votes = [
        replace(cast, unusable=cast.pair == bad) for cast in made.votes if cast.pair not in silent
    ]
    pairs = [*made.pairs, unscored, gold]
    labels = {label.pair: label for label in LABELS["posterior"](pairs, made.scores, votes)}
    assert left_out("posterior", pairs, made.scores, votes) == {
        "unusable": 1, "unscored": 1, "check": 1,
    }  # fmt: skip
    assert labels[made.pairs[1].id].evidence == ("lite",)
    assert len(labels[made.pairs[0].id].evidence) == 3
    assert all(0.5 < label.probability <= 1 for label in labels.values())
    assert {label.source for label in labels.values()} == {"posterior"}
    # Without any scores the people alone speak; a lone tie has no direction.
    tied = LABELS["posterior"]([unscored], [], [vote(unscored, "x", None)])
    said = LABELS["posterior"]([unscored], [], [vote(unscored, "x", B)])
    assert tied == []
    assert [label.chosen for label in said] == [B]

"""From votes to a calibration: by hand, recovered from simulation, unmoved by what is no fact."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from data.fitting import CAUTIOUS, Model, Scored, cautious, comparisons
from data.records import Pair, Vote

from .votes_world import DEFAULT, KEYS, LITE, World, clip_scores, vote, world

A, B, C, D = (letter * 64 for letter in "abcd")
PAIR, OTHER = Pair(prompt="p", a=A, b=B, best=A), Pair(prompt="q", a=C, b=D)
LOW, HIGH = [0.0] * len(KEYS), [1.0] * len(KEYS)


def model(made: World, **rest) -> Model:
    return Model(LITE, Scored(made.scores, LITE).units(made.pairs), **rest)


def rows(made: World, exposures="blind"):
    return comparisons(made.pairs, made.votes, Scored(made.scores, LITE), exposures)


def test_no_votes_give_the_default_at_the_cautious_scale_by_hand():
    # Totals differ by 0.6 in one pair and 0.8 in the other: rms sqrt((.36 + .64) / 2) = sqrt(.5).
    scores = [
        *clip_scores(A, LOW), *clip_scores(B, [0.6] * len(KEYS)),
        *clip_scores(C, LOW), *clip_scores(D, [0.8] * len(KEYS)),
    ]  # fmt: skip
    units = Scored(scores, LITE).units([PAIR, OTHER])
    assert units.margin == pytest.approx(math.sqrt(0.5))
    found = cautious(Model(LITE, units))
    assert found.scale == pytest.approx(math.log(0.6 / 0.4) / math.sqrt(0.5))
    assert list(found.weights.values()) == pytest.approx(DEFAULT.tolist())
    # One tie in five between equals: exp(tie) / (2 + exp(tie)) = 0.2.
    assert math.exp(found.tie) / (2 + math.exp(found.tie)) == pytest.approx(0.2)


def test_an_infinite_ridge_is_the_default_with_its_scale_fitted():
    made = world(120, [0.9], each=1)
    held = model(made)
    found = held.calibration(held.fit(rows(made)), rows(made))
    assert list(found.weights.values()) == pytest.approx(DEFAULT.tolist())
    assert found.scale > 3 * CAUTIOUS
    tight = replace(held, ridge=1e9)
    near = tight.calibration(tight.fit(rows(made)), rows(made))
    assert near.scale == pytest.approx(found.scale, rel=1e-4)


def test_weights_that_people_have_are_found_signs_included():
    wanted = np.array([0.1, 0.1, 0.1, 0.1, -0.3, 0.2, 0.1])
    made = world(1500, [0.95], each=1, weights=wanted, noise=0.05)
    free = model(made, ridge=1.0)
    found = free.calibration(free.fit(rows(made)), rows(made))
    assert list(found.weights.values()) == pytest.approx(wanted.tolist(), abs=0.05)


def test_a_dimension_that_never_differs_keeps_its_weight():
    made = world(100, [0.9], each=1)
    still = [score for score in made.scores if score.dimension != "imaging_quality"]
    still += [replace(s, value=0.5) for s in made.scores if s.dimension == "imaging_quality"]
    made = replace(made, scores=still)
    free = model(made, ridge=1.0)
    logits = free.logits(free.fit(rows(made)))
    total = free.fit(rows(made))[0] * free.direction
    assert logits[-1] == pytest.approx(total[-1])


def test_which_answers_enter():
    scores = [s for clip in (A, B) for s in clip_scores(clip, LOW if clip == A else HIGH)]
    blind = vote(PAIR, "x", A)
    cast = [
        blind,
        replace(vote(PAIR, "x2", B, exposure="shown"), annotator="x", revises=blind.id, time_ms=2),
        vote(PAIR, "y", B, left=B, exposure="shown"),
        replace(vote(PAIR, "z", None), outcome="skip"),
        vote(OTHER, "x", C),
    ]
    scored = Scored(scores, LITE)
    before = comparisons([PAIR, OTHER], cast, scored, "blind")
    assert before.votes == (blind.id,)
    assert before.answers.tolist() == [1]
    assert before.x.tolist() == [[-1.0] * len(KEYS)]
    after = comparisons([PAIR, OTHER], cast, scored, "all")
    kept = dict(zip(after.people, zip(after.answers, after.pull, strict=True), strict=True))
    # x changed to B, which stands right, while the best (A) stood left; y chose B on the left.
    assert kept == {"x": (-1, 1.0), "y": (1, -1.0)}
    gold = replace(PAIR, strategy="gold:frozen")
    assert not len(comparisons([gold], [replace(blind, pair=gold.id)], scored, "blind"))


def swapped(cast: Vote) -> Vote:
    return replace(cast, left=cast.right, right=cast.left)


def test_swapping_all_sides_turns_only_the_side_term():
    made = world(150, [0.8, "left"], each=1, ties=0.2)
    other = replace(made, votes=[swapped(cast) for cast in made.votes])
    free = model(made, ridge=3.0)
    one = free.calibration(free.fit(rows(made)), rows(made))
    two = free.calibration(free.fit(rows(other)), rows(other))
    assert two.side == pytest.approx(-one.side, abs=1e-10)
    assert one.side > 0.2
    assert two.scale == pytest.approx(one.scale, abs=1e-10)
    assert list(two.weights.values()) == pytest.approx(list(one.weights.values()), abs=1e-10)


def renamed(made: World) -> World:
    """Every clip under a name that turns the canonical order of its pair round."""
    new = {p.a: "f" * 32 + p.a[:32] for p in made.pairs} | {
        p.b: "0" * 32 + p.b[:32] for p in made.pairs
    }
    pairs = [
        replace(p, a=new[p.b], b=new[p.a], best=None if p.best is None else new[p.best])
        for p in made.pairs
    ]
    ids = {old.id: pair.id for old, pair in zip(made.pairs, pairs, strict=True)}
    votes = [
        replace(
            v, pair=ids[v.pair], left=new[v.left], right=new[v.right],
            preferred=None if v.preferred is None else new[v.preferred],
        )
        for v in made.votes
    ]  # fmt: skip
    scores = [replace(s, candidate=new[s.candidate]) for s in made.scores]
    better = {ids[pair]: new[clip] for pair, clip in made.better.items()}
    return World(pairs, scores, votes, better)


def test_names_of_clips_and_the_order_of_votes_change_nothing():
    made = world(80, [0.8], each=1, ties=0.2)
    free = model(made, ridge=3.0)
    found = free.fit(rows(made))
    assert model(renamed(made), ridge=3.0).fit(rows(renamed(made))).tolist() == found.tolist()
    back = replace(made, votes=made.votes[::-1], pairs=made.pairs[::-1])
    assert free.fit(rows(back)).tolist() == found.tolist()
    assert rows(back).digest == rows(made).digest


def test_seen_scores_have_a_pull_of_their_own():
    made = world(300, [0.5], each=1)
    best = {pair.id: pair.best for pair in made.pairs}
    follows = [
        replace(v, exposure="shown", preferred=best[v.pair]) if i % 2 else v
        for i, v in enumerate(made.votes)
    ]
    other = replace(made, votes=follows)
    held = model(other)
    found = held.calibration(held.fit(rows(other, "all")), rows(other, "all"))
    assert found.pull > 2
    blind = held.calibration(held.fit(rows(other)), rows(other))
    assert blind.pull == 0.0


def test_predictions_are_the_calibrations_where_much_is_known_and_nearer_to_even_where_little_is():
    made = world(600, [0.9], each=1)
    free, every = model(made, ridge=1.0), rows(made)
    found = free.fit(every)
    table, clips = free.calibration(found, every), Scored(made.scores, LITE)
    pairs = made.pairs[:40]
    x = np.array([clips.difference(pair.a, pair.b) for pair in pairs])
    margins = x @ np.array([table.weights[key] for key in KEYS])
    best = np.array([[(s := table.shares(margin)).a, s.tie, s.b] for margin in margins])
    assert free.predicted(found, every.where(np.zeros(600, dtype=bool)), x) == pytest.approx(best)
    much, little = (free.predicted(found, every.where(np.arange(600) < n), x) for n in (600, 20))
    assert much == pytest.approx(best, abs=0.02)
    swing = np.abs(little[:, 0] - little[:, 2]) - np.abs(much[:, 0] - much[:, 2])
    assert (swing < 0).all()

"""Seconds and shares per person, counted by hand on a dozen votes."""

from __future__ import annotations

import random

import polars as pl
import pytest

from data.decisions import Gold
from data.effort import answered, efforts, firsts, paces, standing
from data.progress import days, progress, tally
from data.records import Pair, Vote
from data.store.rows import to_table
from data.votes import first_answers, live_votes

A, B, C, D = (letter * 64 for letter in "abcd")
ONE = Pair(prompt="p" * 32, a=A, b=B, best=A, profile="lite", margin=0.1)
TWO = Pair(prompt="q" * 32, a=C, b=D, best=C, profile="lite", margin=0.2)
GOLD = Pair(prompt="p" * 32, a=A, b=C, strategy="gold:frozen")
AGAIN = Pair(prompt="p" * 32, a=A, b=B, best=A, strategy=f"repeat:{ONE.id}")
CLIPS = pl.DataFrame({"sha256": [A, B, C, D], "fps": [8.0] * 4, "frames": [16, 40, 16, 16]})


def vote(number: int, pair: Pair, who: str, preferred: str | None = None, **rest) -> Vote:
    outcome = rest.pop("outcome", "preference" if preferred else "tie")
    left, right = rest.pop("sides", (pair.a, pair.b))
    return Vote(
        id=f"v{number}", pair=pair.id, annotator=who, left=left, right=right, outcome=outcome,
        preferred=preferred, time_ms=number, **rest,
    )  # fmt: skip


def frames(votes: list[Vote], *pairs: Pair) -> tuple[pl.DataFrame, pl.DataFrame]:
    every = to_table("votes", votes), to_table("pairs", list(pairs))
    return pl.DataFrame(every[0]), pl.DataFrame(every[1])


def one(votes: list[Vote], gold: dict[str, Gold] | None = None):
    made = efforts(*frames(votes, ONE, TWO, GOLD, AGAIN), CLIPS, gold=gold or {})
    assert len(made) == 1
    return made[0]


def test_modes_have_their_own_seconds():
    votes = [
        vote(1, ONE, "ada", A, exposure="blind", seconds=10),
        vote(2, ONE, "ada", A, exposure="shown", seconds=2, revises="v1"),  # keep: reveal
        vote(3, TWO, "ada", C, exposure="shown", seconds=4),
        vote(4, TWO, "ada", D, exposure="shown", seconds=99, revises="v3"),  # an edit: no time
        vote(5, ONE, "bo", None, exposure="blind", seconds=20),
        vote(6, TWO, "bo", outcome="skip", exposure="blind", seconds=77),  # no answer
        vote(7, GOLD, "bo", A, exposure="blind", seconds=30),  # checks people, costs time too
    ]
    found = paces(answered(*frames(votes, ONE, TWO, GOLD)))
    blind = found["blind"]
    assert (blind.answers, blind.median) == (3, 20)
    assert blind.slow == pytest.approx(20 + 0.8 * 10)  # 0.9 of the way through 10, 20, 30
    assert (found["reveal"].answers, found["reveal"].median) == (1, 2)
    assert (found["shown"].answers, found["shown"].median) == (1, 4)


def test_a_mode_without_answers_has_no_seconds():
    found = paces(answered(*frames([vote(1, ONE, "ada", A)], ONE)))
    assert (found["blind"].answers, found["blind"].median, found["blind"].slow) == (0, None, None)


def test_answers_ties_unusable_and_skips_of_the_votes_that_stand():
    votes = [
        vote(1, ONE, "ada", A),
        vote(2, ONE, "ada", None, revises="v1"),
        vote(3, TWO, "ada", None, unusable=True),
        vote(4, AGAIN, "ada", None),  # a repeat: counted apart
    ]
    ada = one(votes)
    assert (ada.answers, ada.ties, ada.unusable, ada.skips) == (2, 1, 1, 0)
    assert ada.left.share is None
    assert (ada.repeats.share, ada.repeats.n) == (1.0, 1)  # a tie again


def test_left_share_is_of_the_answers_that_took_a_side():
    ada = one([vote(1, ONE, "ada", A), vote(2, TWO, "ada", C, sides=(D, C))])
    assert (ada.left.share, ada.left.n) == (0.5, 2)


def test_agreement_is_of_the_first_answer():
    votes = [
        vote(1, ONE, "ada", B, exposure="blind"),
        vote(2, ONE, "ada", A, exposure="shown", revises="v1"),  # changed to OmniScore's side
        vote(3, TWO, "ada", C, exposure="shown"),
    ]
    ada = one(votes)
    assert (ada.blind.share, ada.blind.n) == (0.0, 1)
    assert (ada.shown.share, ada.shown.n) == (1.0, 1)


def test_hasty_is_a_shown_confirmation_below_the_longer_clip():
    # clip B has 40 frames at 8 a second: 5 s; clips C and D have 2 s
    hasty = vote(1, ONE, "ada", A, seconds=4.9)
    slow = vote(2, TWO, "ada", C, seconds=4.9)
    override = vote(3, TWO, "bo", D, seconds=0.1)
    assert (one([hasty, slow]).hasty.share, one([hasty, slow]).hasty.n) == (0.5, 2)
    assert one([override]).hasty.n == 0
    assert one([vote(4, ONE, "cy", A, seconds=5.0)]).hasty.share == 0.0


def test_rubber_stamping_needs_more_than_a_few_votes():
    assert not one([vote(1, ONE, "ada", A, seconds=1)]).rubber_stamps  # 1 of 1: low end 0.21
    pairs = [Pair(prompt="p" * 32, a=A, b=B, best=A, campaign=f"c{n}") for n in range(4)]
    cast = [vote(n, pair, "ada", A, seconds=1) for n, pair in enumerate(pairs, start=1)]
    made = efforts(*frames(cast, *pairs), CLIPS, gold={})
    assert made[0].hasty.low == pytest.approx(0.5101, abs=1e-4)  # 4 of 4: 4 / (4 + 1.96 squared)
    assert made[0].rubber_stamps


def test_gold_answers_are_right_where_they_are_the_expected_ones():
    expected = {GOLD.id: Gold(pair=GOLD.id, expected=A, kind="frozen", use="gold")}
    assert one([vote(1, GOLD, "ada", A)], expected).gold.share == 1.0
    assert one([vote(1, GOLD, "ada", C)], expected).gold.share == 0.0
    tie = {GOLD.id: Gold(pair=GOLD.id, expected=None, kind="identical", use="gold")}
    assert one([vote(1, GOLD, "ada")], tie).gold.share == 1.0
    assert one([vote(1, GOLD, "ada", outcome="skip")], tie).gold.n == 0


def test_a_repeat_is_consistent_by_clip_not_by_side():
    first = vote(1, ONE, "ada", A)
    assert one([first, vote(2, AGAIN, "ada", A, sides=(B, A))]).repeats.share == 1.0
    assert one([first, vote(2, AGAIN, "ada", B, sides=(B, A))]).repeats.share == 0.0


def test_standing_and_first_answers_are_those_of_the_pure_functions():
    draw, cast = random.Random(3), []
    for number in range(400):
        mine = [old for old in cast[-40:] if draw.random() < 0.5]
        old = draw.choice(mine) if mine and draw.random() < 0.5 else None
        pair = next(p for p in (ONE, TWO) if p.id == old.pair) if old else draw.choice((ONE, TWO))
        who = old.annotator if old else f"person {draw.randrange(60)}"
        rest: dict = {"exposure": draw.choice(("blind", "shown")), "revises": old and old.id}
        if old and draw.random() < 0.3:
            cast.append(vote(number, pair, who, outcome="undo", **rest))
        else:
            cast.append(vote(number, pair, who, draw.choice((pair.a, pair.b, None)), **rest))
    rows = answered(*frames(cast, ONE, TWO))
    assert set(standing(rows)["id"]) == {one.id for one in live_votes(cast)}
    assert sorted(firsts(rows)["id"]) == sorted(one.id for one in first_answers(cast))


def test_progress_counts_people_per_pair():
    votes = [
        vote(1, ONE, "ada", A),
        vote(2, ONE, "bo", B),
        vote(3, TWO, "ada", C),
        vote(4, TWO, "bo", outcome="skip"),
        vote(5, GOLD, "ada", A),
    ]
    rows, pairs = answered(*frames(votes, ONE, TWO, GOLD)), frames(votes, ONE, TWO, GOLD)[1]
    (found,) = progress(rows, pairs, {"default": 2})
    assert (found.pairs, found.full, found.begun, found.split) == (2, 1, 1, 1)
    assert (found.answers, found.people) == (3, 2)
    (without,) = progress(rows, pairs, {"default": 2}, left_out={"bo"})
    assert (without.full, without.begun, without.split, without.people) == (0, 2, 0, 1)


def test_days_end_where_the_zone_says():
    late = 1_790_031_600_000  # 2026-09-21 23:00 in UTC, the 22nd in Berlin
    votes = [
        vote(late, ONE, "ada", A),
        vote(late + 1, TWO, "bo", C),
        vote(late + 2, TWO, "bo", outcome="undo", revises=f"v{late + 1}"),
        vote(late + 7_200_000, ONE, "bo", B),
    ]
    rows = answered(*frames(votes, ONE, TWO))
    assert days(rows) == [("2026-09-22", 1, 1), ("2026-09-21", 2, 2)]
    assert days(rows, zone="Europe/Berlin") == [("2026-09-22", 3, 2)]
    assert days(rows, newest=1) == [("2026-09-22", 1, 1)]


def test_a_pair_knows_whether_somebody_went_against_the_score():
    rows = answered(*frames([vote(1, ONE, "ada", B), vote(2, TWO, "ada", C)], ONE, TWO))
    against = dict(tally(rows).select("pair", "against").iter_rows())
    assert against == {ONE.id: True, TWO.id: False}

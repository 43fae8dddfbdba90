"""The ledger says what the votes say: against `live_votes`, loaded, added, or half and half."""

from __future__ import annotations

import random

import numpy as np
import pytest

from annotate.catalogue import Catalogue
from annotate.ledger import Ledger
from data.records import Pair, Vote
from data.store import Store, columns
from data.votes import live_votes
from tests.annotate.small import scene, vote

PEOPLE = ("anna", "bob", "cleo")
SCENES = [scene(number) for number in range(6)]
PAIRS: list[Pair] = [one[3] for one in SCENES]
ROW = {pair.id: row for row, pair in enumerate(PAIRS)}


def lively(seed: int, count: int) -> list[Vote]:
    """Votes, changes of mind and undos, as an app would store them."""
    draw, votes, live = random.Random(seed), [], {}
    for number in range(count):
        pair, who = draw.choice(PAIRS), draw.choice(PEOPLE)
        before = live.get((pair.id, who))
        answer = draw.choice(("a", "b", "tie", "skip"))
        rest = {"time_ms": 1000 + number // 3, "exposure": draw.choice(("blind", "shown"))}
        if before is not None and draw.random() < 0.7:
            rest["revises"] = before.id
            answer = draw.choice((answer, "undo"))
        votes.append(vote(pair, who, answer, **rest))
        live[pair.id, who] = None if answer == "undo" else votes[-1]
    return votes


@pytest.fixture
def stored(tmp_path):
    """A database with the pairs; yields its owner."""
    with Store.own(tmp_path / "prefs.duckdb") as owner:
        owner.add([record for one in SCENES for record in one])
        yield owner


def number_of(owner):
    return lambda vote_id: (owner.ask(columns.vote_number(vote_id))["seq"].to_list() or [None])[0]


def expected(votes: list[Vote]) -> dict[tuple[str, str], str]:
    return {(one.pair, one.annotator): one.id for one in live_votes(votes)}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("loaded", [0, 30, 60])
def test_what_stands_is_what_live_votes_says(stored, seed, loaded):
    votes = lively(seed, 60)
    for one in votes[:loaded]:
        stored.vote(one)
    ledger = Ledger(stored.ask(columns.ballots(0)), number_of=number_of(stored))
    for one in votes[loaded:]:
        receipt = stored.vote(one)
        pair = PAIRS[ROW[one.pair]]
        ledger.add(one, pair, ROW[one.pair], receipt.sequence)
    ids = {seq: one.id for seq, one in enumerate(votes, start=1)}
    found = {
        (pair.id, ledger.name(who)): ids[mark.seq]
        for pair in PAIRS
        for who, mark in ledger.standing(ROW[pair.id]).items()
    }
    live = live_votes(votes)
    assert found == expected(votes)
    assert len(ledger) == 60
    for who in PEOPLE:
        mine = ledger.standing_of(who)
        assert sorted(mine.rows) == sorted(ROW[one.pair] for one in live if one.annotator == who)
    tally = ledger.tally(len(PAIRS), uncounted=["bob"])
    for row, pair in enumerate(PAIRS):
        said = [one for one in live if one.pair == pair.id and one.annotator != "bob"]
        preferred = [one.preferred for one in said]
        ties = sum(one.outcome == "tie" for one in said)
        assert tally[row].tolist() == [preferred.count(pair.a), preferred.count(pair.b), ties]


def test_a_vote_is_taken_once_whichever_way_it_comes(stored):
    catalogue = Catalogue(stored)
    one, other = vote(PAIRS[0], "anna", time_ms=5), vote(PAIRS[0], "bob", "b", time_ms=6)
    heard = []
    catalogue.changes.append(heard.append)
    receipt = stored.vote(one)
    catalogue.stored(one, receipt.sequence)
    catalogue.stored(one, receipt.sequence)
    stored.vote(other)  # by another way: a command, another replica
    catalogue.votes_news(2)
    catalogue.votes_news(2)
    assert len(heard) == len(catalogue.ledger) == 2
    assert heard[1].before.keys() < heard[1].after.keys()
    assert catalogue.ledger.tally(6)[0].tolist() == [1, 1, 0]


def test_all_marks_of_a_person_are_kept_undone_ones_too(stored):
    catalogue = Catalogue(stored)
    first = vote(PAIRS[2], "anna", exposure="blind", time_ms=1)
    undo = vote(PAIRS[2], "anna", "undo", revises=first.id, time_ms=2)
    for one in (first, undo):
        catalogue.stored(one, stored.vote(one).sequence)
    again = Catalogue(stored)
    for ledger in (catalogue.ledger, again.ledger):
        marks = ledger.of(2, "anna")
        assert [(mark.answer, mark.shown, mark.revised) for mark in marks] == [
            (0, False, True),
            (4, True, False),
        ]
        assert ledger.stands(2, "anna") is None
        assert ledger.of(2, "nobody") == []
        assert np.array_equal(ledger.standing_of("nobody").rows, [])

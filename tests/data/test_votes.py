"""Which votes stand: worked by hand."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from data.records import Vote
from data.votes import first_answers, live_votes

LEFT, RIGHT = "a" * 64, "b" * 64


def vote(name: str, time_ms: int, **changes: Any) -> Vote:
    fields: dict[str, Any] = {
        "pair": "p",
        "annotator": "ann",
        "left": LEFT,
        "right": RIGHT,
        "outcome": "tie",
    }
    return Vote(id=name, time_ms=time_ms, **{**fields, **changes})


def standing(*votes: Vote) -> list[str]:
    return [one.id for one in live_votes(votes)]


def test_a_changed_mind_leaves_the_newer_vote() -> None:
    assert standing(vote("first", 1), vote("second", 2, revises="first")) == ["second"]


def test_an_undo_leaves_nothing() -> None:
    undo = vote("undo", 2, outcome="undo", revises="first")
    assert standing(vote("first", 1), undo) == []
    # first <- second <- undo: the undo drops second, second has dropped first, undo is no answer
    second = vote("second", 2, revises="first")
    undo = vote("undo", 3, outcome="undo", revises="second")
    assert standing(vote("first", 1), second, undo) == []


def test_a_vote_after_an_undo_stands() -> None:
    undo = vote("undo", 2, outcome="undo", revises="first")
    assert standing(vote("first", 1), undo, vote("again", 3)) == ["again"]


def test_a_skip_stands() -> None:
    assert standing(vote("skip", 1, outcome="skip")) == ["skip"]


def test_of_two_unrevised_votes_the_newest_stands() -> None:
    assert standing(vote("late", 9), vote("early", 3)) == ["late"]
    assert standing(vote("b", 5), vote("a", 5)) == ["b"]  # equal times: by id


def test_annotators_and_pairs_are_apart_and_come_oldest_first() -> None:
    votes = [vote("x", 3, annotator="two"), vote("y", 1), vote("z", 2, pair="q")]
    assert standing(*votes) == ["y", "z", "x"]


def test_the_first_answer_is_the_last_blind_one_of_what_stands() -> None:
    votes = [
        vote("guess", 1, exposure="blind"),
        vote("blind", 2, exposure="blind", revises="guess"),
        vote("reveal", 3, revises="blind"),
        vote("edit", 4, revises="reveal"),
        vote("other", 5, annotator="two"),
        vote("gone", 6, annotator="three", exposure="blind"),
        vote("undo", 7, annotator="three", exposure="blind", outcome="undo", revises="gone"),
    ]
    assert [one.id for one in first_answers(votes)] == ["blind", "other"]
    assert [one.id for one in live_votes(votes)] == ["edit", "other"]


@given(st.permutations(range(6)))
def test_the_order_of_the_rows_does_not_matter(order: list[int]) -> None:
    votes = [
        vote("a", 1),
        vote("b", 2, revises="a"),
        vote("c", 3, outcome="undo", revises="b"),
        vote("d", 4, annotator="two"),
        vote("e", 5, annotator="two"),
        vote("f", 6, pair="q", outcome="skip"),
    ]
    assert standing(*(votes[place] for place in order)) == ["e", "f"]

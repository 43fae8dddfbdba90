"""The narrow columns that the page keeps: the same answers from both engines."""

from __future__ import annotations

from dataclasses import replace

from data.records import Score
from data.store import Owner, columns

from .engines import both
from .material import CANDIDATES, PAIRS, PROMPT, SCORES, candidate, vote


@both
def test_rows_that_are_new_and_only_those(owner: Owner) -> None:
    names = ("id", "margin", "best")
    rows = owner.ask(columns.since("pairs", 12, names)).rows()
    assert rows == [(pair.id, pair.margin, pair.best) for pair in PAIRS[12:]]
    assert owner.ask(columns.since("prompts", 0, ("text",))).rows() == [(PROMPT.text,)]
    nothing = owner.ask(columns.since("pairs", 10**6, names))
    assert (nothing.rows(), nothing.columns) == ([], list(names))


@both
def test_scores_are_told_by_the_number_of_their_clip_and_newer_ones_come_later(
    owner: Owner,
) -> None:
    motion = [score for score in SCORES if score.dimension == "motion_smoothness"]
    again = [replace(motion[2], value=0.75), replace(motion[0], version="2", value=0.25)]
    owner.add([candidate(6), Score(candidate=candidate(6).sha256, scorer="other", version="7",
                                   dimension="x", value=-1.0), *again])  # fmt: skip
    versions = owner.ask(columns.score_versions(0)).rows()
    assert versions == [
        ("classic", "dynamic_degree", "1"),
        ("classic", "motion_smoothness", "2"),
        ("other", "x", "7"),
    ]
    assert owner.ask(columns.score_versions(len(SCORES) + 1)).rows() == [
        ("classic", "motion_smoothness", "2")
    ]
    first = owner.ask(columns.score_values("classic", "motion_smoothness", "1", 0)).rows()
    expected = [(number, 0.5) for number in range(1, len(CANDIDATES) + 1)]
    assert first == [*expected, (3, 0.75)]
    newer = owner.ask(columns.score_values("classic", "motion_smoothness", "1", len(SCORES)))
    assert newer.rows() == [(3, 0.75)]


@both
def test_votes_are_told_in_a_few_numbers(owner: Owner) -> None:
    one = vote(PAIRS[1], "ann", time_ms=5)  # prefers `b`, shown
    other = vote(PAIRS[0], "bob", outcome="tie", preferred=None, exposure="blind", time_ms=6)
    change = vote(PAIRS[1], "ann", preferred=PAIRS[1].a, revises=one.id, time_ms=7)
    skip = vote(PAIRS[2], "ann", outcome="skip", preferred=None, time_ms=8)
    undo = vote(PAIRS[2], "ann", outcome="undo", preferred=None, revises=skip.id, time_ms=9)
    for each in (one, other, change, skip, undo):
        owner.vote(each)
    a, b, tie, skipped, undone = range(5)
    rows = [
        (1, 2, "ann", 5, b, True, True),
        (2, 1, "bob", 6, tie, False, False),
        (3, 2, "ann", 7, a, True, False),
        (4, 3, "ann", 8, skipped, True, True),
        (5, 3, "ann", 9, undone, True, False),
    ]
    assert owner.ask(columns.ballots(0)).rows() == rows
    assert owner.ask(columns.ballots(3)).rows() == rows[3:]
    after = owner.ask(columns.votes_after(3))
    assert after["seq"].to_list() == [4, 5]
    assert after["id"].to_list() == [skip.id, undo.id]
    assert owner.ask(columns.vote_number(change.id)).rows() == [(3,)]
    assert owner.ask(columns.vote_number("nobody")).rows() == []

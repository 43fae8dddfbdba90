"""Labels from scores and from votes, worked by hand."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.labels import LABELS, auto, human, left_out
from data.omniscore import PROFILES, Profile
from data.records import Pair, Score, Vote

A, B, C, D = (letter * 64 for letter in "abcd")
PAIR = Pair(prompt="p", a=A, b=B, best=A, profile="lite", margin=0.1)


def vote(name: str, preferred: str | None, *, pair: Pair = PAIR, who: str = "", **rest) -> Vote:
    outcome = rest.pop("outcome", "tie" if preferred is None else "preference")
    rest.setdefault("time_ms", int(name))
    return Vote(
        id=name,
        pair=pair.id,
        annotator=who or name,
        left=pair.a,
        right=pair.b,
        outcome=outcome,
        preferred=preferred,
        **rest,
    )


def raw_scores(profile: Profile) -> list[Score]:
    """A at the low end of every dimension's range, B at the high end; C and D are not scored."""
    return [
        Score(candidate=clip, scorer=row.scorer, version="1", dimension=row.key, value=value)
        for row in profile.dimensions
        for clip, value in ((A, row.low), (B, row.high))
    ]


def test_one_vote_by_hand():
    # One for A: (1 + 1/2) / (1 + 1) = 3/4.
    (label,) = human([PAIR], [], [vote("1", A)])
    assert (label.chosen, label.rejected, label.probability) == (A, B, 0.75)
    assert (label.source, label.evidence, label.weight) == ("human", ("1",), 1.0)
    assert (label.pair, label.prompt) == (PAIR.id, "p")


def test_a_person_overrides_the_scorer():
    (label,) = human([PAIR], [], [vote("1", B)])
    (machine,) = auto([PAIR], [], [vote("1", B)])
    assert (label.chosen, label.rejected) == (B, A)
    assert (machine.chosen, machine.probability) == (A, 1.0)


def test_several_people_and_ties_by_hand():
    # Three for B, one for A, one tie: B's share is 3.5, so (3.5 + 0.5) / (5 + 1) = 2/3.
    votes = [vote("1", B), vote("2", B), vote("3", B), vote("4", A), vote("5", None)]
    (label,) = human([PAIR], [], votes)
    assert label.chosen == B
    assert label.probability == pytest.approx(4 / 6)
    assert label.evidence == ("1", "2", "3", "4", "5")


def test_skips_say_nothing_and_undone_or_revised_votes_are_gone():
    votes = [
        vote("1", A, who="x"),
        vote("2", B, who="x", revises="1"),
        vote("3", None, who="y", outcome="skip"),
        vote("4", A, who="z"),
        vote("5", None, who="z", outcome="undo", revises="4"),
    ]
    (label,) = human([PAIR], [], votes)
    assert (label.chosen, label.probability, label.evidence) == (B, 0.75, ("2",))


@pytest.mark.parametrize(
    ("votes", "reason"),
    [
        ([], "unvoted"),
        ([vote("1", None, outcome="skip")], "skipped"),
        ([vote("1", None)], "even"),
        ([vote("1", A), vote("2", B)], "even"),
        ([vote("1", A, unusable=True)], "unusable"),
        ([vote("1", A, unusable=True), vote("2", B)], "unusable"),
    ],
)
def test_pairs_that_leave_say_why(votes, reason):
    assert human([PAIR], [], votes) == []
    assert left_out("human", [PAIR], [], votes) == {reason: 1}


def test_an_unusable_pair_never_trains_whoever_labels_it():
    votes = [vote("1", A, unusable=True)]
    assert auto([PAIR], [], votes) == []
    assert left_out("auto", [PAIR], [], votes) == {"unusable": 1}
    outvoted = [*votes, vote("2", A), vote("3", A)]
    assert len(auto([PAIR], [], outvoted)) == len(human([PAIR], [], outvoted)) == 1


def test_auto_without_a_profile_reads_the_stored_opinion():
    unscored = Pair(prompt="p", a=A, b=C)
    (label,) = auto([unscored, PAIR], [], [])
    assert (label.chosen, label.rejected, label.evidence) == (A, B, ("lite",))
    assert left_out("auto", [unscored, PAIR], [], []) == {"unscored": 1}


def test_auto_with_a_profile_reads_the_raw_scores():
    profile = PROFILES["lite"]
    pair = Pair(prompt="p", a=A, b=B, best=A)
    scores = raw_scores(profile)
    (label,) = auto([pair], scores, [], profile=profile)
    assert (label.chosen, label.rejected, label.evidence) == (B, A, ("lite",))
    assert auto([Pair(prompt="p", a=C, b=D, best=C)], scores, [], profile=profile) == []


@given(
    st.lists(st.sampled_from(["a", "b", "tie", "skip"]), max_size=12),
    st.randoms(use_true_random=False),
)
def test_sides_and_order_do_not_matter(said, random):
    def cast(a: str, b: str) -> list[Vote]:
        preferred = {"a": a, "b": b, "tie": None, "skip": None}
        return [
            vote(
                str(i),
                preferred[answer],
                **({"outcome": "skip"} if answer == "skip" else {}),
            )
            for i, answer in enumerate(said)
        ]

    labels = human([PAIR], [], cast(A, B))
    turned = human([PAIR], [], cast(B, A))
    assert [x.probability for x in labels] == [x.probability for x in turned]
    assert [x.chosen for x in labels] == [x.rejected for x in turned]
    assert human([PAIR], [], random.sample(cast(A, B), len(said))) == labels
    counted = Counter(said)
    if counted["a"] > counted["b"]:
        assert labels[0].chosen == A
        assert 0.5 < labels[0].probability < 1


def test_labels_keep_the_order_of_the_pairs():
    other = Pair(prompt="q", a=C, b=D, best=D)
    votes = [vote("1", D, pair=other), vote("2", A)]
    for rule in LABELS.values():
        assert [x.pair for x in rule([PAIR, other], [], votes)] == [PAIR.id, other.id]
        assert [x.pair for x in rule([other, PAIR], [], votes)] == [other.id, PAIR.id]

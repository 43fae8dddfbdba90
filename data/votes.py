"""Which votes stand: an undo and a changed mind are newer rows, and nothing is ever overwritten.

Pure: no IO. Left out on purpose: whether a standing vote is usable for training (a skip stands too,
so that the pair is not asked again; `data.labels` ignores it).
"""

from __future__ import annotations

from collections.abc import Iterable

from data.records import Vote


def live_votes(votes: Iterable[Vote]) -> list[Vote]:
    """The votes that stand, oldest first by `Vote.time_order`.

    A vote that a newer one revises is dropped, and so are the `undo` rows themselves: after an undo
    nothing stands. Where one annotator has several unrevised votes about one pair (two tabs), the
    newest by `time_order` stands.
    """
    every = sorted(votes, key=lambda vote: vote.time_order)
    revised = {vote.revises for vote in every}
    standing = {
        (vote.pair, vote.annotator): vote
        for vote in every
        if vote.outcome != "undo" and vote.id not in revised
    }
    return sorted(standing.values(), key=lambda vote: vote.time_order)


def first_answers(votes: Iterable[Vote]) -> list[Vote]:
    """For each vote that stands, what was answered before any score was shown.

    That is the last blind vote of its chain of revisions; where there is none, the vote itself. In
    the order of `live_votes`.
    """
    every = list(votes)
    known = {vote.id: vote for vote in every}
    first = []
    for vote in live_votes(every):
        link: Vote | None = vote
        while link is not None and link.exposure != "blind":
            link = known.get(link.revises) if link.revises else None
        first.append(link or vote)
    return first

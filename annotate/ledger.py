"""The votes in memory, by pair: who has answered what, without reading the database again.

A vote revises votes of its own pair only, so one new vote touches one pair. The database stays the
truth: the ledger is rebuilt from it at the start and fed with what the store has acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from data.records import Vote
from data.votes import live_votes

_NOBODY: Mapping[str, Vote] = MappingProxyType({})


class Ledger:
    """Votes by id and by pair, and the one that stands per (pair, annotator)."""

    def __init__(self, votes: Iterable[Vote] = ()) -> None:
        self._votes: dict[str, Vote] = {}
        self._by_pair: dict[str, list[Vote]] = {}
        self._standing: dict[str, dict[str, Vote]] = {}
        self._answered: dict[str, int] = {}
        self.add(votes)

    def add(self, votes: Iterable[Vote]) -> None:
        """Take stored votes; one that is already here (same id) is not taken twice."""
        touched = set()
        for vote in votes:
            if vote.id not in self._votes:
                self._votes[vote.id] = vote
                self._by_pair.setdefault(vote.pair, []).append(vote)
                touched.add(vote.pair)
        for pair in touched:
            standing = live_votes(self._by_pair[pair])
            self._standing[pair] = {vote.annotator: vote for vote in standing}
            self._answered[pair] = sum(vote.outcome != "skip" for vote in standing)

    def __len__(self) -> int:
        """How many votes, standing or not."""
        return len(self._votes)

    def get(self, vote_id: str) -> Vote | None:
        """The vote of that id, standing or not."""
        return self._votes.get(vote_id)

    def standing(self, pair: str) -> Mapping[str, Vote]:
        """Annotator to the vote of theirs that stands on this pair (skips too)."""
        return self._standing.get(pair, _NOBODY)

    def answered(self, pair: str) -> int:
        """How many people have answered this pair; a skip is not an answer."""
        return self._answered.get(pair, 0)

    def history(self, pair: str, annotator: str) -> list[Vote]:
        """Everything that this annotator ever stored on this pair, undone votes too."""
        return [vote for vote in self._by_pair.get(pair, ()) if vote.annotator == annotator]

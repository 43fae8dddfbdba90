"""What one annotator has answered in one campaign, in the order in which they did.

An answer is a chain of votes: the first one, and whatever replaced it (a keep or change after the
reveal, an edit, at the end perhaps an undo). After an undo the pair may be answered anew: that is
another chain. Built from the stored votes, oldest first, and fed with each new one: nothing here is
decided. Pure: no IO, no clock.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from data.records import Vote

Kind = Literal["work", "gold", "repeat", "practice"]
_CHECKS: dict[str, Kind] = {"gold": "gold", "repeat": "repeat", "practice": "practice"}
UNDO_LAST = 10
"""How many answers back undo goes."""
SLIP = "slip"
"""`Vote.reason` of an undo that came before the score of a blind pair was sent."""


def kind_of(strategy: str) -> Kind:
    """What a pair of this strategy is: work that may become a label, or one that checks people."""
    return _CHECKS.get(strategy.partition(":")[0], "work")


@dataclass(slots=True)
class Chain:
    """One answer and everything that replaced it, oldest first; at least one vote."""

    kind: Kind
    votes: list[Vote] = field(default_factory=list)
    superseded: bool = False
    """The same pair was answered anew without an undo (two tabs)."""

    @property
    def pair(self) -> str:
        """`Pair.id`."""
        return self.votes[0].pair

    @property
    def standing(self) -> Vote | None:
        """The vote that stands; None after an undo."""
        newest = self.votes[-1]
        return None if self.superseded or newest.outcome == "undo" else newest


class Track:
    """The chains of one annotator, and what stands of them."""

    def __init__(self, votes: Iterable[Vote], kind: Callable[[str], Kind | None]) -> None:
        """`kind` says what a pair is by its id; None where it is not in this campaign."""
        self._kind = kind
        self._chains: dict[Kind, list[Chain]] = {"work": [], "gold": [], "repeat": []}
        self._chains["practice"] = []
        self._answers: list[Chain] = []
        self._by_vote: dict[str, Chain] = {}
        self._by_pair: dict[str, list[Chain]] = {}
        self._rows: list[Vote] = []
        self._standing: dict[Kind, int] = dict.fromkeys(self._chains, 0)
        for vote in votes:
            self.add(vote)

    def add(self, vote: Vote) -> None:
        """Take a stored vote; one that is here already is not taken twice."""
        kind = self._kind(vote.pair)
        if kind is None or vote.id in self._by_vote:
            return
        before = self.standing(vote.pair)
        chain = self._by_vote.get(vote.revises) if vote.revises else None
        (chain or self._begun(vote.pair, kind)).votes.append(vote)
        self._by_vote[vote.id] = chain or self._by_pair[vote.pair][-1]
        self._rows.append(vote)
        self._standing[kind] += (self.standing(vote.pair) is not None) - (before is not None)

    def _begun(self, pair: str, kind: Kind) -> Chain:
        chain = Chain(kind)
        for earlier in self.on(pair):
            earlier.superseded = True
        self._by_pair.setdefault(pair, []).append(chain)
        self._chains[kind].append(chain)
        if kind != "practice":
            self._answers.append(chain)
        return chain

    def kind(self, pair: str) -> Kind | None:
        """What a pair is; None where it is not in this campaign."""
        return self._kind(pair)

    @property
    def done(self) -> int:
        """How many answers stand, those in practice left out."""
        return sum(self._standing.values()) - self._standing["practice"]

    def done_of(self, kind: Kind) -> int:
        """How many answers to pairs of this kind stand."""
        return self._standing[kind]

    def chain(self, vote: str) -> Chain | None:
        """The chain that a vote belongs to, by its id."""
        return self._by_vote.get(vote)

    def on(self, pair: str) -> list[Chain]:
        """Every answer to this pair, oldest first, undone ones too."""
        return self._by_pair.get(pair, [])

    def standing(self, pair: str) -> Vote | None:
        """The vote that stands on this pair."""
        return next((vote for one in self.on(pair) if (vote := one.standing)), None)

    def chains(self, kind: Kind) -> list[Chain]:
        """Every answer to pairs of this kind, oldest first."""
        return self._chains[kind]

    def began(self) -> bool:
        """Whether any pair other than in practice was ever answered."""
        return bool(self._answers)

    def answered(self, most: int) -> list[Vote]:
        """The newest `most` answers that stand, oldest first; practice is not among them."""
        standing = (vote for chain in reversed(self._answers) if (vote := chain.standing))
        return list(itertools.islice(standing, most))[::-1]

    def recent(self, most: int) -> list[Chain]:
        """The newest `most` answers that stand, newest first, with what they replaced."""
        standing = (chain for chain in reversed(self._answers) if chain.standing)
        return list(itertools.islice(standing, most))

    def undoable(self) -> list[Vote]:
        """Of the last ten answers those that stand, newest first."""
        last = reversed(self._answers[-UNDO_LAST:])
        return [vote for chain in last if (vote := chain.standing)]

    def rows(self) -> Iterator[Vote]:
        """Every vote, newest first."""
        return reversed(self._rows)

    def saw_score(self, pair: str) -> bool:
        """Whether this person may have seen OmniScore's opinion about this pair.

        After a blind answer it is shown, unless the answer was taken back before it was sent.
        """
        return any(_saw(chain) for chain in self.on(pair))


def _saw(chain: Chain) -> bool:
    """A slip is an undo right after a blind answer; a skip shows nothing."""
    if any(vote.exposure == "shown" for vote in chain.votes):
        return True
    answered = any(vote.outcome in ("preference", "tie") for vote in chain.votes)
    newest = chain.votes[-1]
    return answered and not (newest.outcome == "undo" and newest.reason == SLIP)

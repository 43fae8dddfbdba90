"""What one annotator does: gets a pair, answers it, sees the score, keeps or changes, takes back.

Knows neither browser nor HTTP, and holds nothing of its own: a `Session` is made per request from
the name in the cookie. What is true lies in the store; what is shown follows from it by hashes.
"""

from __future__ import annotations

import dataclasses
import datetime
from dataclasses import dataclass

from annotate.catalogue import Catalogue
from annotate.exposure import drawn_blind, sides
from annotate.opinion import Opinion
from annotate.order import ORDERS
from annotate.protocol import Ballot, Progress, Protocol, Showing
from annotate.text import ERRORS
from data.errors import UserError
from data.records import Outcome, Pair, Vote
from data.store import Lease, Owner, Receipt

LEASE_SECONDS = 1800.0
"""How long a pair waits for its annotator before somebody else may get its last slot."""


@dataclass(frozen=True, slots=True)
class Session:
    """One annotator at work on one reading of the database."""

    owner: Owner
    catalogue: Catalogue
    protocol: Protocol
    annotator: str

    def next(self, first: str | None = None) -> Showing | None:
        """The pair to show: the one already held, else the first of the order with a free slot.

        Args:
            first: a pair to show before all others (the one whose answer was just taken back).
        """
        ranked = self._ranked()
        lease = self._claim(ranked)
        stale = lease is not None and lease.pair not in ranked  # held since another campaign
        if lease is not None and (stale or first not in (None, lease.pair)):
            self.owner.release(lease.id)
            lease = self._claim([first, *ranked] if first in ranked else ranked)
        return None if lease is None else self.show(self.catalogue.pairs[lease.pair])

    def upcoming(self, after: Showing) -> tuple[str, ...]:
        """The clips that probably come next, for the browser to load ahead of time."""
        shown = after.pair.id
        later = next((pair for pair in self._ranked() if pair != shown), None)
        return () if later is None else sides(self.catalogue.pairs[later], self.annotator)

    def show(self, pair: Pair) -> Showing:
        """`pair` as this annotator sees it; no opinion is in it while it is answered blind.

        A pair without any score is blind too: there was no score that could be seen.
        """
        left, right = sides(pair, self.annotator)
        opinion = self.catalogue.opinions(pair, left, right)
        scored = opinion is not None
        if self._blind(pair):
            opinion = None
        clips = self.catalogue.candidates
        return Showing(
            pair=pair,
            prompt=self.catalogue.prompts[pair.prompt].text,
            left=left,
            right=right,
            fps=max(clips[left].fps, clips[right].fps),
            exposure="blind" if opinion is None else "shown",
            opinion=opinion,
            scored=scored,
        )

    def vote(self, ballot: Ballot) -> Receipt:
        """Store an answer; comes back only when it is on the disk.

        Raises:
            UserError: the pair is not there, or the vote that this one revises is not one's own.
        """
        pair = self.catalogue.pairs.get(ballot.pair)
        if pair is None:
            raise UserError(ERRORS["pair"])
        if ballot.revises is not None:
            self._mine(ballot.revises)
        return self._store(self._as_vote(ballot, pair))

    def reveal(self, ballot: Ballot) -> Opinion | None:
        """What OmniScore says, once a blind pair is answered; None where nothing is due."""
        if ballot.exposure != "blind" or ballot.answer == "skip":
            return None
        pair = self.catalogue.pairs[ballot.pair]
        return self.catalogue.opinions(pair, *sides(pair, self.annotator))

    def undo(self, row_id: str, target: str) -> str:
        """Take back one's own standing vote by a newer row; returns the pair that it was about.

        Args:
            row_id: the browser's UUID for the new row; a retry with the same one changes nothing.
            target: the vote to take back.

        Raises:
            UserError: the vote is somebody else's, or does not stand any more.
        """
        taken = self._mine(target)
        standing = self.catalogue.ledger.standing(taken.pair).get(self.annotator)
        if standing != taken and self.catalogue.ledger.get(row_id) is None:
            raise UserError(ERRORS["undo_gone"])
        fresh = {"strength": None, "unusable": False, "answers": {}, "reason": "", "watched": {}}
        row = dataclasses.replace(
            taken, id=row_id, outcome="undo", preferred=None, revises=target, seconds=0.0, **fresh
        )
        self._store(row)
        return taken.pair

    def progress(self) -> Progress:
        """Done, left, today, and what undo would take back."""
        standing = (self.catalogue.ledger.standing(pair) for pair in self.catalogue.pairs)
        mine = [votes[self.annotator] for votes in standing if self.annotator in votes]
        midnight = datetime.datetime.now().astimezone().replace(hour=0, minute=0, second=0)
        newest = max(mine, key=lambda vote: vote.time_order, default=None)
        return Progress(
            done=len(mine),
            left=len(self._open()),
            today=sum(vote.time_ms >= midnight.timestamp() * 1000 for vote in mine),
            newest=newest.id if newest else None,
        )

    def _blind(self, pair: Pair) -> bool:
        """Drawn blind, unless this annotator has seen the score before (undo brings pairs back)."""
        history = self.catalogue.ledger.history(pair.id, self.annotator)
        answered = ("preference", "tie")  # a blind answer is followed by the score, a skip is not
        seen = any(vote.exposure == "shown" or vote.outcome in answered for vote in history)
        return not seen and drawn_blind(pair, self.annotator, share=self.protocol.blind)

    def _open(self) -> dict[str, Pair]:
        """Pairs that this annotator has not answered and that still want answers."""
        ledger = self.catalogue.ledger
        return {
            key: pair
            for key, pair in self.catalogue.pairs.items()
            if self.annotator not in ledger.standing(key)
            and ledger.answered(key) < self.protocol.redundancy
        }

    def _ranked(self) -> list[str]:
        pairs = self._open()
        answered = {key: self.catalogue.ledger.answered(key) for key in pairs}
        return ORDERS[self.protocol.order](pairs, answered, self.annotator)

    def _claim(self, ranked: list[str]) -> Lease | None:
        return self.owner.claim(
            self.annotator, ranked, redundancy=self.protocol.redundancy, seconds=LEASE_SECONDS
        )

    def _mine(self, vote_id: str) -> Vote:
        vote = self.catalogue.ledger.get(vote_id)
        if vote is None or vote.annotator != self.annotator:
            raise UserError(ERRORS["undo_target"])
        return vote

    def _as_vote(self, ballot: Ballot, pair: Pair) -> Vote:
        left, right = sides(pair, self.annotator)
        preferred = {"left": left, "right": right}.get(ballot.answer)
        outcome: Outcome = "skip" if ballot.answer == "skip" else "tie"
        return Vote(
            id=ballot.id,
            pair=pair.id,
            annotator=self.annotator,
            left=left,
            right=right,
            outcome="preference" if preferred else outcome,
            preferred=preferred,
            unusable=ballot.answer == "unusable",
            answers=ballot.answers,
            exposure=ballot.exposure,
            revises=ballot.revises,
            reason=ballot.reason,
            seconds=ballot.seconds,
            watched=ballot.watched,
        )

    def _store(self, vote: Vote) -> Receipt:
        receipt = self.owner.vote(vote)
        if receipt.status == "stored":
            self.catalogue.ledger.add([dataclasses.replace(vote, time_ms=receipt.time_ms)])
        return receipt

"""What one annotator does: gets a pair, answers it, sees the score, keeps or changes, takes back.

Knows neither browser nor HTTP, and holds nothing of its own: a `Session` is made per request for
who is there. What is true lies in the store; what is shown follows from it by hashes: the same
after a reload, a restart, on another replica.

The next pair is, in this order: the one that was just taken back; a practice pair, before the work;
the pair that is held by a lease; a gold pair or a repeat, where this answer is drawn for one; the
first of the campaign's order that has a free slot.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass

from annotate import casting, pauses
from annotate.asking import Asking
from annotate.campaigns import Campaign
from annotate.catalogue import Catalogue
from annotate.exposure import drawn_blind, sides
from annotate.opinion import AUTO, Opinion
from annotate.protocol import Ballot, Hint, Progress, Showing
from annotate.track import Chain, Track
from annotate.words import RefusedError
from data.records import Pair, Vote
from data.store import Lease, Owner, Receipt


@dataclass(frozen=True, slots=True)
class Session:
    """One annotator at work in one campaign."""

    owner: Owner
    catalogue: Catalogue
    asking: Asking
    held: MutableMapping[str, str]
    """Annotator to their blind vote whose score has not left the server."""

    @property
    def annotator(self) -> str:
        """Who is at work."""
        return self.asking.annotator

    @property
    def campaign(self) -> Campaign:
        """What they work in."""
        return self.asking.campaign

    @property
    def track(self) -> Track:
        """What they have answered in it."""
        return self.asking.track

    # What is shown

    def next(self, first: str | None = None) -> Showing | None:
        """The pair to show, which is then kept for this annotator for a while.

        Args:
            first: a pair to show before all others (the one whose answer was just taken back).
        """
        if self.campaign.paused:
            self.leave()
            return None
        practice = self.asking.practice()
        if practice is not None:
            self.leave()  # of another campaign: practice keeps no pair from anybody
            due = None if practice.failed else self.asking.practice_pair()
            return None if due is None else self.show(due)
        lease = self._lease(first or self.asking.taken_back())
        pair = lease and self.catalogue.pair(lease.pair)
        return pair and self.show(pair)

    def upcoming(self, after: Showing) -> tuple[str, ...]:
        """The clips that probably come next, for the browser to load ahead of time."""
        if after.practice:
            return ()
        due = self.asking.check(self.track.done + (after.revises is None))
        ranked = self.asking.frontier.ranked()
        later = next((pair for pair in ranked if pair != after.pair.id), None)
        pair = due or (None if later is None else self.catalogue.pair(later))
        return () if pair is None else sides(pair, self.annotator)

    def show(self, pair: Pair, revises: Vote | None = None) -> Showing:
        """`pair` as this annotator sees it; no opinion is in it while it is answered blind.

        A pair without any score is blind too. Practice has none: it would be taken for the answer.
        """
        left, right = sides(pair, self.annotator)
        practice = self.track.kind(pair.id) == "practice"
        opinion = None if practice else self._opinion(pair)
        scored = opinion is not None
        if self._blind(pair):
            opinion = None
        return Showing(
            pair=pair,
            prompt=self.catalogue.prompt(pair),
            left=left,
            right=right,
            fps=max(self.catalogue.fps(left), self.catalogue.fps(right)),
            exposure="blind" if opinion is None else "shown",
            opinion=opinion,
            scored=scored,
            practice=practice,
            revises=revises,
        )

    def reopen(self, vote: str) -> Showing:
        """An earlier answer of one's own, to be edited; whatever is held stays held.

        Raises:
            RefusedError: it is somebody else's, was taken back, or was practice.
        """
        chain = self._mine(vote)
        pair = self.catalogue.pair(chain.pair)
        if pair is None or chain.standing is None:
            raise RefusedError("undo_gone")
        if chain.kind == "practice":
            raise RefusedError("practice_final")
        self.held.pop(self.annotator, None)
        return self.show(pair, chain.standing)

    # Answers

    def vote(self, ballot: Ballot) -> Receipt:
        """Store an answer; comes back only when it is on the disk.

        Raises:
            RefusedError: the pair is not there, the campaign does not ask this, or the vote that
                this one revises is not one's own or does not stand.
        """
        pair = self.catalogue.pair(ballot.pair)
        if pair is None:
            raise RefusedError("pair")
        earlier = None
        if self.track.chain(ballot.id) is None:  # else a retry: the store says so
            casting.check(ballot, self.campaign)
            earlier = self._revised(ballot)
            self._in_turn(pair)
        vote = casting.as_vote(ballot, self.annotator, sides(pair, self.annotator), earlier)
        receipt = self._store(vote)
        if receipt.status == "stored" and ballot.hold and self.reveal(ballot) is not None:
            self.held[self.annotator] = ballot.id
        return receipt

    def reveal(self, ballot: Ballot) -> Opinion | None:
        """What OmniScore says, once a blind pair is answered; None where nothing is due."""
        pair = self.catalogue.pair(ballot.pair)
        blind = ballot.exposure == "blind" and ballot.answer != "skip"
        if pair is None or not blind or self.track.kind(pair.id) == "practice":
            return None
        return self._opinion(pair)

    def due(self) -> Vote | None:
        """One's newest answer, where it was blind and keep or change is still open."""
        vote = next(self.track.rows(), None)
        chain = None if vote is None else self.track.chain(vote.id)
        if vote is None or chain is None or chain.standing is not vote:
            return None
        pair = self.catalogue.pair(vote.pair)
        blind = vote.exposure == "blind" and vote.outcome != "skip" and chain.kind != "practice"
        return vote if blind and pair is not None and self._opinion(pair) is not None else None

    def ask_reveal(self, vote: str) -> tuple[Vote, Pair, Opinion]:
        """The score behind one's own blind vote; from now on it has been seen.

        Raises:
            RefusedError: it is not the newest answer, or no score is due for it.
        """
        self._mine(vote)
        due = self.due()
        pair = None if due is None else self.catalogue.pair(due.pair)
        opinion = None if pair is None else self._opinion(pair)
        if due is None or pair is None or opinion is None or due.id != vote:
            raise RefusedError("reveal")
        self.held.pop(self.annotator, None)
        return due, pair, opinion

    def undo(self, row_id: str, target: str) -> str:
        """Take back one's own standing vote by a newer row; returns the pair that it was about.

        Args:
            row_id: the browser's UUID for the new row; a retry with the same one changes nothing.
            target: the vote to take back: one of the last ten answers.

        Raises:
            RefusedError: the vote is somebody else's, does not stand any more, or is too old.
        """
        chain = self._mine(target)
        if self.track.chain(row_id) is not None:
            return chain.pair
        standing = chain.standing
        if standing is None or standing.id != target:
            raise RefusedError("undo_gone")
        if chain.kind == "practice":
            raise RefusedError("practice_final")
        if standing not in self.track.undoable():
            raise RefusedError("undo_far")
        slip = self.held.get(self.annotator) == target
        self._store(casting.undoing(standing, row_id, slip=slip))
        self.held.pop(self.annotator, None)
        return chain.pair

    def leave(self) -> bool:
        """Let go of the pair that is held; whether there was one."""
        mine = [one.id for one in self.owner.leases() if one.annotator == self.annotator]
        return bool(mine) and self.owner.release(mine[0])  # nobody has two

    def progress(self) -> Progress:
        """Done, left, today, and what undo would take back."""
        now = datetime.datetime.now().astimezone()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        undoable, practice = self.track.undoable(), self.asking.practice()
        return Progress(
            done=self.track.done,
            left=self.asking.left(),
            today=self.asking.frontier.today(int(midnight.timestamp() * 1000)),
            newest=undoable[0].id if undoable else None,
            undoable=len(undoable),
            practice=None if practice is None else practice.now,
        )

    def hint(self) -> Hint | None:
        """What to tell in passing with the next page."""
        if self.campaign.paused:
            return Hint(kind="paused")
        if pauses.warned(self.campaign, self.track, self.asking.known.answers):
            return Hint(kind="warning")
        minutes = pauses.break_due(self.track.rows(), self.campaign.break_minutes)
        return None if minutes is None else Hint(kind="break", values={"minutes": minutes})

    # How

    def _lease(self, first: str | None) -> Lease | None:
        head = [first] if first is not None and self.asking.takes(first) else []
        lease = self._claim(head)
        stale = lease is not None and not self.asking.takes(lease.pair)  # of another campaign
        if lease is not None and (stale or (head and lease.pair != first)):
            self.owner.release(lease.id)
            lease = self._claim(head)
        return lease

    def _claim(self, head: Iterable[str]) -> Lease | None:
        return self.owner.claim(
            self.annotator,
            itertools.chain(head, self._check(), self.asking.frontier.ranked()),
            redundancy=self.asking.people,
            seconds=self.campaign.lease_seconds,
            ignoring=self.catalogue.uncounted,
        )

    def _check(self) -> list[str]:
        """The gold pair or repeat that is due with this answer."""
        pair = self.asking.check(self.track.done)
        if pair is None:
            return []
        if self.catalogue.pair(pair.id) is None:
            self.owner.add([pair])
            self.catalogue.news()
        return [pair.id]

    def _blind(self, pair: Pair) -> bool:
        """Drawn blind, unless this annotator has seen the score before (undo brings pairs back)."""
        drawn = drawn_blind(pair, self.annotator, share=self.campaign.blind)
        return drawn and not self.track.saw_score(pair.id)

    def _opinion(self, pair: Pair) -> Opinion | None:
        if self.campaign.profile != AUTO:
            pair = dataclasses.replace(pair, profile=self.campaign.profile)
        return self.catalogue.opinion(pair, *sides(pair, self.annotator))

    def _in_turn(self, pair: Pair) -> None:
        """Practice is answered in its order, each pair once a round."""
        if self.track.kind(pair.id) == "practice" and pair != self.asking.practice_pair():
            raise RefusedError("practice_final")

    def _revised(self, ballot: Ballot) -> Vote | None:
        if ballot.revises is None:
            return None
        standing = self._mine(ballot.revises).standing
        if standing is None or standing.id != ballot.revises:
            raise RefusedError("undo_gone")
        return standing

    def _mine(self, vote: str) -> Chain:
        chain = self.track.chain(vote)
        if chain is None:
            raise RefusedError("undo_target")
        return chain

    def _store(self, vote: Vote) -> Receipt:
        receipt = self.owner.vote(vote)
        if receipt.status == "stored":
            whole = dataclasses.replace(vote, time_ms=receipt.time_ms)
            self.catalogue.stored(whole, receipt.sequence)
        return receipt

"""The one place in the app that holds state: the owner of the database and what was read from it.

Everything that people do goes through `Desk.session`, one request at a time (the store writes one
at a time anyway, and a page costs milliseconds), so nothing below this file knows about threads.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from annotate.asking import Asking, Known, kind_in
from annotate.beginnings import image_file
from annotate.campaigns import Campaign, stored
from annotate.catalogue import Catalogue
from annotate.frontier import Queue
from annotate.identity import Seal, secret_beside
from annotate.idle import Idle, explain
from annotate.ledger import Change
from annotate.opinion import AUTO
from annotate.order import Plan
from annotate.protocol import Protocol
from annotate.session import Session
from annotate.track import Track
from annotate.words import ENGLISH, Words
from data.calibration import profile_named
from data.decisions import Gold, gold, newest
from data.records import Vote
from data.store import Owner
from data.store.people import People
from data.store.places import spoken
from data.store.replica import Replica

LOOK_AGAIN_SECONDS = 1.0
"""How old the reading of the database may be before it is checked for news."""
REST = 10.0
"""After a reading that took long (much data), how many times as long nobody looks again: while
another command adds scores all the time, voting must not wait for one reading after the other."""
_READ = ("prompts", "candidates", "scores", "pairs", "decisions")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    """What the decisions say, for as long as nothing is added that they are about."""

    asof: tuple[int, int, int]
    """How many decisions and pairs there were, and the catalogue's version."""
    campaigns: Mapping[str, Campaign]
    answers: Mapping[str, Gold]
    tries: Mapping[str, int]
    """Practice rounds more, by person."""
    known: dict[str, Known] = field(default_factory=dict)
    """By campaign, filled as they are asked for."""


class Desk:
    """The database that the app owns, as it was last read, and the seal for what leaves it."""

    def __init__(
        self, db: str | Path, owner: Owner, protocol: Protocol, *, local: bool = True
    ) -> None:
        self.db = db
        self.local = local  # whether nobody beyond this machine can reach the app
        self.people = People.of(db)
        self.protocol = protocol
        self.seal = Seal(owner.secret() if isinstance(owner, Replica) else secret_beside(Path(db)))
        self._owner = owner
        self._gate = threading.RLock()
        self._next_look, self._seen = 0.0, owner.heads()
        self._catalogue = Catalogue(owner)
        self.beginnings = self._catalogue.beginnings
        if protocol.profile not in (None, AUTO):
            profile_named(protocol.profile, self._catalogue.decisions)  # refuses what is not known
        self._queues: dict[str, Queue] = {}
        self._tracks: dict[tuple[str, str], Track] = {}
        self._held: dict[str, str] = {}
        self._decided = self._read_decisions()
        self._catalogue.changes.append(self._hear)
        self._catalogue.heard.append(self._take)

    @property
    def store(self) -> Owner:
        """Every record; reading it waits for nobody at the desk, and nobody waits for it."""
        return self._owner

    @contextlib.contextmanager
    def session(
        self,
        annotator: str,
        campaign: str | None = None,
        *,
        pair: str | None = None,
        vote: str | None = None,
    ) -> Iterator[Session]:
        """This annotator at work, alone at the desk for the length of the `with`.

        Args:
            annotator: who.
            campaign: where; the one that the app was started with by default.
            pair: a pair, whose campaign it is then.
            vote: a vote, whose pair's campaign it is then.
        """
        with self._gate:
            name = self._where(campaign, pair, vote)
            if (name, annotator) in self._tracks:
                yield self._session(name, annotator)
                return
        # Somebody's first request here: reading all of their votes keeps nobody else waiting.
        upto = self._owner.heads()["votes"]
        votes = self._owner.votes_of(annotator)
        with self._gate:
            self._begin(name, annotator, votes, upto)
            yield self._session(name, annotator)

    def _where(self, campaign: str | None, pair: str | None, vote: str | None) -> str:
        """The campaign of the vote's pair, of the pair, or the one that was named."""
        self._look_again()
        if vote is not None:
            found = self._catalogue.vote(vote)
            pair = None if found is None else found.pair
        known = None if pair is None else self._catalogue.pair(pair)
        return known.campaign if known is not None else campaign or self.protocol.campaign

    def _session(self, name: str, annotator: str) -> Session:
        return Session(self._owner, self._catalogue, self._asking(name, annotator), self._held)

    def campaigns(self) -> dict[str, Campaign]:
        """Every campaign that has pairs, was decided about or was named at the start."""
        with self._gate:
            self._look_again()
            names = {*self._catalogue.campaigns(), *self._decisions().campaigns}
            return {name: self.campaign(name) for name in sorted(names | {self.protocol.campaign})}

    def campaign(self, name: str) -> Campaign:
        """How a campaign is asked now: what is stored, under what the app was started with."""
        return self.asked(self._decisions().campaigns.get(name, Campaign(name=name)))

    def asked(self, stored: Campaign) -> Campaign:
        """A campaign as it is stored, under what the app was started with."""
        if not self._started(stored.name):
            return stored
        start = self.protocol
        given = {"blind": start.blind, "redundancy": start.redundancy, "profile": start.profile}
        changes = {key: value for key, value in given.items() if value is not None}
        most = stored.most
        if start.redundancy is not None and most is not None and most < start.redundancy:
            changes["most"] = start.redundancy
        return dataclasses.replace(stored, **changes) if changes else stored

    def _started(self, name: str) -> bool:
        """Whether the options that the app was started with are about this campaign."""
        return name == self.protocol.campaign

    def left(self, campaign: str, annotator: str) -> int | None:
        """As `Asking.left` counts; None where this annotator has not worked since the app began.

        A plain count of pairs would tell gold from work: it does not go down with gold.
        """
        with self._gate:
            begun = (campaign, annotator) in self._tracks and campaign in self._queues
            return self._asking(campaign, annotator).left() if begun else None

    def idle(self, session: Session, words: Words = ENGLISH) -> Idle:
        """Why this annotator has no pair, and what to run next."""
        campaign, practice = session.campaign, session.asking.practice()
        with self._gate:
            counts = self._catalogue.counts(campaign.name, answered=session.track.done_of("work"))
        return explain(
            counts,
            db=spoken(self.db),
            campaign=campaign.name,
            redundancy=campaign.most or campaign.redundancy,
            most=campaign.most is not None,
            started=self._started(campaign.name) and self.protocol.redundancy is not None,
            paused=campaign.paused,
            failed=practice is not None and practice.failed,
            words=words,
        )

    def clip(self, annotator: str, token: str) -> str | None:
        """The clip behind a token of this annotator's; None for any other string."""
        clip = self.seal.read_token(annotator, token)
        with self._gate:
            return clip if clip is not None and self._catalogue.has_clip(clip) else None

    def image(self, annotator: str, token: str) -> Path | None:
        """The first image behind a token of this annotator's; None for any other string."""
        digest = self.seal.read_token(annotator, token)
        return image_file(self.db, digest) if digest else None

    def queue(self, campaign: str, plan: Plan) -> Queue:
        """The pairs of a campaign, handed out by this plan; made on first use and after news."""
        found = self._queues.get(campaign)
        if found is None or found.plan != plan or found.version != self._catalogue.version:
            found = self._queues[campaign] = Queue(self._catalogue, campaign, plan)
        return found

    def _asking(self, name: str, annotator: str) -> Asking:
        decided, campaign = self._decisions(), self.campaign(name)
        if name not in decided.known:
            decided.known[name] = Known.of(self._catalogue, name, decided.answers)
        return Asking(
            self._catalogue,
            self.queue(name, campaign.plan),
            campaign,
            decided.known[name],
            self._tracks[name, annotator],
            annotator,
            decided.tries.get(annotator, 0),
        )

    def _begin(self, campaign: str, annotator: str, votes: list[Vote], upto: int) -> None:
        """Keep track of somebody; `votes` are theirs, and none up to the number `upto` lacks."""
        if (campaign, annotator) in self._tracks:  # a second tab's, in the meantime
            return
        newer = [one for one in self._owner.votes_after(upto) if one.annotator == annotator]
        kind = functools.partial(kind_in, self._catalogue, campaign)
        self._tracks[campaign, annotator] = Track([*votes, *newer], kind)

    def _size(self) -> tuple[int, int, int]:
        return len(self._catalogue.decisions), self._catalogue.size, self._catalogue.version

    def _decisions(self) -> _Decided:
        if self._decided.asof != self._size():
            self._decided = self._read_decisions()
        return self._decided

    def _read_decisions(self) -> _Decided:
        decided = self._catalogue.decisions
        people = newest(decided, "person")
        return _Decided(
            asof=self._size(),
            campaigns=stored(decided),
            answers=gold(decided),
            tries={who: int(values.get("tries", 0)) for who, values in people.items()},
        )

    def _hear(self, change: Change) -> None:
        for queue in self._queues.values():
            queue.hear(change)

    def _take(self, vote: Vote) -> None:
        for (_, annotator), track in self._tracks.items():
            if annotator == vote.annotator:
                track.add(vote)

    def _look_again(self) -> None:
        """Read what other commands added since the last look."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_AGAIN_SECONDS
        began, heads = time.monotonic(), self._owner.heads()
        if any(heads[kind] != self._seen[kind] for kind in _READ):
            self._catalogue.news()
            self._next_look = time.monotonic() + REST * (time.monotonic() - began)
        if heads["votes"] != self._seen["votes"]:
            self._catalogue.votes_news(heads["votes"])
        self._seen = heads

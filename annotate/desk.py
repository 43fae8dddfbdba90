"""The one place in the app that holds state: the owner of the database and what was read from it.

Everything that people do goes through `Desk.session`, one request at a time (the store writes one
at a time anyway, and a page costs milliseconds), so nothing below this file knows about threads.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from annotate.catalogue import Catalogue
from annotate.identity import Seal, secret_beside
from annotate.idle import Idle, explain
from annotate.protocol import Protocol
from annotate.session import Session
from data.store import Owner
from data.store.places import spoken
from data.store.replica import Replica

LOOK_AGAIN_SECONDS = 1.0
"""How old the reading of the database may be before it is checked for news."""
REST = 10.0
"""After a reading that took long (much data), how many times as long nobody looks again: while
another command adds scores all the time, voting must not wait for one reading after the other."""
_READ = ("prompts", "candidates", "scores", "pairs")


class Desk:
    """The database that the app owns, as it was last read, and the seal for what leaves it."""

    def __init__(self, db: str | Path, owner: Owner, protocol: Protocol) -> None:
        self.db = db
        self.protocol = protocol
        self.seal = Seal(owner.secret() if isinstance(owner, Replica) else secret_beside(Path(db)))
        self._owner = owner
        self._gate = threading.RLock()
        self._tokens: dict[str, dict[str, str]] = {}
        self._next_look = 0.0
        self._read()

    @contextlib.contextmanager
    def session(self, annotator: str) -> Iterator[Session]:
        """This annotator at work, alone at the desk for the length of the `with`."""
        with self._gate:
            self._look_again()
            yield Session(self._owner, self._catalogue, self.protocol, annotator)

    def idle(self, annotator: str) -> Idle:
        """Why this annotator has no pair, and what to run next."""
        with self._gate:
            counts = self._catalogue.counts(annotator)
        redundancy, campaign = self.protocol.redundancy, self.protocol.campaign
        return explain(counts, db=spoken(self.db), campaign=campaign, redundancy=redundancy)

    def clip(self, annotator: str, token: str) -> str | None:
        """The clip behind a token of this annotator's; None for any other string."""
        with self._gate:
            if annotator not in self._tokens:
                clips = self._catalogue.candidates
                self._tokens[annotator] = {self.seal.token(annotator, clip): clip for clip in clips}
            return self._tokens[annotator].get(token)

    def _look_again(self) -> None:
        """Read the database again if another command added to it."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_AGAIN_SECONDS
        heads = self._owner.heads()
        if any(heads[kind] != self._seen[kind] for kind in _READ):
            self._read()
        elif heads["votes"] != self._seen["votes"]:
            self._catalogue.ledger.add(self._owner.votes_after(self._seen["votes"]))
            self._seen = heads

    def _read(self) -> None:
        began, self._seen = time.monotonic(), self._owner.heads()
        protocol = self.protocol
        self._catalogue = Catalogue.read(
            self._owner, campaign=protocol.campaign, profile=protocol.profile
        )
        self._tokens.clear()
        self._next_look = time.monotonic() + REST * (time.monotonic() - began)

"""Annotators at work on a real database, for the tests of campaigns, checks and history."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from annotate import deciding
from annotate import desk as desk_module
from annotate.desk import Desk
from annotate.protocol import Ballot, Protocol, Showing
from data.records import Candidate, Decision, Pair, Prompt, Record
from data.store import Store


def fresh() -> str:
    """A UUID, as the browser mints them."""
    return str(uuid.uuid4())


def ballot(showing: Showing, answer: str = "left", **rest: Any) -> Ballot:
    """An answer to what is shown."""
    fields = {"id": fresh(), "pair": showing.pair.id, "exposure": showing.exposure, **rest}
    revises = None if showing.revises is None else showing.revises.id
    return Ballot(answer=answer, **{"revises": revises, **fields})


class Site:
    """A desk that looks for news at every request, and the people who come to it."""

    def __init__(self, db: Path, desk: Desk) -> None:
        self.db, self.desk = db, desk

    def at_work(self, who: str, campaign: str | None = None):
        """Their session, as of now."""
        return self.desk.session(who, campaign)

    def next(self, who: str) -> Showing | None:
        """What they would see now."""
        with self.at_work(who) as session:
            return session.next()

    def answer(self, who: str, answer: str = "left", **rest: Any) -> Showing | None:
        """Answer what they see; None where they see nothing."""
        with self.at_work(who) as session:
            showing = session.next()
            if showing is not None:
                session.vote(ballot(showing, answer, **rest))
            return showing

    def prefer(self, who: str, clip: str) -> bool:
        """Answer for this clip, on whichever side it stands; False where they see nothing."""
        with self.at_work(who) as session:
            showing = session.next()
            if showing is not None:
                side = "left" if showing.left == clip else "right"
                session.vote(ballot(showing, side))
            return showing is not None

    def decide(self, name: str = "default", **changes: Any) -> None:
        """Change the campaign, as the command does."""
        deciding.settle(self.desk.store, name, changes, by="test")

    def votes(self, who: str | None = None):
        """Every stored vote, or somebody's."""
        return [vote for vote in self.desk.store.all("votes") if who in (None, vote.annotator)]


@pytest.fixture
def open_site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Site]]:
    """Opens a desk on a database whose campaign is as given; `start` are the app's options."""
    monkeypatch.setattr(desk_module, "LOOK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(desk_module, "REST", 0.0)
    with ExitStack() as stack:

        def opened(db: Path, start: dict[str, Any] | None = None, **campaign: Any) -> Site:
            with Store.open(db) as store:
                deciding.settle(store, "default", campaign, by="test")
            owner = stack.enter_context(Store.own(db))
            return Site(db, Desk(db, owner, Protocol(**(start or {}))))

        yield opened


def with_known(records: list[Record], use: str, count: int) -> list[Record]:
    """`records`, with pairs of its clips as `use` pairs whose better clip is known to be `a`.

    The last one of them is a tie.
    """
    clips = [one for one in records if isinstance(one, Candidate)]
    made: list[Record] = []
    for number in range(count):
        one, other = clips[number], clips[(number + 2) % len(clips)]
        pair = Pair.of(one.sha256, other.sha256, prompt=one.prompt, strategy=f"{use}:frozen")
        values = {
            "expected": None if number == count - 1 else pair.a,
            "kind": "frozen",
            "use": use,
            "why": f"because {number}",
        }
        made += [
            pair,
            Decision(id=fresh(), topic="gold", subject=pair.id, values=values, time_ms=1),
        ]
    return [*records, *made]


def one_pair(records: list[Record]) -> list[Record]:
    """The first pair of `records` with its clips, prompt and scores, and nothing else."""
    pair = next(one for one in records if isinstance(one, Pair))
    return [
        one
        for one in records
        if not isinstance(one, Pair | Prompt | Candidate)
        or one in (pair,)
        or (isinstance(one, Prompt) and one.id == pair.prompt)
        or (isinstance(one, Candidate) and one.sha256 in (pair.a, pair.b))
    ]

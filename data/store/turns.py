"""One thread that does what it is asked, one thing after another; waiting votes together.

Votes that wait while the thread is busy are taken as one group: one `fdatasync` of the journal and
one transaction for all of them (group commit). Every caller still gets an answer of its own: if a
group fails, each of its votes is tried alone, so that an error reaches only the vote that made it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from data.errors import UserError
from data.records import Vote
from data.store.voting import Receipt

GROUP = 64
"""Most votes of one group. Beyond that a commit gets longer faster than it saves a wait."""
_Result = TypeVar("_Result")
TakeVotes = Callable[[Sequence[Vote], set[str]], list[Receipt]]
"""Stores votes; the set collects the ids that reached the journal, over several tries."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A piece of work and where its answer goes; a vote, or anything else."""

    work: Vote | Callable[[], Any]
    answer: Future[Any]


class Turns:
    """The thread and its queue. Votes and tasks may be handed in from any thread."""

    def __init__(self, path: Path, *, take: TakeVotes, end: Callable[[], None]) -> None:
        """`take` stores votes and `end` runs last; both on the thread. `path` is for messages."""
        self._path, self._take, self._end = path, take, end
        self._gate, self._closed = threading.Lock(), False
        self._queue: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="store-owner", daemon=True)
        self._thread.start()

    def do(self, task: Callable[[], _Result]) -> _Result:
        """Run `task` on the thread; its result, or its error.

        Raises:
            UserError: after `close`.
        """
        return self._put(task)

    def soon(self, task: Callable[[], Any]) -> None:
        """Run `task` on the thread without waiting for it. Whoever needs it asks again."""
        with self._gate:
            if not self._closed:
                self._queue.put(_Asked(task, Future()))

    def vote(self, vote: Vote) -> Receipt:
        """Store one vote, together with others that wait."""
        return self._put(vote)

    def close(self) -> bool:
        """Finish what was asked before, then end; False where that was done already."""
        with self._gate:
            first, self._closed = not self._closed, True
            if first:
                self._queue.put(None)
        self._thread.join()
        return first

    def _put(self, work: Vote | Callable[[], Any]) -> Any:
        asked = _Asked(work, Future())
        with self._gate:  # nothing gets behind the end, where nobody would answer it
            if self._closed:
                raise UserError(f"{self._path}: this owner is closed")
            self._queue.put(asked)
        return asked.answer.result()

    def _work(self) -> None:
        go_on = True
        while go_on:
            waiting = [self._queue.get(), *self._more()]
            go_on = None not in waiting
            asked = [one for one in waiting if one is not None]
            self._votes([one for one in asked if isinstance(one.work, Vote)])
            for one in asked:
                if not isinstance(one.work, Vote):
                    _answer(one, one.work)
        self._end()

    def _more(self) -> list[_Asked | None]:
        """What else waits already; each caller waits for its answer, so the order is free."""
        more: list[_Asked | None] = []
        while len(more) < GROUP - 1:
            try:
                more.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return more

    def _votes(self, asked: list[_Asked]) -> None:
        votes = [one.work for one in asked if isinstance(one.work, Vote)]
        mine: set[str] = set()
        if len(votes) > 1:
            try:
                receipts = self._take(votes, mine)
            except Exception:  # noqa: BLE001 - raised again below, at the vote that made it
                receipts = []
            for one, receipt in zip(asked, receipts, strict=False):
                one.answer.set_result(receipt)
        for one, vote in zip(asked, votes, strict=True):
            if not one.answer.done():
                _answer(one, lambda vote=vote: self._alone(vote, mine))

    def _alone(self, vote: Vote, mine: set[str]) -> Receipt:
        receipt = self._take([vote], mine)[0]
        mine.discard(vote.id)  # a second click in the same group is a duplicate
        return receipt


def _answer(asked: _Asked, task: Callable[[], Any]) -> None:
    try:
        asked.answer.set_result(task())
    except BaseException as error:  # noqa: BLE001 - raised again at the caller
        asked.answer.set_exception(error)

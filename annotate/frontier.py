"""Which pair comes next: one `Queue` per campaign for all, and a buffer of its order per annotator.

The queue holds the stage of every pair (`annotate/order.py`) and keeps it and all counts up to date
vote by vote. A `Frontier` holds the next few hundred pairs of one annotator's order; it is filled
from the queue now and then, so that a request looks at a handful of pairs and not at a million.
Pairs that were answered or moved to another stage since are passed over; when pairs
moved forward (an undo, a first disagreement, new pairs), the buffer is filled again.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Bool, Int, UInt8, UInt64

from annotate import ledger, order
from annotate.catalogue import Catalogue
from annotate.keys import Column
from annotate.ledger import Change
from annotate.order import CLOSED, Plan
from annotate.own import Own
from annotate.stream import NOTHING, Stream

BUFFER = 256
"""Pairs that are kept ready per annotator and stream."""
LOG = 512
"""Pairs that moved forward that are known one by one."""


class Queue:
    """The ordinary pairs of one campaign: which are open, in which stage, and who has done what."""

    def __init__(self, catalogue: Catalogue, campaign: str, plan: Plan) -> None:
        self._catalogue, self.campaign, self.plan = catalogue, campaign, plan
        self.version = catalogue.version
        """Of the catalogue; where that is another one now, the queue has to be made anew."""
        self._columns = {
            "mine": Column(np.bool_), "counting": Column(np.bool_), "margin": Column(np.float64),
            "again": Column(np.int32), "stage": Column(np.uint8), "chance": Column(np.uint8),
            "bucket": Column(np.uint8),
        }  # fmt: skip
        self._tally = Column(np.int32, 3)
        self._waiting = np.zeros(256, np.int64)
        self.moved_forward = 0
        """Counts up with every pair that is to be asked earlier than before."""
        self._moved: deque[int] = deque(maxlen=LOG)
        self._frontiers: dict[str, Frontier] = {}
        self._tally.add(catalogue.ledger.tally(catalogue.size, catalogue.uncounted))
        self._grow()

    @property
    def size(self) -> int:
        """How many pairs there are, of all campaigns."""
        return len(self._columns["stage"])

    @property
    def stage(self) -> UInt8[np.ndarray, " n"]:
        """Of every pair, in the order of the plan."""
        return self._columns["stage"].all

    @property
    def chance(self) -> UInt8[np.ndarray, " n"]:
        """Of every pair, in random order."""
        return self._columns["chance"].all

    @property
    def counting(self) -> Bool[np.ndarray, " n"]:
        """Whose answers count as done: the campaign's, without practice."""
        return self._columns["counting"].all

    @property
    def keys(self) -> UInt64[np.ndarray, " n"]:
        """What the shuffles are made from."""
        return self._catalogue.keys[: self.size]

    @property
    def open(self) -> int:
        """How many pairs still want answers."""
        return self.size - int(self._waiting[CLOSED])

    def first(
        self, seed: np.uint64, *, count: int, skip: Int[np.ndarray, " n"], by_chance: bool
    ) -> Int[np.ndarray, " m"]:
        """The first pairs of somebody's order, or of their random one; see `order.first`."""
        waiting = self._waiting
        if by_chance:
            waiting = np.zeros(256, np.int64)
            waiting[[0, CLOSED]] = self.open, self._waiting[CLOSED]
        return order.first(
            self.chance if by_chance else self.stage, self.keys, seed,
            count=count, skip=skip, buckets=self._columns["bucket"].all, waiting=waiting,
        )  # fmt: skip

    def _grow(self) -> None:
        """Take in the pairs that were added to the catalogue."""
        start, size = self.size, self._catalogue.size
        if start == size:
            return
        for row in range(len(self._tally), size):
            marks = self._catalogue.ledger.standing(row).values()
            self._tally.add(np.array([ledger.count(marks, self._out())]))
        again = np.zeros(size - start, np.int32)
        for pair, more in self._catalogue.again.items():
            row = self._catalogue.row(pair)
            if row is not None and row >= start:
                again[row - start] = more
        fresh = {
            "mine": self._catalogue.ordinary(self.campaign, start),
            "counting": self._catalogue.counting(self.campaign, start),
            "margin": self._catalogue.margins(start),
            "again": again,
        }
        for name, rows in fresh.items():
            self._columns[name].add(rows)
        stage = self._stages(slice(start, size))
        self._waiting += np.bincount(stage, minlength=256)
        self._columns["bucket"].add(order.bucket(self._catalogue.keys[start:]))
        self._columns["stage"].add(stage)
        self._columns["chance"].add(np.where(stage == CLOSED, stage, np.uint8(0)))
        self._move(np.flatnonzero(stage != CLOSED) + start)

    def _move(self, rows: Int[np.ndarray, " n"]) -> None:
        self.moved_forward += len(rows)
        self._moved.extend(rows[-LOG:].tolist())

    def moved(self, since: int) -> Int[np.ndarray, " n"] | None:
        """Which pairs moved forward since `moved_forward` was so much; None if too many did."""
        count = self.moved_forward - since
        if count > len(self._moved):
            return None
        return np.array(list(self._moved)[len(self._moved) - count :], np.int64)

    def _out(self) -> frozenset[int]:
        return self._catalogue.ledger.people(self._catalogue.uncounted)

    def _stages(self, rows: slice) -> UInt8[np.ndarray, " n"]:
        tally, of = self._tally.all[rows], self._columns
        stage = order.STAGES[self.plan.order](tally, of["margin"].all[rows])
        enough = tally.sum(axis=1) >= self._wanted(rows)
        return np.where(enough | ~of["mine"].all[rows], np.uint8(CLOSED), stage)

    def _wanted(self, rows: slice) -> Int[np.ndarray, " n"]:
        again, plan = self._columns["again"].all[rows], self.plan
        most = None if plan.most is None else plan.most + again
        return order.wanted(self._tally.all[rows], plan.redundancy + again, most)

    def wanted(self, pair: str) -> int:
        """How many people this pair needs, as far as its answers say."""
        row = self._catalogue.row(pair)
        found = [] if row is None or row >= self.size else self._wanted(slice(row, row + 1))
        return int(found[0]) if len(found) else 0

    def hear(self, change: Change) -> None:
        """Count a new vote in."""
        self._grow()
        row = change.row
        if not self.counting[row]:
            return
        was = int(self.stage[row])
        self._tally.all[row] = ledger.count(change.after.values(), self._out())
        now = int(self._stages(slice(row, row + 1))[0])
        self.stage[row] = now
        self.chance[row] = CLOSED if now == CLOSED else 0
        self._waiting[was] -= 1
        self._waiting[now] += 1
        if now < was:
            self._move(np.array([row]))
        for who in change.before.keys() | change.after.keys():
            frontier = self._frontiers.get(self._catalogue.ledger.name(who))
            if frontier is not None:
                frontier.hear(change, who, was_open=was != CLOSED, is_open=now != CLOSED)

    def frontier(self, annotator: str) -> Frontier:
        """The annotator's place in this queue; made on first use."""
        self._grow()
        if annotator not in self._frontiers:
            self._frontiers[annotator] = Frontier(self._catalogue, self, annotator)
        return self._frontiers[annotator]


class Frontier:
    """One annotator in one campaign: what comes next, what is done, what is left."""

    def __init__(self, catalogue: Catalogue, queue: Queue, annotator: str) -> None:
        self._catalogue, self._queue, self._annotator = catalogue, queue, annotator
        self._seed = order.seed(queue.campaign, annotator)
        self._mixed = queue.plan.order in order.MIXED
        self._stale, self._moved = True, 0
        self._ordered = self._random = NOTHING
        self._own = Own(catalogue.ledger, annotator, queue.counting, queue.stage)
        self._since_filled = 0

    @property
    def done(self) -> int:
        """Pairs that this annotator has answered or skipped, gold and repeats among them."""
        return self._own.done

    @property
    def left(self) -> int:
        """Pairs that still want answers and that this annotator has not answered."""
        return self._queue.open - self._own.open_done

    def today(self, midnight_ms: int) -> int:
        """How many of the done ones were answered since then, UTC epoch milliseconds."""
        return self._own.today(midnight_ms, self._queue.counting)

    def hear(self, change: Change, who: int, *, was_open: bool, is_open: bool) -> None:
        """Count in a new vote on a pair that this annotator has or had answered."""
        before, after = change.before.get(who), change.after.get(who)
        self._own.hear(before, after, was_open=was_open, is_open=is_open)
        if before != after:
            self._since_filled += 1
            self._stale |= after is None  # an undo: the pair may be anywhere in the order

    # What comes next

    def takes(self, pair: str) -> bool:
        """Whether this annotator may be asked this pair: it is open, and not answered by them."""
        row = self._catalogue.row(pair)
        if row is None or self._queue.stage[row] == CLOSED:
            return False
        return self._catalogue.ledger.stands(row, self._annotator) is None

    def ranked(self) -> Iterator[str]:
        """Ids of the pairs to ask, the next one first, to the last one that there is."""
        self._refresh()
        given: set[int] = set()
        ordered = self._unanswered(self._all_ordered(), given)
        drawn = self._unanswered(self._random.left(self._queue.chance).tolist(), given)
        for number in itertools.count(self.done):
            row = next(drawn, None) if self._by_chance(number) else None
            row = next(ordered, None) if row is None else row
            if row is None:
                return
            given.add(row)
            yield self._catalogue.pair_id(row)

    def _all_ordered(self) -> Iterator[int]:
        """The buffer, and what is behind it should others hold every pair of the buffer."""
        yield from self._ordered.left(self._queue.stage).tolist()
        if not self._ordered.whole:
            yield from self._stream(self._queue.size).left(self._queue.stage).tolist()

    def _by_chance(self, number: int) -> bool:
        stratum = self._queue.plan.stratum
        return self._mixed and order.from_stratum(
            self._queue.campaign, self._annotator, number, stratum=stratum
        )

    def _unanswered(self, rows: Iterable[int], given: set[int]) -> Iterator[int]:
        for row in rows:
            if row not in given and self._catalogue.ledger.stands(row, self._annotator) is None:
                yield row

    def _refresh(self) -> None:
        """Fill the buffer where it runs low; else take in the pairs that moved forward."""
        queue = self._queue
        streams = ((self._ordered, queue.stage), (self._random, queue.chance))
        moved = queue.moved(self._moved)
        low = any(
            not stream.whole and len(stream.left(stage)) - self._since_filled < BUFFER // 4
            for stream, stage in streams
        )
        if self._stale or low or moved is None:
            self._fill()
        elif len(moved):
            for stream, stage in streams[: 1 + self._mixed]:
                stream.take_in(moved, stage, queue.keys)
            self._moved = queue.moved_forward

    def _fill(self) -> None:
        self._ordered = self._stream(BUFFER)
        self._random = self._stream(BUFFER, by_chance=True) if self._mixed else NOTHING
        self._stale, self._moved, self._since_filled = False, self._queue.moved_forward, 0

    def _stream(self, count: int, *, by_chance: bool = False) -> Stream:
        queue = self._queue
        mine = self._catalogue.ledger.standing_of(self._annotator).rows
        rows = queue.first(self._seed, count=count, skip=mine, by_chance=by_chance)
        stage = queue.chance if by_chance else queue.stage
        return Stream(rows, stage[rows], queue.keys[rows], self._seed, whole=len(rows) < count)

"""The votes in memory, by pair and by person: who answered what, without asking the database.

Votes that were there at the start lie in columns sorted by pair, 32 bytes per vote; pairs that were
touched since are kept beside them. A vote revises votes of its own pair and person only, so one new
vote touches one pair. The database stays the truth: the ledger is made from it (`read`) and
fed with what the store has acknowledged.

Pairs go by their row in the catalogue, people by a number of the ledger's. What stands is what
`data.votes.live_votes` says; a tie in time goes to the later number.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Int

from data.records import Pair, Vote
from data.store.columns import ANSWERS

TIE, SKIP, UNDO = ANSWERS.index("tie"), ANSWERS.index("skip"), ANSWERS.index("undo")


class Mark(NamedTuple):
    """What the ledger keeps of a vote."""

    seq: int
    """The vote's number in the store."""
    who: int
    time_ms: int
    answer: int
    """Place in `data.store.columns.ANSWERS`."""
    shown: bool
    """OmniScore could be seen."""
    revised: bool = False

    @property
    def answers(self) -> bool:
        """Whether it says something about the pair; a skip and an undo do not."""
        return self.answer < SKIP


@dataclass(frozen=True, slots=True)
class Change:
    """What one new vote changed: who had a standing vote on the pair before, and who has now."""

    row: int
    before: Mapping[int, Mark]
    after: Mapping[int, Mark]


def standing(marks: Collection[Mark]) -> dict[int, Mark]:
    """Person to the mark that stands, of all marks of one pair."""
    live = (mark for mark in marks if not mark.revised and mark.answer != UNDO)
    return {mark.who: mark for mark in sorted(live, key=lambda mark: (mark.time_ms, mark.seq))}


class Ledger:
    """Every vote, as marks. Not thread-safe: the desk locks."""

    def __init__(self, ballots: pl.DataFrame, *, number_of: Callable[[str], int | None]) -> None:
        """Take all votes.

        Args:
            ballots: the answer to `data.store.columns.ballots(0)`; `pair` counts from 1.
            number_of: the number of an earlier vote by its id, where the ledger has only its mark.
        """
        self._number_of = number_of
        self._numbers: dict[str, int] = {}
        self._touched: dict[int, list[Mark]] = {}
        self._touched_by: dict[int, set[int]] = {}
        self._newer: set[int] = set()
        self._added = 0
        self.upto: int = int(ballots["seq"].max() or 0) if len(ballots) else 0  # type: ignore[arg-type]
        """Votes up to this number are here, and so are some newer ones."""
        names = ballots["annotator"].unique().sort()
        self._names: list[str] = names.to_list()
        self._people = {name: number for number, name in enumerate(self._names)}
        self._load(ballots, names)

    def _load(self, ballots: pl.DataFrame, names: pl.Series) -> None:
        who = ballots["annotator"].cast(pl.Enum(names)).to_physical().cast(pl.Int32)
        marks = ballots.select(
            (pl.col("pair") - 1).cast(pl.Int32), who.alias("who"),
            "time_ms", "seq", pl.col("answer").cast(pl.Int8), "shown", "revised",
        ).sort("pair", "who", "time_ms", "seq")  # fmt: skip
        self._pair, self._who, self._time, self._seq, self._answer, self._shown, self._revised = (
            column.to_numpy() for column in marks
        )
        live = np.flatnonzero(~self._revised & (self._answer != UNDO))
        pair, who_ = self._pair[live], self._who[live]
        last = np.ones(len(live), bool)
        last[:-1] = (pair[1:] != pair[:-1]) | (who_[1:] != who_[:-1])
        stands = live[last]
        self._stands = stands.astype(np.int32)
        self._by_person = self._stands[np.argsort(self._who[stands], kind="stable")]
        self._people_start = np.searchsorted(
            self._who[self._by_person], np.arange(len(self._names) + 1)
        )

    def __len__(self) -> int:
        """How many votes, standing or not."""
        return len(self._pair) + self._added

    def person(self, annotator: str) -> int:
        """The number of a person, given to them here if need be."""
        number = self._people.setdefault(annotator, len(self._names))
        if number == len(self._names):
            self._names.append(annotator)
        return number

    def name(self, who: int) -> str:
        """The annotator with that number."""
        return self._names[who]

    def marks(self, row: int) -> list[Mark]:
        """Every vote about the pair, oldest number first within a person."""
        touched = self._touched.get(row)
        if touched is not None:
            return touched
        first, last = np.searchsorted(self._pair, np.array([row, row + 1], self._pair.dtype))
        return [
            Mark(int(self._seq[at]), int(self._who[at]), int(self._time[at]),
                 int(self._answer[at]), bool(self._shown[at]), bool(self._revised[at]))
            for at in range(first, last)
        ]  # fmt: skip

    def of(self, row: int, annotator: str) -> list[Mark]:
        """Everything that this annotator ever stored about the pair, undone votes too."""
        who = self._people.get(annotator)
        return [mark for mark in self.marks(row) if mark.who == who]

    def standing(self, row: int) -> dict[int, Mark]:
        """Person to the vote of theirs that stands on the pair (skips too)."""
        return standing(self.marks(row))

    def stands(self, row: int, annotator: str) -> Mark | None:
        """The annotator's vote that stands on the pair."""
        return standing(self.of(row, annotator)).get(self._people.get(annotator, -1))

    def add(self, vote: Vote, pair: Pair, row: int, seq: int) -> Change | None:
        """Take a stored vote; None for one that is already here.

        Args:
            vote: with the store's time.
            pair: what it is about.
            row: of the pair.
            seq: the vote's number in the store.
        """
        if seq <= self.upto or seq in self._newer:
            return None
        marks = self.marks(row)
        before = standing(marks)
        revised = self._number(vote.revises)
        fresh = Mark(seq, self.person(vote.annotator), vote.time_ms, _answer(vote, pair),
                     vote.exposure == "shown")  # fmt: skip
        changed = [mark._replace(revised=True) if mark.seq == revised else mark for mark in marks]
        self._touched[row] = [*changed, fresh]
        self._touched_by.setdefault(fresh.who, set()).add(row)
        self._newer.add(seq)
        self._added += 1
        self._numbers[vote.id] = seq
        return Change(row, before, standing(self._touched[row]))

    def has_all(self, seq: int) -> bool:
        """Whether every vote up to this number has been added already."""
        return self.upto + sum(self.upto < number <= seq for number in self._newer) >= seq

    def known_upto(self, seq: int) -> None:
        """All votes up to this number have been added."""
        self.upto = max(self.upto, seq)
        self._newer = {number for number in self._newer if number > self.upto}

    def _number(self, vote: str | None) -> int | None:
        if vote is None:
            return None
        return self._numbers[vote] if vote in self._numbers else self._number_of(vote)

    def standing_of(self, annotator: str) -> Standing:
        """Every vote of this annotator that stands, in no particular order."""
        who = self._people.get(annotator, len(self._names))
        at = np.zeros(0, np.int32)
        if who + 1 < len(self._people_start):
            at = self._by_person[self._people_start[who] : self._people_start[who + 1]]
        touched = self._touched_by.get(who, set())
        kept = at[~np.isin(self._pair[at], list(touched))]
        found = {row: self.standing(row).get(who) for row in touched}
        fresh = [(row, mark.time_ms, mark.seq) for row, mark in found.items() if mark is not None]
        loaded = (self._pair[kept], self._time[kept], self._seq[kept])
        newer = np.array(fresh, np.int64).reshape(-1, 3).T
        return Standing(*(np.concatenate(two) for two in zip(loaded, newer, strict=True)))

    def tally(self, pairs: int, uncounted: Collection[str] = ()) -> Int[np.ndarray, "n 3"]:
        """How many people answered a, b and tie, per pair, those of `uncounted` left out."""
        out = {self._people[name] for name in uncounted if name in self._people}
        at = self._stands[self._answer[self._stands] < SKIP]
        if out:
            at = at[~np.isin(self._who[at], list(out))]
        cells = self._pair[at].astype(np.int64) * 3 + self._answer[at]
        tally = np.bincount(cells, minlength=3 * pairs).reshape(-1, 3).astype(np.int32)
        for row in self._touched:
            tally[row] = count(self.standing(row).values(), out)
        return tally

    def people(self, names: Collection[str]) -> frozenset[int]:
        """The numbers of those of `names` who have voted."""
        return frozenset(self._people[name] for name in names if name in self._people)


class Standing(NamedTuple):
    """The standing votes of one person, in columns."""

    rows: Int[np.ndarray, " n"]
    time_ms: Int[np.ndarray, " n"]
    seq: Int[np.ndarray, " n"]


def count(marks: Iterable[Mark], uncounted: Collection[int] = ()) -> tuple[int, int, int]:
    """How many of these standing votes say a, b and tie, those of `uncounted` left out."""
    answers = [mark.answer for mark in marks if mark.answers and mark.who not in uncounted]
    return answers.count(0), answers.count(1), answers.count(TIE)


def _answer(vote: Vote, pair: Pair) -> int:
    if vote.outcome == "preference":
        return ANSWERS.index("b" if vote.preferred == pair.b else "a")
    return ANSWERS.index(vote.outcome)

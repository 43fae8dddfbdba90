"""What the lead's pages read: the database at one moment, shared by all leads for some seconds.

Everything here is read from the store and never inside the desk's turn, so that no vote waits for a
page of a lead. Frames of a few narrow columns, in Polars; the work on them runs outside Python's
lock. One reading is kept, and thrown away when the next one is made.

Left out on purpose: what is said about votes (`data.effort`, `data.progress`, `data.agree`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from annotate.campaigns import Campaign, stored
from annotate.desk import Desk
from annotate.opinion import AUTO, AUTO_ORDER, Opinion, Opinions
from annotate.scores import Scores
from data import calibration, omniscore
from data import decisions as decided
from data.decisions import Gold
from data.effort import PAIRS, VOTES, Effort, Mode, Pace, answered, efforts, paces
from data.omniscore import PROFILES
from data.progress import Progress, progress, tally
from data.records import Decision, Pair
from data.store import Owner, Store

FRESH_SECONDS = 3.0
"""How old a reading may be; a busy campaign would otherwise be read again for every click."""
_CLIPS = (
    "sha256", "prompt", "model", "adapter", "seed", "fps", "frames", "width", "height",
)  # fmt: skip
_KINDS = ("prompts", "candidates", "pairs", "votes", "decisions")


@dataclass(frozen=True)
class Reading:
    """The database at one moment."""

    prompts: pl.DataFrame
    clips: pl.DataFrame
    pairs: pl.DataFrame
    votes: pl.DataFrame
    decisions: tuple[Decision, ...]
    campaigns: dict[str, Campaign]
    """Every campaign that has pairs or was decided about, by name."""

    @classmethod
    def of(cls, store: Owner, asked: Callable[[Campaign], Campaign]) -> Reading:
        """Read it.

        Args:
            store: the database.
            asked: how a stored campaign is asked in truth: the app may be started with options.
        """
        pairs, decisions = store.frame("pairs", PAIRS), tuple(store.all("decisions"))
        known = stored(decisions)
        names = sorted({*pairs["campaign"].unique(), *known})
        return cls(
            prompts=store.frame("prompts", ["id", "text", "split"]),
            clips=store.frame("candidates", _CLIPS),
            pairs=pairs,
            votes=store.frame("votes", [*VOTES, "reason"]),
            decisions=decisions,
            campaigns={name: asked(known.get(name, Campaign(name=name))) for name in names},
        )

    @cached_property
    def rows(self) -> pl.DataFrame:
        """Every vote with what is known of its pair."""
        return answered(self.votes, self.pairs)

    @cached_property
    def left_out(self) -> frozenset[str]:
        """People whose votes do not count."""
        return decided.excluded(self.decisions)

    @cached_property
    def gold(self) -> dict[str, Gold]:
        """Pairs whose answer is known."""
        return decided.gold(self.decisions)

    @cached_property
    def progress(self) -> list[Progress]:
        """How far each campaign is."""
        wanted = {name: one.redundancy for name, one in self.campaigns.items()}
        return progress(self.rows, self.pairs, wanted, left_out=self.left_out)

    @cached_property
    def tally(self) -> pl.DataFrame:
        """Answers per pair."""
        return tally(self.rows, left_out=self.left_out)

    @cached_property
    def efforts(self) -> list[Effort]:
        """What each person did."""
        return efforts(self.votes, self.pairs, self.clips, gold=self.gold, left_out=self.left_out)

    @cached_property
    def paces(self) -> Mapping[Mode, Pace]:
        """Seconds per mode, of people whose votes count."""
        return paces(self.rows.filter(~pl.col("annotator").is_in(list(self.left_out))))


class Readings:
    """The newest reading of a desk's database, read again when it is old and something is new."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._turn = threading.Lock()
        self._reading: Reading | None = None
        self._heads: dict[str, int] = {}
        self._until = 0.0

    def newest(self, *, now: bool = False) -> Reading:
        """The reading that holds; with `now`, no older than this call (after a decision)."""
        with self._turn:  # one lead reads, the others get the same
            if self._reading is None or now or time.monotonic() >= self._until:
                store = self._desk.store
                heads = {kind: store.heads()[kind] for kind in _KINDS}
                if self._reading is None or heads != self._heads:
                    self._reading, self._heads = Reading.of(store, self._desk.asked), heads
                self._until = time.monotonic() + FRESH_SECONDS
            return self._reading


def opinion(store: Store, pair: Pair, *, profile: str = AUTO) -> Opinion | None:
    """What OmniScore says about a pair, its `a` as the left clip, as annotators are told it.

    Args:
        store: the database.
        pair: the pair.
        profile: the one that its campaign wants.
    """
    clips, decisions = [pair.a, pair.b], store.all("decisions")
    scores = Scores()
    for one in store.scores_of(clips):
        row = np.array([clips.index(one.candidate)])
        scores.put(one.scorer, one.dimension, row, np.array([one.value]), len(clips))
    stored = {one.name: one for one in calibration.every(decisions).values()}
    used = {name: calibration.in_use(decisions, name) for name in PROFILES}
    in_use = {name: one for name, one in used.items() if one is not None}
    opinions = Opinions(scores, calibrations=in_use | stored)
    opinions.tables = PROFILES | {name: one.table for name, one in stored.items()}
    wanted = pair if profile == AUTO else replace(pair, profile=profile)
    return opinions(wanted, (0, 1))


def totals(store: Store, clips: Sequence[str]) -> dict[str, str]:
    """OmniScore of each clip that has one, under the fullest profile, with the profile's name."""
    scores, found = store.scores_of(clips), {}
    for name in reversed(AUTO_ORDER):  # the fullest last, so that it stays
        for clip, omni in omniscore.totals(scores, PROFILES[name]).items():
            if omni.total is not None:
                found[clip] = f"{omni.total:.3f} ({name})"
    return found


def names(desk: Desk) -> dict[str, str]:
    """How people are called, by the id that their votes say; nobody without accounts."""
    if not desk.people.on:
        return {}
    return {account.id: account.name for account in desk.people.all()}

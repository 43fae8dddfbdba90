"""What the database holds, in narrow columns for the page: read at the start, then what is new.

Other commands add clips, scores, pairs and decisions while the app runs (through the owner's
socket); `news` reads what lies above the numbers that were read last. Nothing is decided here. Per
pair 50 bytes, per clip 50, 8 per scored dimension and some 200 for an image; the prompts' texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int, UInt64

from annotate.beginnings import Beginnings
from annotate.idle import Counts
from annotate.keys import Codes, Column, Keys
from annotate.ledger import Change, Ledger
from annotate.opinion import Opinion, Opinions
from annotate.scores import Scores
from data import calibration, decisions
from data.omniscore import PROFILES
from data.records import NEVER_TRAINS, Decision, Pair, Vote
from data.store import Store, columns
from data.store.rows import to_records, to_votes

_PAIR = ("id", "prompt", "a", "b", "best", "profile", "margin", "strategy", "campaign")


class Catalogue:
    """The database as it was last looked at. Not thread-safe: the desk locks."""

    def __init__(self, store: Store) -> None:
        """Read everything that the page needs."""
        self._store = store
        self._prompts, self._clips, self._pairs = Keys(32), Keys(64), Keys(32)
        self._texts = pl.Series("text", [], pl.String)
        self._fps = Column(np.float64)
        self._profiles, self._strategies, self._campaigns = Codes(), Codes(), Codes()
        self._columns = _no_pairs()
        self.opinions, self.beginnings = Opinions(Scores()), Beginnings()
        self.decisions: list[Decision] = []
        """All of them, in the order of the store."""
        self.uncounted: frozenset[str] = frozenset()
        """Annotators whose votes do not count."""
        self.again: dict[str, int] = {}
        """Pairs that are asked of so many people more."""
        self.changes: list[Callable[[Change], None]] = []
        """Who wants to know of every new vote."""
        self.heard: list[Callable[[Vote], None]] = []
        """Who wants to see every new vote itself."""
        self.version = 0
        """Counts up when something changed that every pair may hang on; new pairs only add."""
        self.news()
        self.ledger = Ledger(store.ask(columns.ballots(0)), number_of=self._number_of)

    @property
    def size(self) -> int:
        """How many pairs, of all campaigns and uses."""
        return len(self._pairs)

    def news(self) -> None:
        """Read what was added since the last look: prompts, clips, scores, pairs, decisions."""
        known = len(self._prompts) + len(self._clips)
        self._read_prompts()
        self._read_clips()
        arrived = len(self._prompts) + len(self._clips) > known
        scored = self.opinions.scores.read(self._store, len(self._clips))
        mended = self._read_pairs(arrived=arrived)
        decided = self._read_decisions()
        self.version += mended or decided or (scored and bool(self.opinions.calibrations))

    def _since(self, kind: str, after: int, names: Sequence[str]) -> pl.DataFrame:
        return self._store.ask(columns.since(kind, after, names))

    def _read_prompts(self) -> None:
        fresh = self._since("prompts", len(self._prompts), ("id", "text"))
        self._prompts.add(fresh["id"])
        self._texts.extend(fresh["text"])

    def _read_clips(self) -> None:
        fresh = self._since("candidates", len(self._clips), ("sha256", "fps", "settings"))
        self._clips.add(fresh["sha256"])
        self._fps.add(fresh["fps"].to_numpy())
        self.beginnings.read(fresh)

    def _read_pairs(self, *, arrived: bool) -> bool:
        """New pairs; all of them again where some lack a clip or a prompt that may have come."""
        again = arrived and bool((~self._columns["complete"].all).any())
        if again:
            self._pairs, self._columns = Keys(32), _no_pairs()
        fresh = self._since("pairs", self.size, _PAIR)
        self._pairs.add(fresh["id"])
        rows = {
            "prompt": self._prompts.rows(fresh["prompt"]),
            "a": self._clips.rows(fresh["a"]),
            "b": self._clips.rows(fresh["b"]),
            "best": _opinion(fresh),
            "margin": fresh["margin"].to_numpy().astype(np.float64),
            "profile": self._profiles.of(fresh["profile"]),
            "strategy": self._strategies.of(fresh["strategy"]),
            "campaign": self._campaigns.of(fresh["campaign"]),
            "trains": _trains(fresh["strategy"]),
        }
        rows["complete"] = (rows["prompt"] >= 0) & (rows["a"] >= 0) & (rows["b"] >= 0)
        for name, column in self._columns.items():
            column.add(rows[name])
        return again

    def _read_decisions(self) -> bool:
        """New decisions, and what they change for pairs; whether they do."""
        names = ("id", "topic", "subject", "values", "by", "time_ms")
        fresh = self._since("decisions", len(self.decisions), names)
        if not len(fresh):
            return False
        self.decisions += to_records("decisions", fresh)
        in_use = {name: calibration.in_use(self.decisions, name) for name in PROFILES}
        before = (self.uncounted, self.again, self.opinions.calibrations)
        self.uncounted = decisions.excluded(self.decisions)
        self.again = decisions.asked_again(self.decisions)
        stored = {one.name: one for one in calibration.every(self.decisions).values()}
        used = {name: one for name, one in in_use.items() if one is not None}
        self.opinions.calibrations = used | stored
        self.opinions.tables = PROFILES | {name: one.table for name, one in stored.items()}
        return before != (self.uncounted, self.again, self.opinions.calibrations)

    # Pairs, clips, prompts

    def pair(self, identity: str) -> Pair | None:
        """The pair with that id; None where it, its prompt or one of its clips is not there."""
        row = self._pairs.find(identity)
        return None if row is None or not self._columns["complete"].all[row] else self.pair_at(row)

    def strategy(self, identity: str, campaign: str) -> str | None:
        """The strategy of a pair that is there and in this campaign; None for any other id."""
        row, of = self._pairs.find(identity), self._columns
        if row is None or not of["complete"].all[row]:
            return None
        here = of["campaign"].all[row] == self._campaigns.find(campaign)
        return self._strategies.words[of["strategy"].all[row]] if here else None

    def row(self, identity: str) -> int | None:
        """Where the pair with that id stands among all pairs, from 0."""
        return self._pairs.find(identity)

    def pair_at(self, row: int) -> Pair:
        """The pair of that row, which must be complete."""
        of = {name: column.all[row].item() for name, column in self._columns.items()}
        a, b = self._clips.text(of["a"]), self._clips.text(of["b"])
        return Pair(
            prompt=self._prompts.text(of["prompt"]), a=a, b=b,
            best=(None, a, b)[of["best"]],
            margin=None if np.isnan(of["margin"]) else of["margin"],
            profile=self._profiles.words[of["profile"]],
            strategy=self._strategies.words[of["strategy"]],
            campaign=self._campaigns.words[of["campaign"]],
        )  # fmt: skip

    def pair_id(self, row: int) -> str:
        """The id of the pair of that row."""
        return self._pairs.text(row)

    def has_clip(self, sha256: str) -> bool:
        """Whether there is such a clip."""
        return self._clips.find(sha256) is not None

    def fps(self, sha256: str) -> float:
        """Frames per second of a clip that is there."""
        return float(self._fps.all[self._clip(sha256)])

    def prompt(self, pair: Pair) -> str:
        """What the clips of a pair were made from."""
        row = self._prompts.find(pair.prompt)
        if row is None:
            raise KeyError(pair.prompt)
        return self._texts[row]

    def opinion(self, pair: Pair, left: str, right: str) -> Opinion | None:
        """What OmniScore says about the two clips of a pair; None where neither has any score."""
        return self.opinions(pair, (self._clip(left), self._clip(right)))

    def _clip(self, sha256: str) -> int:
        row = self._clips.find(sha256)
        if row is None:
            raise KeyError(sha256)
        return row

    # Votes

    def stored(self, vote: Vote, seq: int) -> None:
        """Take a vote that the store has acknowledged, with its time and number."""
        row = self._pairs.find(vote.pair)
        pair = None if row is None else self.pair(vote.pair)
        if row is None or pair is None:
            return
        change = self.ledger.add(vote, pair, row, seq)
        if change is not None:
            for hear in self.changes:
                hear(change)
            for take in self.heard:
                take(vote)

    def votes_news(self, upto: int) -> None:
        """Read the votes that came in by other ways than `stored`, up to the store's newest."""
        if self.ledger.has_all(upto):
            self.ledger.known_upto(upto)
            return
        fresh = self._store.ask(columns.votes_after(self.ledger.upto))
        numbers = fresh["seq"].to_list()
        for vote, seq in zip(to_votes(fresh), numbers, strict=True):
            self.stored(vote, seq)
        self.ledger.known_upto(max([upto, *numbers]))

    def vote(self, identity: str) -> Vote | None:
        """The vote of that id, standing or not; asks the store."""
        found = self._store.get("votes", identity)
        return found if isinstance(found, Vote) else None

    def _number_of(self, vote: str) -> int | None:
        found = self._store.ask(columns.vote_number(vote))["seq"].to_list()
        return found[0] if found else None

    # Columns for the orders

    @property
    def keys(self) -> UInt64[np.ndarray, " n"]:
        """The first 64 bits of every pair's id."""
        return self._pairs.heads

    def ordinary(self, campaign: str, after: int = 0) -> Bool[np.ndarray, " n"]:
        """Which of the pairs from row `after` on are the campaign's, and check nobody."""
        return self._here(campaign, after) & self._columns["trains"].all[after:]

    def counting(self, campaign: str, after: int = 0) -> Bool[np.ndarray, " n"]:
        """The campaign's from row `after` on, without practice: gold is work like any."""
        return self._here(campaign, after) & ~self._used("practice", after)

    def _used(self, use: str, after: int) -> Bool[np.ndarray, " n"]:
        words = [word.partition(":")[0] for word in self._strategies.words]
        codes = np.flatnonzero(np.array(words) == use)
        return np.isin(self._columns["strategy"].all[after:], codes)

    def _here(self, campaign: str, after: int) -> Bool[np.ndarray, " n"]:
        of = {name: column.all[after:] for name, column in self._columns.items()}
        here = (of["campaign"] == self._campaigns.find(campaign)) & of["complete"]
        rows, shown = np.flatnonzero(here), self._fps.all > 0  # of some clips only votes are known
        here[rows] = shown[of["a"][rows]] & shown[of["b"][rows]]
        return here

    def special(self, campaign: str, use: str) -> list[Pair]:
        """The campaign's pairs that check people; `use`: the first word of their strategy."""
        found = self._here(campaign, 0) & self._used(use, 0)
        return [self.pair_at(int(row)) for row in np.flatnonzero(found)]

    def margins(self, after: int = 0) -> Float[np.ndarray, " n"]:
        """OmniScore's margin per pair from row `after` on, NaN where there is none.

        As stored with the pair; where a calibration of the pair's profile is in use, by the raw
        scores of now and the fitted weights.
        """
        of = {name: column.all[after:] for name, column in self._columns.items()}
        margins = of["margin"].copy()
        for name, found in self.opinions.calibrations.items():
            mine = np.flatnonzero((of["profile"] == self._profiles.find(name)) & of["complete"])
            if len(mine):
                totals = self.opinions.scores.totals(found.table, len(self._clips))
                margins[mine] = totals[of["a"][mine]] - totals[of["b"][mine]]
        return np.abs(margins)

    def campaigns(self) -> tuple[str, ...]:
        """Every campaign that has pairs, by name."""
        return tuple(sorted(self._campaigns.words))

    def counts(self, campaign: str, *, answered: int) -> Counts:
        """How full the database is for an annotator who has answered so many of the campaign."""
        return Counts(
            candidates=len(self._clips),
            scored=self.opinions.scores.scored(PROFILES.values()),
            pairs=int(self.ordinary(campaign).sum()),
            other_campaigns=tuple(name for name in self.campaigns() if name != campaign),
            answered=answered,
        )


def _no_pairs() -> dict[str, Column]:
    kinds = {"prompt": np.int32, "a": np.int32, "b": np.int32, "best": np.int8,
             "margin": np.float64, "profile": np.int32, "strategy": np.int32,
             "campaign": np.int32, "trains": np.bool_, "complete": np.bool_}  # fmt: skip
    return {name: Column(kind) for name, kind in kinds.items()}


def _opinion(pairs: pl.DataFrame) -> Int[np.ndarray, " n"]:
    """0 where the scorer has none, 1 for `a`, 2 for `b`."""
    column = pl.when(pl.col("best").is_null()).then(0).when(pl.col("best") == pl.col("a"))
    return pairs.select(column.then(1).otherwise(2).cast(pl.Int8))["literal"].to_numpy()


def _trains(strategies: pl.Series) -> Bool[np.ndarray, " n"]:
    return ~strategies.str.split(":").list.first().is_in(NEVER_TRAINS).to_numpy()

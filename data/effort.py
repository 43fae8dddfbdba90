"""What people did and how long it took: seconds per answer and mode, and one line per person.

From frames of votes and pairs (as `Store.frame` gives them) to small tables, vectorised, so that a
million votes take a second and nobody waits meanwhile. How far people and OmniScore agree over all
votes, clustered by prompt, is another module's; here it is per person, with Wilson's interval.

Modes of an answer (a preference or a tie; skips and undos are no answers):

- `blind`: given before any score was shown;
- `shown`: given with the score in view from the start;
- `reveal`: keep or change, after the score of a blind answer was revealed.

A later edit of an answer has no time of its own. A *hasty* confirmation is a `shown` answer that
took OmniScore's side in less time than the longer of the two clips lasts at normal speed: nobody
has seen both clips by then. Where the low end of the interval of somebody's hasty share is above
one half, their votes look like rubber-stamping.

Left out on purpose: whose votes are left out (`Effort.counts` only says so), and time between
answers. Pure: no IO.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from data.agreement import Share, wilson
from data.decisions import Gold
from data.records import NEVER_TRAINS

Mode = Literal["blind", "shown", "reveal"]
MODES: tuple[Mode, ...] = ("blind", "shown", "reveal")
VOTES = (
    "id", "pair", "annotator", "left", "right", "outcome", "preferred", "unusable", "exposure",
    "revises", "seconds", "time_ms",
)  # fmt: skip
PAIRS = ("id", "prompt", "best", "margin", "strategy", "campaign")
"""Columns that are needed of each kind."""
RUBBER = 0.5
"""A share of hasty confirmations that is surely above this looks like rubber-stamping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds per answer; None where there was no answer."""

    answers: int
    median: float | None
    slow: float | None
    """90th percentile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What one person did on pairs that count; checks (gold, repeats) are apart."""

    annotator: str
    counts: bool
    """False where this person's votes are left out of labels and statistics."""
    answers: int
    ties: int
    """Of the answers; unusable ones are not among them."""
    unusable: int
    skips: int
    newest_ms: int
    pace: Pace
    left: Share
    """Of the first answers that took a side, how many took the left one."""
    blind: Share
    """Agreement with OmniScore, answered blind."""
    shown: Share
    """Agreement with OmniScore, answered with the score in view."""
    hasty: Share
    """Of the shown confirmations."""
    gold: Share
    repeats: Share
    """Pairs that came again with sides swapped and got the same answer."""

    @property
    def rubber_stamps(self) -> bool:
        """Whether most shown confirmations were surely given before the clips could be seen."""
        return self.hasty.share is not None and self.hasty.low > RUBBER


def answered(votes: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Every timed answer on a pair that is known: all of `VOTES`, `mode`, `best`, `checks`.

    `checks` is the first word of the strategy where the pair checks people, else empty.
    """
    earlier = votes.select(pl.col("id").alias("revises"), pl.col("exposure").alias("before"))
    first = pl.col("strategy").str.split(":").list.first()
    known = pairs.select(
        pl.col("id").alias("pair"), "best", "strategy", "campaign",
        pl.when(first.is_in(NEVER_TRAINS)).then(first).otherwise(pl.lit("")).alias("checks"),
    )  # fmt: skip
    return (
        votes.join(earlier, on="revises", how="left", maintain_order="left")
        .join(known, on="pair", how="inner", maintain_order="left")
        .with_columns(_mode().alias("mode"))
    )


def _mode() -> pl.Expr:
    shown = pl.col("exposure") == "shown"
    answer = pl.col("outcome").is_in(["preference", "tie"])
    return (
        pl.when(answer & shown & (pl.col("before") == "blind"))
        .then(pl.lit("reveal"))
        .when(answer & pl.col("revises").is_null())
        .then(pl.col("exposure"))
        .otherwise(None)
    )


def paces(rows: pl.DataFrame) -> dict[Mode, Pace]:
    """Seconds per mode, of `answered` rows; practice does not count."""
    real = rows.filter(pl.col("checks") != "practice")
    return {mode: _pace(real.filter(pl.col("mode") == mode)["seconds"]) for mode in MODES}


def _pace(seconds: pl.Series) -> Pace:
    if not len(seconds):
        return Pace(answers=0, median=None, slow=None)
    slow: Any = seconds.quantile(0.9, "linear")
    middle: Any = seconds.median()
    return Pace(answers=len(seconds), median=float(middle), slow=float(slow))


def standing(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows whose votes stand: as `data.votes.live_votes`, over a frame."""
    return (
        rows.filter(pl.col("outcome") != "undo")
        .join(rows.select("revises").drop_nulls(), left_on="id", right_on="revises", how="anti")
        .sort("time_ms", "id")
        .unique(["pair", "annotator"], keep="last", maintain_order=True)
    )


def firsts(rows: pl.DataFrame) -> pl.DataFrame:
    """For each row that stands its last blind answer, or itself: as `data.votes.first_answers`."""
    done: list[pl.DataFrame] = []
    whole = standing(rows).with_columns(pl.col("id").alias("stands"))
    link = whole
    while len(link):
        blind = pl.col("exposure") == "blind"
        done.append(link.filter(blind))
        older = link.filter(~blind & pl.col("revises").is_not_null()).select("revises", "stands")
        link = rows.join(older, left_on="id", right_on="revises", how="inner")
    found = pl.concat([part.select(whole.columns) for part in done]) if done else whole.clear()
    return pl.concat([found, whole.join(found, on="stands", how="anti")]).drop("stands")


def efforts(
    votes: pl.DataFrame,
    pairs: pl.DataFrame,
    clips: pl.DataFrame,
    *,
    gold: Mapping[str, Gold],
    left_out: Collection[str] = (),
) -> list[Effort]:
    """One line per person who voted, the busiest first.

    Args:
        votes: With the columns `VOTES`, in the order of the store.
        pairs: With the columns `PAIRS`.
        clips: Candidates with `sha256`, `fps` and `frames`.
        gold: What is known about pairs (`data.decisions.gold`).
        left_out: People whose votes do not count.
    """
    rows = answered(votes, pairs)
    lasting = clips.select("sha256", (pl.col("frames") / pl.col("fps")).alias("lasts"))
    timed = _with_length(rows.filter(pl.col("mode") == "shown"), lasting)
    parts = {
        "stands": standing(rows),
        "first": firsts(rows).filter(pl.col("checks") == ""),
        "timed": timed.filter(pl.col("checks") == ""),
        "rows": rows,
    }
    by_person = {name: _by_person(frame) for name, frame in parts.items()}
    made = [
        _effort(
            annotator,
            {name: found.get(annotator, parts[name].clear()) for name, found in by_person.items()},
            gold,
            counts=annotator not in left_out,
        )
        for annotator in by_person["rows"]
    ]
    return sorted(made, key=lambda one: (-one.answers, one.annotator))


def _by_person(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    parts = rows.partition_by("annotator", as_dict=True, maintain_order=True)
    return {str(key[0]): part for key, part in parts.items()}


def _with_length(rows: pl.DataFrame, lasting: pl.DataFrame) -> pl.DataFrame:
    for side in ("left", "right"):
        of_side = lasting.rename({"sha256": side, "lasts": f"lasts_{side}"})
        rows = rows.join(of_side, on=side, how="left", maintain_order="left")
    return rows.with_columns(pl.max_horizontal("lasts_left", "lasts_right").alias("lasts"))


def _effort(
    annotator: str, parts: Mapping[str, pl.DataFrame], gold: Mapping[str, Gold], *, counts: bool
) -> Effort:
    stands = parts["stands"]
    work = stands.filter(pl.col("checks") == "")
    answers = work.filter(pl.col("outcome") != "skip")
    sided = parts["first"].filter(pl.col("outcome") == "preference")
    timed = parts["rows"].filter(pl.col("mode").is_not_null() & (pl.col("checks") != "practice"))
    newest: Any = parts["rows"]["time_ms"].max()
    return Effort(
        annotator=annotator,
        counts=counts,
        answers=len(answers),
        ties=len(answers.filter((pl.col("outcome") == "tie") & ~pl.col("unusable"))),
        unusable=len(answers.filter("unusable")),
        skips=len(work) - len(answers),
        newest_ms=int(newest),
        pace=_pace(timed["seconds"]),
        left=wilson(len(sided.filter(pl.col("preferred") == pl.col("left"))), len(sided)),
        blind=_agreed(parts["first"].filter(pl.col("exposure") == "blind")),
        shown=_agreed(parts["first"].filter(pl.col("exposure") == "shown")),
        hasty=_hasty(parts["timed"]),
        gold=_gold(stands.filter(pl.col("checks") == "gold"), gold),
        repeats=_repeats(stands),
    )


def _agreed(rows: pl.DataFrame) -> Share:
    sided = rows.filter((pl.col("outcome") == "preference") & pl.col("best").is_not_null())
    sided = sided.filter(~pl.col("unusable"))
    return wilson(len(sided.filter(pl.col("preferred") == pl.col("best"))), len(sided))


def _hasty(rows: pl.DataFrame) -> Share:
    confirmed = rows.filter((pl.col("preferred") == pl.col("best")) & pl.col("lasts").is_not_null())
    return wilson(len(confirmed.filter(pl.col("seconds") < pl.col("lasts"))), len(confirmed))


def _gold(rows: pl.DataFrame, gold: Mapping[str, Gold]) -> Share:
    """Answers to gold pairs that were the expected ones; a skip is no answer."""
    known = [row for row in rows.iter_rows(named=True) if row["pair"] in gold]
    answers = [row for row in known if row["outcome"] != "skip"]
    right = sum(row["preferred"] == gold[row["pair"]].expected for row in answers)
    return wilson(right, len(answers))


def _repeats(rows: pl.DataFrame) -> Share:
    """Repeated pairs with the same answer as the first time."""
    answers = rows.filter(pl.col("outcome") != "skip")
    again = answers.filter(pl.col("checks") == "repeat").select(
        pl.col("strategy").str.splitn(":", 2).struct.field("field_1").alias("pair"),
        pl.col("preferred").alias("then"),
    )
    both = again.join(answers.select("pair", "preferred"), on="pair", how="inner")
    same = both.filter(pl.col("preferred").eq_missing(pl.col("then")))
    return wilson(len(same), len(both))

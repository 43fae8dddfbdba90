"""How far each campaign is: pairs, answers, and how many pairs have as many as were asked for.

From the rows of `data.effort.answered`. A skip is no answer, and votes of people who are left out
do not fill a pair. Left out on purpose: leases, and whether a split pair needs more people than the
campaign asks at least (`annotate.campaigns` decides that). Pure: no IO.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from data.effort import standing
from data.records import NEVER_TRAINS


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One campaign."""

    campaign: str
    pairs: int
    """That may become labels; those that check people are not among them."""
    wanted: int
    """Answers per pair that the campaign asks for at least."""
    full: int
    """Pairs that have so many."""
    begun: int
    """Pairs with an answer, but not with enough."""
    split: int
    """Pairs on which two people prefer different clips."""
    answers: int
    people: int


def progress(
    rows: pl.DataFrame,
    pairs: pl.DataFrame,
    wanted: Mapping[str, int],
    *,
    left_out: Collection[str] = (),
) -> list[Progress]:
    """One line per campaign that has pairs or is in `wanted`, by name.

    Args:
        rows: Of `data.effort.answered`.
        pairs: With `id`, `campaign` and `strategy`.
        wanted: Answers per pair that a campaign asks for; 1 where it is not named.
        left_out: People whose votes do not count.
    """
    first = pl.col("strategy").str.split(":").list.first()
    real = pairs.filter(~first.is_in(NEVER_TRAINS))
    tallies = tally(rows, left_out=left_out)
    every = real.select(pl.col("id").alias("pair"), "campaign").join(tallies, on="pair", how="left")
    names = sorted({*every["campaign"].unique(), *wanted})
    return [_campaign(name, every, rows, wanted.get(name, 1), left_out) for name in names]


def tally(rows: pl.DataFrame, *, left_out: Collection[str] = ()) -> pl.DataFrame:
    """Per pair that was voted on: `answers`, `skips`, `sides` (distinct clips preferred), `newest`.

    Also `against`: whether somebody prefers the other clip than OmniScore does.
    """
    stands = standing(rows).filter(~pl.col("annotator").is_in(list(left_out)))
    skip = pl.col("outcome") == "skip"
    return stands.group_by("pair").agg(
        (~skip).sum().alias("answers"),
        skip.sum().alias("skips"),
        pl.col("preferred").drop_nulls().n_unique().alias("sides"),
        (pl.col("preferred") != pl.col("best")).any().alias("against"),
        pl.col("time_ms").max().alias("newest"),
    )


def days(rows: pl.DataFrame, *, zone: str = "UTC", newest: int = 14) -> list[tuple[str, int, int]]:
    """Date, answers and people of the newest days with answers, the newest day first.

    Args:
        rows: Of `data.effort.answered`.
        zone: Time zone that says when a day ends.
        newest: How many days.
    """
    when = pl.from_epoch("time_ms", "ms").dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    found = (
        rows.filter(pl.col("mode").is_not_null())
        .group_by(when.dt.strftime("%Y-%m-%d").alias("day"))
        .agg(pl.len().alias("answers"), pl.col("annotator").n_unique().alias("people"))
        .sort("day", descending=True)
    )
    return list(found.head(newest).iter_rows())


def _campaign(
    name: str, every: pl.DataFrame, rows: pl.DataFrame, wanted: int, left_out: Collection[str]
) -> Progress:
    mine = every.filter(pl.col("campaign") == name)
    answers = mine["answers"].fill_null(0)
    people = rows.filter((pl.col("campaign") == name) & ~pl.col("annotator").is_in(list(left_out)))[
        "annotator"
    ]
    return Progress(
        campaign=name,
        pairs=len(mine),
        wanted=wanted,
        full=int((answers >= wanted).sum()),
        begun=int(((answers > 0) & (answers < wanted)).sum()),
        split=int((mine["sides"].fill_null(0) > 1).sum()),
        answers=int(answers.sum()),
        people=people.n_unique(),
    )

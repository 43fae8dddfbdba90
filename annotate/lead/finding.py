"""The browser's questions: which pairs, votes and clips match the filters. One page at a time.

Everything stays in columns until a page of it is cut out, so that a million pairs are searched in
a fraction of a second. Pure but for the scores of the clips on a page, which its caller reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from annotate.lead.reading import Reading
from data.effort import standing

PAGE = 25
"""Rows on a page."""
VIEWS = ("pairs", "votes", "clips")
STATES = ("unanswered", "split", "against", "with", "checks")
OUTCOMES = ("preference", "tie", "unusable", "skip", "undo")
EXPOSURES = ("blind", "shown")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What is looked for; empty means anything."""

    view: str = "pairs"
    campaign: str = ""
    person: str = ""
    outcome: str = ""
    exposure: str = ""
    state: str = ""
    """Of the pair, one of `STATES`: `against` has an override, `with` has votes and none."""
    text: str = ""
    """In the prompt, or the beginning of a pair's or a clip's id."""
    page: int = 1


@dataclass(frozen=True)
class Found:
    """A page of what matches."""

    total: int
    page: int
    rows: pl.DataFrame

    @property
    def pages(self) -> int:
        """How many pages there are, at least 1."""
        return max(1, -(-self.total // PAGE))


def pairs(reading: Reading, filters: Filters) -> Found:
    """Pairs, those with the newest votes first."""
    rows = reading.pairs.lazy().rename({"id": "pair"})
    rows = rows.join(reading.tally.lazy(), on="pair", how="left", maintain_order="left")
    rows = _about(rows, reading, filters)
    if filters.person or filters.outcome or filters.exposure:
        votes = _voting(standing(reading.rows).lazy(), filters).select("pair").unique()
        rows = rows.join(votes, on="pair", how="semi", maintain_order="left")
    rows = rows.sort("newest", descending=True, nulls_last=True, maintain_order=True)
    return _cut(rows, filters.page)


def votes(reading: Reading, filters: Filters) -> Found:
    """Every vote ever cast, the newest first; `stands` says whether it still counts."""
    about = _about(reading.pairs.lazy().rename({"id": "pair"}).join(
        reading.tally.lazy(), on="pair", how="left"), reading, filters)  # fmt: skip
    stand = standing(reading.rows).lazy().select("id", stands=pl.lit(value=True))
    rows = (
        _voting(reading.rows.lazy(), filters)
        .join(about.select("pair", "text"), on="pair", how="inner", maintain_order="left")
        .join(stand, on="id", how="left", maintain_order="left")
        .sort("time_ms", descending=True, maintain_order=True)
    )
    return _cut(rows, filters.page)


def clips(reading: Reading, filters: Filters) -> Found:
    """Clips with their prompts, in the order in which they came; only the text narrows them."""
    prompts = reading.prompts.lazy().select(pl.col("id").alias("prompt"), "text", "split")
    rows = reading.clips.lazy().join(prompts, on="prompt", how="left", maintain_order="left")
    if filters.campaign:
        used = reading.pairs.lazy().filter(campaign=filters.campaign).select("prompt").unique()
        rows = rows.join(used, on="prompt", how="semi", maintain_order="left")
    if filters.text:
        rows = rows.filter(_contains(filters.text) | _begins("sha256", filters.text))
    return _cut(rows, filters.page)


def votes_of(reading: Reading, ids: Sequence[str]) -> dict[str, pl.DataFrame]:
    """The votes that stand on these pairs, by pair."""
    rows = standing(reading.rows.filter(pl.col("pair").is_in(list(ids))))
    parts = rows.partition_by("pair", as_dict=True, maintain_order=True)
    return {str(key[0]): part for key, part in parts.items()}


def _about(rows: pl.LazyFrame, reading: Reading, filters: Filters) -> pl.LazyFrame:
    """The pairs that are about what is looked for, with their prompts' `text`."""
    prompts = reading.prompts.lazy().select(pl.col("id").alias("prompt"), "text")
    rows = rows.join(prompts, on="prompt", how="left", maintain_order="left")
    if filters.campaign:
        rows = rows.filter(campaign=filters.campaign)
    if filters.text:
        rows = rows.filter(_contains(filters.text) | _begins("pair", filters.text))
    if filters.state in STATES:
        rows = rows.filter(_STATES[filters.state])
    return rows


_ANSWERED = pl.col("answers").fill_null(0) > 0
_AGAINST = pl.col("against").fill_null(value=False)
_STATES: dict[str, pl.Expr] = {
    "unanswered": ~_ANSWERED,
    "split": pl.col("sides").fill_null(0) > 1,
    "against": _AGAINST,
    "with": _ANSWERED & ~_AGAINST & pl.col("best").is_not_null(),
    "checks": pl.col("strategy").str.contains("^(gold|practice|repeat)(:|$)"),
}


def _voting(rows: pl.LazyFrame, filters: Filters) -> pl.LazyFrame:
    if filters.person:
        rows = rows.filter(annotator=filters.person)
    if filters.outcome == "unusable":
        rows = rows.filter("unusable")
    elif filters.outcome:
        rows = rows.filter(outcome=filters.outcome)
    if filters.exposure:
        rows = rows.filter(exposure=filters.exposure)
    return rows


def _contains(text: str) -> pl.Expr:
    wanted = text.strip().lower()
    return (
        pl.col("text").str.to_lowercase().str.contains(wanted, literal=True).fill_null(value=False)
    )


def _begins(column: str, text: str) -> pl.Expr:
    return pl.col(column).str.starts_with(text.strip().lower())


def _cut(rows: pl.LazyFrame, page: int) -> Found:
    every = rows.collect()
    last = max(1, -(-len(every) // PAGE))
    page = min(max(1, page), last)
    return Found(len(every), page, every.slice((page - 1) * PAGE, PAGE))

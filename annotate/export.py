"""Every vote of a campaign as rows for a file: JSON lines or CSV.

What was said, by whom, about which clips, shown what, and whether it still stands and counts. For
whole databases, scores and clips there is `python -m data.export`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import polars as pl

from annotate.checks import is_right
from annotate.questions import answers_of, flags_of, skip_of
from annotate.track import kind_of
from data.decisions import excluded, gold
from data.records import Decision, Pair, Vote
from data.store import Store
from data.store.rows import to_votes
from data.votes import live_votes

Row = dict[str, Any]
_AT_ONCE = 10_000
FIELDS = (
    "vote", "pair", "campaign", "prompt", "annotator", "time_ms", "left", "right", "outcome",
    "preferred", "strength", "unusable", "answers", "flags", "skip", "comment", "exposure",
    "revises", "stands", "counts", "check", "right_answer", "seconds", "watched",
)  # fmt: skip


def rows(store: Store, campaign: str) -> Iterator[Row]:
    """One row per vote, oldest first, with the fields of `FIELDS`."""
    decisions = cast("list[Decision]", store.all("decisions"))
    out, known = excluded(decisions), gold(decisions)
    everything = cast("list[Pair]", store.all("pairs"))
    pairs = {one.id: one for one in everything if one.campaign == campaign}
    texts = dict(store.frame("prompts", ("id", "text")).iter_rows())
    votes = store.frame("votes").filter(pl.col("pair").is_in(list(pairs)))
    standing = {vote.id for vote in live_votes(to_votes(votes))}
    for start in range(0, len(votes), _AT_ONCE):
        for vote in to_votes(votes[start : start + _AT_ONCE]):
            pair = pairs[vote.pair]
            right = is_right(vote, known[pair.id]) if pair.id in known else None
            yield {
                **_said(vote),
                "campaign": campaign,
                "prompt": texts.get(pair.prompt, ""),
                "stands": vote.id in standing,
                "counts": vote.annotator not in out,
                "check": "" if pair.trains else kind_of(pair.strategy),
                "right_answer": right,
            }


def _said(vote: Vote) -> Row:
    return {
        "vote": vote.id,
        "pair": vote.pair,
        "annotator": vote.annotator,
        "time_ms": vote.time_ms,
        "left": vote.left,
        "right": vote.right,
        "outcome": vote.outcome,
        "preferred": vote.preferred,
        "strength": vote.strength,
        "unusable": vote.unusable,
        "answers": answers_of(vote.answers),
        "flags": flags_of(vote.answers),
        "skip": skip_of(vote.answers),
        "comment": vote.reason,
        "exposure": vote.exposure,
        "revises": vote.revises,
        "seconds": vote.seconds,
        "watched": dict(vote.watched),
    }


def jsonl(found: Iterable[Row]) -> Iterator[str]:
    """One JSON object per line, fields in the order of `FIELDS`."""
    for row in found:
        yield json.dumps({name: row[name] for name in FIELDS}, ensure_ascii=False) + "\n"


def as_csv(found: Iterable[Row]) -> Iterator[str]:
    """A header and one line per row; answers, flags and watch facts as JSON.

    Text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    yield _line(FIELDS)
    for row in found:
        yield _line([_cell(row[name]) for name in FIELDS])


def _line(cells: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value


FORMATS: dict[str, Callable[[Iterable[Row]], Iterator[str]]] = {"jsonl": jsonl, "csv": as_csv}
MEDIA = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
"""Content type per format."""

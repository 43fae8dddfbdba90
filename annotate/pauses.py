"""What is told in passing: that gold answers are often wrong, that it is time for a break.

Never an obstacle, and never at a moment that gives anything away: the warning comes with every
`WARN_EVERY`-th answer, whatever pair that was. Both follow from the stored votes, so that a reload
says the same. Pure: no IO, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from annotate.campaigns import Campaign
from annotate.checks import results, too_often_wrong
from annotate.track import Track
from data.decisions import Gold
from data.records import Vote

WARN_EVERY = 10
"""Answers between two warnings."""
REST_MS = 5 * 60 * 1000
"""A pause of this length between two votes is a break, milliseconds."""


def warned(campaign: Campaign, track: Track, gold: Mapping[str, Gold]) -> bool:
    """Whether to say, with the page after this answer, that the gold answers are often wrong."""
    due = track.done > 0 and track.done % WARN_EVERY == 0
    return due and too_often_wrong(results(track, gold), campaign.gold_warn)


def break_due(rows: Iterable[Vote], minutes: float) -> int | None:
    """Minutes of work without a break, where the newest vote completed a multiple of `minutes`.

    Args:
        rows: the person's votes, newest first.
        minutes: after how many a break is proposed.
    """
    times = _unbroken(rows)
    if len(times) < 2:
        return None
    step = minutes * 60 * 1000
    worked, before = times[0] - times[-1], times[1] - times[-1]
    return round(worked / 60_000) if worked // step > before // step else None


def _unbroken(rows: Iterable[Vote]) -> list[int]:
    """Times of the newest votes, newest first, up to the last break."""
    times: list[int] = []
    for vote in rows:
        if times and times[-1] - vote.time_ms >= REST_MS:
            break
        times.append(vote.time_ms)
    return times

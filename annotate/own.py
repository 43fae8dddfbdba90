"""What one annotator has done in one campaign, counted vote by vote."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8

from annotate.ledger import Ledger, Mark
from annotate.order import CLOSED


class Own:
    """Counts of one annotator's standing votes, skips among them."""

    def __init__(
        self,
        ledger: Ledger,
        annotator: str,
        counting: Bool[np.ndarray, " n"],
        stage: UInt8[np.ndarray, " n"],
    ) -> None:
        """Count what is there.

        Args:
            ledger: all votes.
            annotator: whose to count.
            counting: the pairs that count.
            stage: of every pair now, `CLOSED` where it wants no more answers.
        """
        self._ledger, self._annotator = ledger, annotator
        mine = ledger.standing_of(annotator).rows
        mine = mine[counting[mine]]
        self.done = len(mine)
        """Pairs answered or skipped."""
        self.open_done = int(np.count_nonzero(stage[mine] != CLOSED))
        """Of those, the ones that still want answers of others."""
        self._midnight, self._today = -1, 0

    def today(self, midnight_ms: int, counting: Bool[np.ndarray, " n"]) -> int:
        """How many of the done ones were answered since then, UTC epoch milliseconds."""
        if midnight_ms != self._midnight:
            mine = self._ledger.standing_of(self._annotator)
            times = mine.time_ms[counting[mine.rows]]
            self._midnight = midnight_ms
            self._today = int(np.count_nonzero(times >= midnight_ms))
        return self._today

    def hear(
        self, before: Mark | None, after: Mark | None, *, was_open: bool, is_open: bool
    ) -> None:
        """Count in what became of a pair that the annotator has or had answered.

        Args:
            before: the annotator's vote that stood.
            after: the one that stands now.
            was_open: whether the pair wanted answers before.
            is_open: whether it does now.
        """
        self.open_done += (after is not None and is_open) - (before is not None and was_open)
        if before != after:
            self.done += (after is not None) - (before is not None)
            self._today += self._recent(after) - self._recent(before)

    def _recent(self, mark: Mark | None) -> bool:
        return mark is not None and mark.time_ms >= self._midnight

"""The report of `data.agree`, kept for a while: it draws thousands of samples for its intervals.

Left out on purpose: any figure of its own.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from annotate.desk import Desk
from data import agree
from data.agree import Report

FRESH_SECONDS = 20.0
"""How old a report may be."""
REST = 20.0
"""After one that took long, how many times as long the same one is shown: voting goes first."""


@dataclass(frozen=True)
class _Made:
    heads: dict[str, int]
    until: float
    report: Report


class Reports:
    """The newest report per campaign."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._turn = threading.Lock()
        self._made: dict[str | None, _Made] = {}

    def newest(self, campaign: str | None = None) -> Report:
        """What the votes say about one campaign, or all of them; perhaps some seconds old.

        Raises:
            UserError: no such campaign.
        """
        with self._turn:  # one at a time: the second lead gets what the first one waited for
            found, heads = self._made.get(campaign), self._desk.store.heads()
            began = time.monotonic()
            if found is not None and (found.heads == heads or began < found.until):
                return found.report
            built = agree.build(self._desk.store, campaign=campaign)
            took = time.monotonic() - began
            until = began + took + max(FRESH_SECONDS, REST * took)
            self._made[campaign] = _Made(heads, until, built)
            return built

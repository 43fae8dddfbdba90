"""The next few hundred pairs of one person's order, cut out of a million. Pure."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, UInt8, UInt64

from annotate.order import CLOSED, shuffled


class Stream:
    """The head of an order: pairs by row, and the stage that each was in when it was cut out."""

    def __init__(
        self,
        rows: Int[np.ndarray, " n"],
        stages: UInt8[np.ndarray, " n"],
        keys: UInt64[np.ndarray, " n"],
        seed: np.uint64,
        *,
        whole: bool,
    ) -> None:
        """Pairs in order, as `annotate.order.first` gives them.

        Args:
            rows: the pairs.
            stages: of each.
            keys: of each.
            seed: of the person's shuffle.
            whole: there were no more pairs than these.
        """
        self._rows, self._stages, self._seed, self.whole = rows, stages, seed, whole
        self._end = _places(stages[-1:], keys[-1:], seed)

    def left(self, stage: UInt8[np.ndarray, " m"]) -> Int[np.ndarray, " k"]:
        """What still is in the stage that it was in, in order; `stage` is that of every pair."""
        return self._rows[stage[self._rows] == self._stages]

    def take_in(
        self,
        moved: Int[np.ndarray, " k"],
        stage: UInt8[np.ndarray, " m"],
        keys: UInt64[np.ndarray, " m"],
    ) -> None:
        """Put pairs that moved forward to their places, as far as this reaches.

        Args:
            moved: the pairs.
            stage: of every pair.
            keys: of every pair.
        """
        open_ = moved[stage[moved] != CLOSED]
        rows = np.unique(np.concatenate([self.left(stage), open_]))
        places = _places(stage[rows], keys[rows], self._seed)
        if not self.whole:
            near = places <= self._end
            rows, places = rows[near], places[near]
        self._rows = rows[np.argsort(places)]
        self._stages = stage[self._rows]


def _places(stages: np.ndarray, keys: np.ndarray, seed: np.uint64) -> UInt64[np.ndarray, " n"]:
    """The stage before the first 56 bits of the place in the shuffle."""
    places = shuffled(keys, seed) >> np.uint64(8)
    return (stages.astype(np.uint64) << np.uint64(56)) | places


NOTHING = Stream(
    np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros(0, np.uint64), np.uint64(0), whole=True
)

"""Who sees the score before answering, and which clip stands left: two seeded draws.

Both are pure functions of a hash, so that the same database gives the same page after a restart,
on every replica and in the report. Nothing else decides them, and neither uses the other's bits.
"""

from __future__ import annotations

import functools

from data.records import Pair, digest


@functools.lru_cache(maxsize=2**18)  # an order asks for every pair's number on every page
def uniform(*parts: str) -> float:
    """A number in [0, 1) that depends on `parts` alone."""
    return (int(digest(*parts), 16) >> 75) / 2.0**53  # 53 bits: exactly a float, never rounded to 1


def repeated(pair: Pair) -> str | None:
    """The id of the pair that this one asks again; None where it is no repeat."""
    kind, _, first = pair.strategy.partition(":")
    return first if kind == "repeat" else None


def drawn_blind(pair: Pair, annotator: str, *, share: float) -> bool:
    """Whether this annotator answers this pair before any score leaves the server.

    Drawn by (campaign, pair, annotator): raising `share` in [0, 1] only adds pairs to the blind
    ones, it never swaps them. A repeat is asked under the same condition as the first time.
    """
    return uniform("blind", pair.campaign, repeated(pair) or pair.id, annotator) < share


def sides(pair: Pair, annotator: str) -> tuple[str, str]:
    """Hashes of the clips that stand (left, right) for this annotator: half of them swapped.

    A repeat has them the other way round than the first time.
    """
    first = repeated(pair)
    swapped = (uniform("sides", first or pair.id, annotator) < 0.5) != (first is not None)
    return (pair.b, pair.a) if swapped else (pair.a, pair.b)

"""In which order pairs are asked: pure functions, found by name in `ORDERS`.

An order takes the pairs that an annotator may be asked, by id, with the number of people who have
already answered each, and returns the ids, first one first. Left out on purpose: orders that adapt
to margins or disagreement (a new function here).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from annotate.exposure import uniform
from data.records import Pair

Order = Callable[[Mapping[str, Pair], Mapping[str, int], str], list[str]]


def random(pairs: Mapping[str, Pair], _answered: Mapping[str, int], annotator: str) -> list[str]:
    """Every annotator's own shuffle, seeded by (campaign, annotator): no order effect is shared."""
    places = _shuffle(pairs, annotator)
    return sorted(places, key=places.__getitem__)


def unvoted_first(
    pairs: Mapping[str, Pair], answered: Mapping[str, int], annotator: str
) -> list[str]:
    """Pairs that fewer people have answered first, shuffled as in `random` among equals.

    The default: every pair gets its first vote before any gets its second.
    """
    places = _shuffle(pairs, annotator)
    return sorted(places, key=lambda pair: (answered.get(pair, 0), places[pair]))


def _shuffle(pairs: Mapping[str, Pair], annotator: str) -> dict[str, float]:
    return {key: uniform("order", pair.campaign, annotator, key) for key, pair in pairs.items()}


ORDERS: dict[str, Order] = {"unvoted-first": unvoted_first, "random": random}

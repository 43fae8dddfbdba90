"""Which two clips of a prompt are compared: pure strategies, no IO.

VideoDPO (section 4.2) samples four clips per prompt, ranks them by OmniScore and keeps the best
against the worst; its repository's history also holds every other pair of ranks. Ranks count from 0
(best):

- `best-worst`: rank 0 against the last. `01` `02` `03` `12` `13` `23`: those two ranks, literally,
so that
  `03` is `best-worst` with four clips. `better-worse`: each of the top two against each of the last
  two (`02 03 12 13` with four clips).
- `random`: one pair per prompt, by seed; `all`: every pair. These two work without scores; the pair
then
  names no best.

Copies that `data.gold` spoiled on purpose (model `gold:<kind>`) are paired by nobody but itself.

Strategies that rank leave out clips without a total, prompts with too few clips for the rank, and
two clips of exactly equal total: a missing score is neither 0 nor a tie. Nothing ever pairs clips
of different prompts.

Left out on purpose: orders of asking (`annotate/order.py`) and pair weights (`data/weights.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Protocol

from data.records import Candidate, Pair, digest

GOLD_MODEL = "gold:"
"""How `Candidate.model` begins for a copy that `data.gold` made."""
Choose = Callable[[int], Iterable[tuple[int, int]]]


class Strategy(Protocol):
    """Pairs from clips: `candidates` are hashes per prompt id, `totals` OmniScore per hash."""

    def __call__(
        self,
        candidates: Mapping[str, Sequence[str]],
        totals: Mapping[str, float],
        seed: int,
        *,
        profile: str = "",
        campaign: str = "default",
    ) -> list[Pair]:
        """Pairs in the order of the prompts; the same arguments give the same pairs."""
        ...


def by_prompt(candidates: Iterable[Candidate]) -> dict[str, list[str]]:
    """Hashes per prompt id, each once and sorted, so that no order of arrival matters.

    Copies that were spoiled on purpose (model `gold:...`) check people and are never among them.
    """
    found: dict[str, set[str]] = {}
    for candidate in candidates:
        if candidate.model.startswith(GOLD_MODEL):
            continue
        found.setdefault(candidate.prompt, set()).add(candidate.sha256)
    return {prompt: sorted(clips) for prompt, clips in found.items()}


def ranked(clips: Iterable[str], totals: Mapping[str, float]) -> list[str]:
    """The scored ones among `clips`, best first; equal totals in the order of their hashes."""
    return sorted((clip for clip in set(clips) if clip in totals), key=lambda c: (-totals[c], c))


def opinion(one: str, other: str, totals: Mapping[str, float]) -> tuple[str | None, float | None]:
    """The scorer's best of two and its margin: (None, 0.0) if equal, (None, None) if unscored."""
    if one not in totals or other not in totals:
        return None, None
    margin = totals[one] - totals[other]
    return (None if margin == 0 else one if margin > 0 else other), abs(margin)


def _by_rank(
    candidates: Mapping[str, Sequence[str]],
    totals: Mapping[str, float],
    seed: int,
    *,
    ranks: Choose,
    strategy: str,
    profile: str = "",
    campaign: str = "default",
) -> list[Pair]:
    """Pairs of ranks; `ranks` says which, from the number of scored clips. Nothing is random."""
    del seed
    pairs = []
    for prompt, clips in candidates.items():
        order = ranked(clips, totals)
        for high, low in ranks(len(order)):
            best, margin = opinion(order[high], order[low], totals)
            if best is not None:
                pairs.append(
                    Pair.of(
                        best,
                        order[low],
                        prompt=prompt,
                        best=best,
                        margin=margin,
                        profile=profile,
                        strategy=strategy,
                        campaign=campaign,
                    )
                )
    return pairs


def _any_order(
    candidates: Mapping[str, Sequence[str]],
    totals: Mapping[str, float],
    seed: int,
    *,
    limit: int | None,
    strategy: str,
    profile: str = "",
    campaign: str = "default",
) -> list[Pair]:
    """Up to `limit` pairs per prompt (None: all), drawn by hash of seed, prompt and clips."""
    pairs = []
    for prompt, clips in candidates.items():
        drawn = sorted(
            combinations(sorted(set(clips)), 2), key=lambda two: digest("draw", seed, prompt, *two)
        )
        for one, other in drawn[:limit]:
            best, margin = opinion(one, other, totals)
            pairs.append(
                Pair.of(
                    one,
                    other,
                    prompt=prompt,
                    best=best,
                    margin=margin,
                    profile="" if margin is None else profile,
                    strategy=strategy,
                    campaign=campaign,
                )
            )
    return pairs


def _literal(high: int, low: int) -> Choose:
    return lambda count: [(high, low)] if count > low else []


def _ends(count: int) -> list[tuple[int, int]]:
    return [(0, count - 1)] if count > 1 else []


def _halves(count: int) -> list[tuple[int, int]]:
    return [(top, count - 2 + end) for top in (0, 1) for end in (0, 1)] if count >= 4 else []


_RANKS: dict[str, Choose] = {
    "best-worst": _ends,
    **{f"{high}{low}": _literal(high, low) for high, low in combinations(range(4), 2)},
    "better-worse": _halves,
}
STRATEGIES: dict[str, Strategy] = {
    **{name: partial(_by_rank, ranks=ranks, strategy=name) for name, ranks in _RANKS.items()},
    "random": partial(_any_order, limit=1, strategy="random"),
    "all": partial(_any_order, limit=None, strategy="all"),
}
"""Every strategy by name. A new one is a function and a row here."""


def percentile(values: Iterable[float], percent: float) -> float:
    """The `percent`-th percentile (0 to 100), linear between the two nearest values, as NumPy's."""
    order = sorted(values)
    place = (len(order) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(order) - 1)
    return order[low] + (order[high] - order[low]) * (place - low)


def above_percentile(
    pairs: Iterable[Pair], totals: Mapping[str, float], percent: float
) -> list[Pair]:
    """Drop pairs whose better clip lies below the `percent`-th percentile of all better clips.

    VideoDPO compares data filtered at 0, 25, 50 and 75 percent (folders `total_score_25P` and so
    on) and keeps 0; it does not say of what the percentile is taken. Pairs without totals have no
    place and go, unless `percent` is 0.
    """
    kept = list(pairs)
    tops = {
        pair.id: max(totals[pair.a], totals[pair.b])
        for pair in kept
        if pair.a in totals and pair.b in totals
    }
    if percent == 0 or not tops:
        return kept if percent == 0 else []
    least = percentile(tops.values(), percent)
    return [pair for pair in kept if pair.id in tops and tops[pair.id] >= least]


def skipped(
    candidates: Mapping[str, Sequence[str]],
    totals: Mapping[str, float],
    pairs: Iterable[Pair],
) -> Counter[str]:
    """Why prompts gave no pair: reason -> number of prompts."""
    served = {pair.prompt for pair in pairs}
    return Counter(
        _reason(set(clips), totals) for prompt, clips in candidates.items() if prompt not in served
    )


def _reason(clips: set[str], totals: Mapping[str, float]) -> str:
    values = [totals[clip] for clip in clips if clip in totals]
    if len(clips) < 2:
        return "fewer than two clips"
    if len(values) < 2:
        return "fewer than two clips with a total"
    if len(set(values)) < len(values):
        return "equal totals"
    return "too few clips with a total for this strategy"

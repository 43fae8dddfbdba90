"""Ratings of generators and adapters from votes about their clips: Bradley-Terry with ties.

The models (Davidson, Rao-Kupper, half-wins) and their fit are in `data.bradley_terry`.

Intervals: bootstrap over whole prompts, all draws solved at once. Where the graph of comparisons
falls apart, strengths of different parts have nothing in common but the prior: `parts` names them,
and every page warns. Comparisons within one item do not count. A vote that called both clips
unusable counts by its preference, else as a tie. Left out on purpose: order of presentation
(`data.checks.left`), and annotators' reliability. Pure: no IO.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from data.bootstrap import GROUPS, Estimate, enough, generator, interval, resampled, too_few
from data.bradley_terry import MODELS, Model, fit, tie_between_equals
from data.raters import said
from data.records import Pair, Vote
from data.votes import live_votes

DRAWS = 1000
UNKNOWN = "(not known)"
"""Item of a clip of which nobody says what made it."""
_Fit = tuple[Float[np.ndarray, "draws k"], Float[np.ndarray, " draws"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Game:
    """One vote about clips of two different items."""

    prompt: str
    one: str
    other: str
    outcome: Literal["one", "tie", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """One item with its record and its strength under every model."""

    item: str
    wins: int
    ties: int
    losses: int
    strengths: Mapping[Model, Estimate]
    """By model; natural log, 0 is the average item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """Ratings of the items that were compared with others, strongest first by `davidson`."""

    items: tuple[Rated, ...]
    games: int
    within: int
    """Votes about two clips of the same item, left out."""
    parts: tuple[tuple[str, ...], ...]
    """Connected parts of the graph of comparisons; more than one: they cannot be compared."""
    ties: Mapping[Model, float]
    """By model: P(tie) between equals; not for half-wins, and not from too few votes."""


def games(
    votes: Iterable[Vote], pairs: Mapping[str, Pair], item: Mapping[str, str]
) -> tuple[list[Game], int]:
    """The standing votes as games between items, and how many were within one item.

    Args:
        votes: of people who count.
        pairs: by id; those that only check people do not count.
        item: what each clip (by hash) stands for, such as its generator.
    """
    found: list[Game] = []
    within = 0
    for vote in live_votes(votes):
        pair = pairs.get(vote.pair)
        if pair is None or not pair.trains or (answer := said(vote, pair)) is None:
            continue
        one, other = (item.get(clip, UNKNOWN) for clip in (pair.a, pair.b))
        if one == other:
            within += 1
            continue
        outcome: Literal["one", "tie", "other"] = (
            "tie" if answer == "tie" else "one" if answer == "a" else "other"
        )
        found.append(Game(prompt=pair.prompt, one=one, other=other, outcome=outcome))
    return found, within


def ratings(
    played: Sequence[Game], *, within: int = 0, seed: int, what: str = "", draws: int = DRAWS
) -> Ratings:
    """Rate everything that was compared; see the module's text."""
    names = sorted({name for game in played for name in (game.one, game.other)})
    edges, sums = _summed(played, names)
    record = sums.sum(0).reshape(1, -1, 3)
    sure, drawn = enough(len(played), len(sums)), None
    if sure:
        rng = generator(seed, f"ratings {what}")
        drawn = resampled(sums, rng, draws=draws).reshape(draws, -1, 3)
    met = np.bincount(edges.ravel(), np.repeat(record.sum(2)[0], 2), len(names))
    fits: dict[Model, _Fit] = {
        model: fit(edges, record, len(names), model) for model in MODELS if played
    }
    spreads: dict[Model, Float[np.ndarray, "draws k"]] = {
        model: fit(edges, drawn, len(names), model)[0] for model in fits if drawn is not None
    }
    items = [
        Rated(
            item=name,
            **_record(index, edges, record[0]),
            strengths={
                model: _estimate(index, point[0], spreads.get(model), int(met[index]), len(sums))
                for model, (point, _) in fits.items()
            },
        )
        for index, name in enumerate(names)
    ]
    order = sorted(range(len(names)), key=lambda at: (-fits["davidson"][0][0, at], names[at]))
    return Ratings(
        items=tuple(items[at] for at in order),
        games=len(played),
        within=within,
        parts=_parts(edges, names),
        ties={
            model: tie_between_equals(float(tie[0]), model)
            for model, (_, tie) in fits.items()
            if sure and model != "half-wins"
        },
    )


def _summed(
    played: Sequence[Game], names: Sequence[str]
) -> tuple[Int[np.ndarray, "e 2"], Float[np.ndarray, "g _"]]:
    """The couples of items that met, and per prompt their (wins of the first, ties, of the other).

    More than `GROUPS` prompts are added up in that many groups (see `data.bootstrap`).
    """
    place = {name: index for index, name in enumerate(names)}
    met = sorted({tuple(sorted((place[game.one], place[game.other]))) for game in played})
    edge = {couple: index for index, couple in enumerate(met)}
    prompts = {one: at for at, one in enumerate(sorted({game.prompt for game in played}))}
    groups = min(GROUPS, len(prompts))
    cells = np.zeros(len(played), dtype=np.int64)
    for row, game in enumerate(played):
        one, other = place[game.one], place[game.other]
        code = {"one": 0, "tie": 1, "other": 2}[game.outcome]
        code = code if one < other else 2 - code
        couple = (min(one, other), max(one, other))
        cells[row] = (prompts[game.prompt] % groups * len(met) + edge[couple]) * 3 + code
    sums = np.bincount(cells, minlength=groups * len(met) * 3).astype(float)
    return np.array(met, dtype=np.int64).reshape(-1, 2), sums.reshape(groups, len(met) * 3)


def _record(
    index: int, edges: Int[np.ndarray, "e 2"], counts: Float[np.ndarray, "e 3"]
) -> dict[str, int]:
    first, second = counts[edges[:, 0] == index].sum(0), counts[edges[:, 1] == index].sum(0)
    won, tied, lost = (int(number) for number in first + second[::-1])
    return {"wins": won, "ties": tied, "losses": lost}


def _estimate(
    index: int,
    point: Float[np.ndarray, " k"],
    spread: Float[np.ndarray, "draws k"] | None,
    n: int,
    clusters: int,
) -> Estimate:
    if spread is None or not enough(n, clusters):
        return too_few(n, clusters)
    low, high = interval(spread[:, index], clusters)
    return Estimate(value=float(point[index]), low=low, high=high, n=n, clusters=clusters)


def _parts(edges: Int[np.ndarray, "e 2"], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Connected parts of the graph of comparisons, largest first."""
    part = np.arange(len(names))
    for one, other in edges:
        part[part == part[other]] = part[one]
    groups = [
        tuple(name for name, mine in zip(names, part, strict=True) if mine == which)
        for which in np.unique(part)
    ]
    return tuple(sorted(groups, key=lambda group: (-len(group), group)))

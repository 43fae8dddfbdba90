"""Scored pairs and simulated annotators whose true preference is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.omniscore import PROFILES, coefficients
from data.records import Exposure, Pair, Score, Vote, digest

LITE = PROFILES["lite"]
KEYS = tuple(row.key for row in LITE.dimensions)
DEFAULT = np.array([coefficients(LITE)[key] for key in KEYS])


@dataclass(frozen=True)
class World:
    """One pair per prompt, its scores, its votes, and which clip is better in truth."""

    pairs: list[Pair]
    scores: list[Score]
    votes: list[Vote]
    better: dict[str, str]


def clip_scores(clip: str, places: Sequence[float]) -> list[Score]:
    """Raw values at these places (0 to 1) of the ranges of `lite`."""
    return [
        Score(
            candidate=clip, scorer=row.scorer, version="1", dimension=row.key,
            value=row.low + place * (row.high - row.low),
        )
        for row, place in zip(LITE.dimensions, places, strict=True)
    ]  # fmt: skip


def vote(
    pair: Pair, who: str, preferred: str | None, *, left: str = "", exposure: Exposure = "blind"
) -> Vote:
    """An answer; None is a tie."""
    left = left or pair.a
    return Vote(
        id=digest("vote", pair.id, who), pair=pair.id, annotator=who, left=left,
        right=pair.b if left == pair.a else pair.a, time_ms=1, exposure=exposure,
        outcome="tie" if preferred is None else "preference", preferred=preferred,
    )  # fmt: skip


def world(
    pairs: int,
    people: Sequence[float | str],
    *,
    each: int,
    weights: Sequence[float] | None = None,
    noise: float = 0.0,
    ties: float = 0.0,
    seed: int = 0,
) -> World:
    """Pairs whose better clip is the one with the higher weighted score, give or take `noise`.

    Args:
        pairs: how many, each of its own prompt.
        people: accuracy of each simulated annotator; `left` always answers left.
        each: annotators per pair.
        weights: of the dimensions in the truth; None: the default.
        noise: standard deviation of what no score sees, in units of the total.
        ties: share of answers that are ties, whatever the clips.
        seed: of everything.
    """
    draw = np.random.default_rng(seed)
    true = DEFAULT if weights is None else np.asarray(weights, float)
    made = World([], [], [], {})
    for index in range(pairs):
        places = draw.uniform(0, 1, (2, len(KEYS)))
        clips = [digest(seed, index, side) * 2 for side in (0, 1)]
        for clip, place in zip(clips, places, strict=True):
            made.scores.extend(clip_scores(clip, place))
        total = places @ DEFAULT
        pair = Pair.of(
            *clips, prompt=f"p{index}", profile="lite", best=clips[int(total[1] > total[0])],
            margin=float(abs(total[0] - total[1])),
        )  # fmt: skip
        gap = (places[0] - places[1]) @ true + draw.normal(0, noise)
        better, worse = clips if gap > 0 else clips[::-1]
        made.pairs.append(pair)
        made.better[pair.id] = better
        for person in draw.choice(len(people), each, replace=False):
            left = clips[int(draw.random() < 0.5)]
            tie, right = draw.random() < ties, draw.random()
            said = people[person]
            preferred = left if said == "left" else better if right < float(said) else worse
            answer = None if tie and said != "left" else preferred
            made.votes.append(vote(pair, f"w{person}", answer, left=left))
    return made

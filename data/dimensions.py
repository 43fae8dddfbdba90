"""Each dimension of OmniScore against people: against the votes, and against every question.

For each dimension that was scored: of the answers that took a side where the two normalised values
differ, the share on the side of the higher value. `overall` is the vote itself; the other questions
(`visual`, `motion`, `alignment`, ...) are those that the campaign asked. A dimension that people
follow lies above 1/2, one that they dislike below, one that they do not care about at 1/2. The
dimensions go together, so these shares are no weights (`data.calibrate` fits those).

Blind answers only where there are any; see `data.agree`. Intervals draw whole prompts.
Left out on purpose: thresholds for ties per dimension. Pure: no IO.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from data.bootstrap import Estimate, generator, share
from data.omniscore import Omni
from data.profile import Profile
from data.records import Pair, Vote

OVERALL = "overall"
NOT_QUESTIONS = ("flags", "skip")
"""Keys of `Vote.answers` that hold no side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByDimension:
    """One dimension against one question."""

    key: str
    label: str
    question: str
    """`overall` for the vote itself."""
    share: Estimate
    equal: int
    """Answers where both clips have the same value."""


def sides(vote: Vote) -> dict[str, str]:
    """The clip that each question was answered with; ties and skips are left out."""
    if vote.outcome in ("skip", "undo") or vote.unusable:
        return {}
    clips = {"left": vote.left, "right": vote.right}
    found = {
        key: clips[side]
        for key, side in vote.answers.items()
        if key not in NOT_QUESTIONS and side in clips
    }
    if vote.preferred is not None:
        found[OVERALL] = vote.preferred
    return found


def by_dimension(
    votes: Iterable[Vote],
    pairs: Mapping[str, Pair],
    scored: Mapping[str, Omni],
    profile: Profile,
    *,
    seed: int,
) -> tuple[ByDimension, ...]:
    """Every dimension of the profile against every question that was answered, overall first."""
    taken: dict[str, list[tuple[str, dict[str, float]]]] = {OVERALL: []}
    for vote in votes:
        pair = pairs.get(vote.pair)
        if pair is None or pair.a not in scored or pair.b not in scored:
            continue
        for question, clip in sides(vote).items():
            lead = _lead(scored[pair.a], scored[pair.b], sign=1 if clip == pair.a else -1)
            taken.setdefault(question, []).append((pair.prompt, lead))
    return tuple(
        _one(row.key, row.label, question, taken[question], seed)
        for question in (OVERALL, *sorted(taken.keys() - {OVERALL}))
        for row in profile.dimensions
        if any(row.key in lead for _, lead in taken[question])
    )


def _lead(a: Omni, b: Omni, *, sign: int) -> dict[str, float]:
    """Normalised value of the answered clip minus the other's, by dimension that both have."""
    common = a.normalised.keys() & b.normalised.keys()
    return {key: sign * (a.normalised[key] - b.normalised[key]) for key in common}


def _one(
    key: str, label: str, question: str, taken: list[tuple[str, dict[str, float]]], seed: int
) -> ByDimension:
    leads = [(prompt, lead[key]) for prompt, lead in taken if key in lead]
    differing = [(prompt, lead > 0) for prompt, lead in leads if lead != 0]
    hits = np.array([hit for _, hit in differing], dtype=bool)
    rng = generator(seed, f"dimension {key} {question}")
    return ByDimension(
        key=key,
        label=label,
        question=question,
        share=share([prompt for prompt, _ in differing], hits, rng),
        equal=len(leads) - len(differing),
    )

"""Simulated annotators of known accuracy, and an OmniScore that is biased on purpose.

What the benchmarks call people here are programs: each answers as the oracle of `shapes` would with
a known probability, and else the other way round. Nothing here says how people vote.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import cast

import numpy as np

from data import clips, shapes
from data.labels import LABELS
from data.omniscore import PROFILES, totals
from data.pairs import opinion
from data.posterior import Beliefs, beliefs, calibrated
from data.profile import Profile
from data.records import Candidate, Pair, Prompt, Score, Vote, digest
from data.store import Store
from scorers import run as scoring
from train import sample

LEAST_GAP = 0.05
"""Pairs whose oracle scores lie closer than this have no better clip."""
BIASED = "biased"
"""Profile: `shapes` that likes dull clips that stand still, whatever the prompt asks for."""
FACTORS = {"dynamic_degree": -4.0, "aesthetic_quality": -2.0, "motion_smoothness": 0.0}
"""On the weights of `shapes`. The bias is one that other weights can undo; not every one is."""


def biased() -> Profile:
    """The biased profile, known by name from now on."""
    shapes = PROFILES["shapes"]
    rows = tuple(
        replace(row, weight=row.weight * FACTORS.get(row.key, 1.0)) for row in shapes.dimensions
    )
    profile = replace(shapes, name=BIASED, title="biased on purpose", dimensions=rows)
    PROFILES[BIASED] = profile
    return profile


@dataclass(frozen=True)
class Crowd:
    """Simulated annotators by name: the probability of answering as the oracle would."""

    accuracy: Mapping[str, float]
    ties: float = 0.1
    """Share of answers that are ties whatever the clips."""

    def answer(self, pair: Pair, better: str, who: str, seed: int) -> Vote:
        """A blind answer, drawn by hash of seed, pair and annotator: asked again, the same."""
        draw = np.random.default_rng(int(digest(seed, pair.id, who)[:16], 16))
        left, tie, right = draw.random(3)
        worse = pair.b if better == pair.a else pair.a
        tied = bool(tie < self.ties)
        return Vote(
            id=digest("simulated", seed, pair.id, who),
            pair=pair.id,
            annotator=who,
            left=pair.a if left < 0.5 else pair.b,
            right=pair.b if left < 0.5 else pair.a,
            outcome="tie" if tied else "preference",
            preferred=None if tied else better if right < self.accuracy[who] else worse,
            exposure="blind",
            time_ms=1,
        )


@dataclass(frozen=True)
class Material:
    """Scored pairs, and the better clip of each by the oracle."""

    pairs: Sequence[Pair]
    scores: Sequence[Score]
    better: Mapping[str, str]
    profile: Profile

    def believed(self, votes: Iterable[Vote]) -> Beliefs:
        """What `posterior` labels are made of."""
        return beliefs(self.pairs, self.scores, votes, self.profile)


def asked(
    material: Material, crowd: Crowd, order: str, votes: int, *, step: int, seed: int
) -> list[Vote]:
    """Votes in the order in which they were asked for, one annotator per question.

    Args:
        material: what can be asked about; every pair once before any a second time.
        crowd: who answers; each question goes to one of them by hash.
        order: `random`, or `uncertain`: those whose posterior is nearest 1/2, after each `step`.
        votes: how many.
        step: questions between two looks at the posterior.
        seed: of order and answers.
    """
    given: list[Vote] = []
    while len(given) < votes:
        taken = {(vote.pair, vote.annotator) for vote in given}
        open_ = [pair for pair in material.pairs if len(_left(pair, crowd, taken)) > 0]
        ranked = _ranked(material, open_, given, order, seed)
        for pair in ranked[: min(step, votes - len(given))]:
            names = _left(pair, crowd, taken)
            who = names[int(digest("who", seed, pair.id, len(given))[:8], 16) % len(names)]
            given.append(crowd.answer(pair, material.better[pair.id], who, seed))
        if not ranked:
            break
    return given


def _left(pair: Pair, crowd: Crowd, taken: set[tuple[str, str]]) -> list[str]:
    return [who for who in crowd.accuracy if (pair.id, who) not in taken]


def _ranked(
    material: Material, pairs: Sequence[Pair], given: Sequence[Vote], order: str, seed: int
) -> list[Pair]:
    asked_of: dict[str, int] = {}
    for vote in given:
        asked_of[vote.pair] = asked_of.get(vote.pair, 0) + 1
    place = {pair.id: digest("ask", seed, len(given), pair.id) for pair in pairs}
    if order == "random":
        return sorted(pairs, key=lambda pair: (asked_of.get(pair.id, 0), place[pair.id]))
    known = material.believed(given).pairs
    return sorted(pairs, key=lambda pair: (abs(known[pair.id].probability - 0.5), place[pair.id]))


def pool(db: str, adapter: str, prompts: int, seed: int) -> list[Candidate]:
    """Four scored clips of each training prompt."""
    sample.run(sample.Config(db=db, prompts=f"builtin:{prompts}", adapter=adapter, n=4, seed=seed))
    scoring.run(scoring.Config(db=db, profile="shapes"))
    with Store.open(db) as store:
        return cast("list[Candidate]", store.all("candidates"))


def judged(db: str, made: Sequence[Candidate], profile: Profile) -> Material:
    """All pairs of those clips that the oracle tells apart."""
    with Store.open(db) as store:
        texts = {one.id: one.text for one in store.all("prompts") if isinstance(one, Prompt)}
        scores = cast("list[Score]", store.all("scores"))
    omni = {clip: each.total for clip, each in totals(scores, profile).items()}
    known = {clip: total for clip, total in omni.items() if total is not None}
    oracle = {
        clip.sha256: float(shapes.judge(clips.read(clip)[0], texts[clip.prompt])["score"])
        for clip in made
    }
    pairs, better = [], {}
    for one, other in combinations(sorted(made, key=lambda clip: clip.sha256), 2):
        gap = oracle[one.sha256] - oracle[other.sha256]
        if one.prompt != other.prompt or abs(gap) < LEAST_GAP:
            continue
        best, margin = opinion(one.sha256, other.sha256, known)
        pair = Pair.of(
            one.sha256, other.sha256, prompt=one.prompt, best=best, margin=margin, profile=BIASED
        )
        pairs.append(pair)
        better[pair.id] = (one if gap > 0 else other).sha256
    return Material(pairs, scores, better, profile)


def probabilities(material: Material, votes: Sequence[Vote], source: str) -> dict[str, float]:
    """That `a` is the better clip, by pair; pairs without a label are absent."""
    if source == "calibrated":
        found = calibrated(material.pairs, material.scores, votes, material.profile)
        return {pair: each.probability for pair, each in found.items()}
    rule = LABELS[source]
    labels = rule(material.pairs, material.scores, votes, profile=material.profile)
    sides = {pair.id: pair.a for pair in material.pairs}
    return {
        one.pair: one.probability if one.chosen == sides[one.pair] else 1 - one.probability
        for one in labels
    }


def quality(material: Material, votes: Sequence[Vote], source: str) -> dict[str, float]:
    """How right a source's labels are, by the oracle."""
    found = probabilities(material, votes, source)
    asked_of = {vote.pair for vote in votes}
    rows = []
    for pair in material.pairs:
        p = found.get(pair.id, 0.5)
        true = p if material.better[pair.id] == pair.a else 1 - p
        right = 0.5 if true == 0.5 else float(true > 0.5)
        rows.append((right, -float(np.log(np.clip(true, 0.01, 0.99))), pair.id in asked_of))
    voted = [right for right, _, was in rows if was]
    return {
        "right": statistics.fmean(row[0] for row in rows),
        "voted_right": statistics.fmean(voted) if voted else 0.5,
        "log_loss": statistics.fmean(row[1] for row in rows),
    }

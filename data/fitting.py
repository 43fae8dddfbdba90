"""Fits a calibration: from scored pairs and votes to weights, scale, tie and nuisances. Pure.

Each standing answer to a scored pair is a row: x = normalised dimensions of the left clip minus
those of the right. With c the profile's own coefficients and every column divided by its root mean
square over all scored pairs (votes play no part in units),

    η = s · (c·x) / rms(c·x)  +  Σ_d u_d · x_d / rms(x_d)  +  side  +  pull · (±1 or 0)

`side` is what the left place is worth whatever the clips; `pull` what OmniScore's best gains where
the vote was cast with it in view (+1 where the best stood left). Both are nuisances: in the fit,
in no probability. Ties by Davidson's model (`data/davidson.py`). Priors: u_d ~ N(0, 1/ridge), so
that an infinite ridge is the profile's own weights with a fitted scale; s ~ N(logit 0.6, 1): a
typical pair's better score is preferred 60 times in 100, the low end of what automatic video scores
were found to reach on people (55 to 64 %); tie ~ N(ln 1/2, 1), one tie in five between equal clips;
side and pull ~ N(0, 1). With no votes the prior comes out: the default OmniScore at that scale.

Dimensions in which no scored pair differs keep the profile's weight. Left out on purpose: squared
terms, noise scales per person (`data/raters.py` has their reliability, which `posterior` uses), and
answers to single questions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from data import davidson
from data.calibration import Calibration
from data.omniscore import PROFILES, aggregate, coefficients, raw_values
from data.profile import Profile
from data.records import Pair, Score, Vote, digest
from data.votes import first_answers, live_votes

Exposures = Literal["blind", "all"]
CAUTIOUS = math.log(0.6 / 0.4)
"""Prior logits at a typical (root mean square) margin."""
TIE = math.log(0.5)
NO_RIDGE = math.inf


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Answers as columns, sorted by vote, so that no order of arrival matters."""

    dimensions: tuple[str, ...]
    x: Float[ndarray, "n d"]
    """Normalised dimensions, left minus right."""
    pull: Float[ndarray, " n"]
    """1 or -1: OmniScore's best was in view, on the left or on the right; 0: no score in view."""
    answers: Int[ndarray, " n"]
    """1 left preferred, 0 tie, -1 right preferred."""
    prompts: tuple[str, ...]
    pairs: tuple[str, ...]
    votes: tuple[str, ...]
    people: tuple[str, ...]
    left: tuple[str, ...]
    """Clip on the left."""

    def __len__(self) -> int:
        return len(self.answers)

    def where(self, keep: ndarray) -> Comparisons:
        """The rows that a boolean mask or an index names."""
        index = np.arange(len(self))[keep]

        def pick(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple([names[place] for place in index])

        return Comparisons(
            self.dimensions,
            self.x[index],
            self.pull[index],
            self.answers[index],
            pick(self.prompts),
            pick(self.pairs),
            pick(self.votes),
            pick(self.people),
            pick(self.left),
        )

    @property
    def digest(self) -> str:
        """Of the answers and what was compared."""
        rows = zip(self.votes, self.answers.tolist(), self.x.tolist(), strict=True)
        return digest("comparisons", *(json.dumps(row) for row in rows))


@dataclass(frozen=True, slots=True)
class Units:
    """Root mean squares over all scored pairs: what makes dimensions comparable."""

    margin: float
    """Of the default total's difference; 0 where no two clips differ."""
    spread: Float[ndarray, " d"]


class Scored:
    """Clips with every dimension of a profile, as normalised rows."""

    def __init__(self, scores: Iterable[Score], profile: Profile) -> None:
        """Normalise; clips that lack a dimension are left out, as their total is missing."""
        self.profile = profile
        self.dimensions = tuple(row.key for row in profile.dimensions)
        self.raw: dict[str, dict[str, float]] = {}
        self.rows: dict[str, ndarray] = {}
        for clip, raw in raw_values(scores, profile).items():
            omni = aggregate(raw, profile)
            if omni.total is not None:
                self.raw[clip] = raw
                self.rows[clip] = np.array([omni.normalised[key] for key in self.dimensions])

    def difference(self, one: str, other: str) -> ndarray | None:
        """Normalised dimensions of `one` minus `other`; None where either is not scored."""
        if one not in self.rows or other not in self.rows:
            return None
        return self.rows[one] - self.rows[other]

    def units(self, pairs: Iterable[Pair]) -> Units:
        """Over those of `pairs` that are scored and train."""
        found = (self.difference(pair.a, pair.b) for pair in pairs if pair.trains)
        rows = [row for row in found if row is not None]
        x = np.array(rows).reshape(len(rows), len(self.dimensions))
        centre = np.array([coefficients(self.profile)[key] for key in self.dimensions])
        size = max(len(x), 1)
        return Units(
            float(np.sqrt(((x @ centre) ** 2).sum() / size)), np.sqrt((x**2).sum(0) / size)
        )


def base(profile: Profile) -> Profile:
    """The profile whose ranges and default weights a calibrated one has; any other is its own."""
    return PROFILES[profile.base] if profile.base else profile


def comparisons(
    pairs: Iterable[Pair], votes: Iterable[Vote], scored: Scored, exposures: Exposures
) -> Comparisons:
    """The standing answers to scored pairs that train.

    Args:
        pairs: any; those that check people are passed over.
        votes: those that count (`data.decisions.counted`).
        scored: clips under the profile to calibrate.
        exposures: `blind` takes what was answered before any score was shown, also where it was
            changed afterwards; `all` takes what stands, and gives `pull` a column.
    """
    known = {pair.id: pair for pair in pairs if pair.trains}
    mine = [vote for vote in votes if vote.pair in known]
    first = (vote for vote in first_answers(mine) if vote.exposure == "blind")
    taken = first if exposures == "blind" else live_votes(mine)
    rows = []
    for vote in sorted(taken, key=lambda vote: vote.id):
        x = scored.difference(vote.left, vote.right)
        if vote.outcome in ("preference", "tie") and x is not None:
            rows.append((vote, known[vote.pair], x))
    return Comparisons(
        scored.dimensions,
        np.array([x for _, _, x in rows]).reshape(len(rows), len(scored.dimensions)),
        np.array([_pull(vote, pair) for vote, pair, _ in rows], dtype=float),
        np.array([_answer(vote) for vote, _, _ in rows], dtype=np.int64),
        tuple(pair.prompt for _, pair, _ in rows),
        tuple(pair.id for _, pair, _ in rows),
        tuple(vote.id for vote, _, _ in rows),
        tuple(vote.annotator for vote, _, _ in rows),
        tuple(vote.left for vote, _, _ in rows),
    )


def _answer(vote: Vote) -> int:
    return 0 if vote.outcome == "tie" else 1 if vote.preferred == vote.left else -1


def _pull(vote: Vote, pair: Pair) -> float:
    if vote.exposure == "blind" or pair.best is None:
        return 0.0
    return 1.0 if pair.best == vote.left else -1.0


@dataclass(frozen=True, slots=True)
class Model:
    """What is fitted: the profile's margin, dimensions on top, and how tightly they are held."""

    profile: Profile
    units: Units
    ridge: float = NO_RIDGE
    only: str | None = None
    """A dimension that stands alone in place of the profile's total."""

    def design(self, rows: Comparisons) -> Float[ndarray, "n p"]:
        """Columns: total (or the one dimension), every dimension, side, pull."""
        return np.column_stack([self.columns(rows.x), np.ones(len(rows)), rows.pull])

    def columns(self, x: Float[ndarray, "n d"]) -> Float[ndarray, "n c"]:
        """Those of the total and the dimensions."""
        held = not math.isfinite(self.ridge)
        spread = np.where(self.units.spread > 0, self.units.spread, np.inf)
        return np.column_stack([x @ self.direction, np.zeros_like(x) if held else x / spread])

    @property
    def direction(self) -> Float[ndarray, " d"]:
        """Weights whose product with x is 1 at a typical margin; 0 where no two clips differ."""
        keys = [row.key for row in self.profile.dimensions]
        if self.only is None:
            own = np.array([coefficients(self.profile)[key] for key in keys])
            return own / (self.units.margin or np.inf)
        place = keys.index(self.only)
        alone = np.zeros(len(keys))
        alone[place] = 1.0 / (self.units.spread[place] or np.inf)
        return alone

    @property
    def prior(self) -> davidson.Prior:
        """Of total, dimensions, side, pull, tie."""
        count = len(self.profile.dimensions)
        ridge = self.ridge if math.isfinite(self.ridge) else 1.0  # their columns are then 0
        return davidson.Prior(
            np.array([CAUTIOUS, *[0.0] * count, 0.0, 0.0, TIE]),
            np.array([1.0, *[ridge] * count, 1.0, 1.0, 1.0]),
        )

    def fit(
        self, rows: Comparisons, weights: ndarray | None = None, start: ndarray | None = None
    ) -> Float[ndarray, " q"]:
        """The most probable parameters: total, dimensions, side, pull, tie."""
        return davidson.fit(
            self.design(rows), rows.answers, self.prior, weights=weights, start=start
        )

    def predicted(
        self, found: Float[ndarray, " q"], rows: Comparisons, x: Float[ndarray, "n d"]
    ) -> Float[ndarray, "n 3"]:
        """Shares of answers to new comparisons, as unsure as the fit on `rows` is of its weights.

        Without side and pull. With no rows it is the prior's centre, which is cautious as it is.
        """
        columns = self.columns(x)
        count = columns.shape[1]
        eta = columns @ found[:count]
        if len(rows):
            around = davidson.covariance(self.design(rows), rows.answers, self.prior, found)
            variance = ((columns @ around[:count, :count]) * columns).sum(1)
            eta = davidson.moderated(eta, variance)
        return np.exp(davidson.log_shares(eta, float(found[-1])))

    def logits(self, found: Float[ndarray, " q"]) -> Float[ndarray, " d"]:
        """Logits per unit of each normalised dimension."""
        spread = np.where(self.units.spread > 0, self.units.spread, np.inf)
        held = not math.isfinite(self.ridge)
        own = np.zeros_like(spread) if held else found[1:-3] / spread
        return found[0] * self.direction + own

    def losses(self, found: Float[ndarray, " q"], rows: Comparisons) -> Float[ndarray, " n"]:
        """Nats per answer, side and pull included."""
        return davidson.losses(self.design(rows) @ found[:-1], float(found[-1]), rows.answers)

    def calibration(self, found: Float[ndarray, " q"], rows: Comparisons) -> Calibration:
        """The result as a record, without figures."""
        logits = self.logits(found)
        scale = float(np.abs(logits).sum())
        weights = logits / scale if scale else self._default
        keys = [row.key for row in self.profile.dimensions]
        return Calibration(
            profile=self.profile.name,
            weights=dict(zip(keys, weights.tolist(), strict=True)),
            scale=scale,
            tie=float(found[-1]),
            side=float(found[-3]),
            pull=float(found[-2]),
            ridge=self.ridge if math.isfinite(self.ridge) else None,
            votes=len(rows),
            prompts=len(set(rows.prompts)),
            digest=rows.digest,
        )

    @property
    def _default(self) -> Float[ndarray, " d"]:
        own = coefficients(self.profile)
        return np.array([own[row.key] for row in self.profile.dimensions])


def cautious(model: Model) -> Calibration:
    """The default OmniScore at the prior's scale: what stands until there are enough votes."""
    held = replace(model, ridge=NO_RIDGE)
    none = Comparisons(
        tuple(row.key for row in model.profile.dimensions),
        np.zeros((0, len(model.profile.dimensions))),
        np.zeros(0),
        np.zeros(0, dtype=np.int64),
        *((),) * 5,
    )
    return held.calibration(held.prior.centre, none)

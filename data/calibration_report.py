"""What a calibration is worth, as figures and as text. Pure; the command is `data.calibrate`.

Every prediction that is judged comes from prompts other than its own (`data/crossfit.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy import ndarray

from data import crossfit
from data.bootstrap import Estimate, interval
from data.calibration import (
    ENOUGH_PROMPTS,
    ENOUGH_VOTES,
    LEAST_VOTES,
    Calibration,
)
from data.console import table
from data.crossfit import Figures
from data.fitting import Comparisons, Exposures, Model, Scored, Units, cautious, comparisons
from data.foresight import Foresight, foresee, foresight
from data.omniscore import coefficients
from data.profile import Profile
from data.records import Pair, Score, Vote

NOTHING, DEFAULT, SINGLE, FITTED, PEOPLE = (
    "nothing known",
    "default weights",
    "best single dimension",
    "fitted weights",
    "other people",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """How well something predicts answers."""

    answers: int
    loss: Estimate
    """Nats per answer, over left, tie and right."""
    accuracy: Estimate
    """Of the answers that took a side."""
    brier: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """One dimension's place in the total."""

    default: float
    fitted: float
    low: float
    high: float
    """95 % interval, bootstrap over prompts."""
    positive: float
    """Share of the bootstrap samples in which it is above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What `data.calibrate` found."""

    profile: str
    exposures: str
    votes: int
    prompts: int
    other_votes: int
    """Answers to the same pairs that the other choice of `--votes` would have added."""
    fitted: Calibration | None
    """None where there were too few votes."""
    stands: Calibration
    """The default weights at the cautious scale, for as long as nothing is fitted."""
    worth: Mapping[str, Worth]
    gain: Estimate | None
    """Log-loss of the default weights minus that of the fitted ones: above 0 is better."""
    weights: Mapping[str, Weight]
    labels: Mapping[str, Foresight]
    """By label source: how well labels foresee votes that they have not seen."""

    @property
    def offered(self) -> bool:
        """Enough votes and prompts, and better than the default with an interval above 0."""
        enough = self.votes >= ENOUGH_VOTES and self.prompts >= ENOUGH_PROMPTS
        return enough and self.gain is not None and (self.gain.low or 0.0) > 0


def report(
    pairs: Sequence[Pair],
    votes: Iterable[Vote],
    scores: Iterable[Score],
    profile: Profile,
    *,
    exposures: Exposures = "blind",
    draws: int = 1000,
    seed: int = 0,
) -> Report:
    """Calibrate `profile` on votes that count, and judge it."""
    every, given = list(scores), list(votes)
    scored = Scored(every, profile)
    rows = comparisons(pairs, given, scored, exposures)
    answers = len(comparisons(pairs, given, scored, "all"))
    model = Model(profile, scored.units(pairs))
    enough = len(rows) >= LEAST_VOTES and len(set(rows.prompts)) >= crossfit.FOLDS
    empty = Report(
        profile=profile.name,
        exposures=exposures,
        votes=len(rows),
        prompts=len(set(rows.prompts)),
        other_votes=max(0, answers - len(rows)),
        fitted=None,
        stands=cautious(model),
        worth={},
        gain=None,
        weights={},
        labels={},
    )
    if not enough:
        return empty
    seen = foresee(pairs, every, given, profile, seed=seed)
    fitted = _fitted(empty, rows, model, draws, seed)
    return replace(fitted, labels=foresight(seen, seed=seed))


def _fitted(empty: Report, rows: Comparisons, model: Model, draws: int, seed: int) -> Report:
    def held(*models: Model) -> Figures:
        return crossfit.figures(crossfit.held_out(rows, models, seed=seed), rows.answers)

    blank = Units(0.0, np.zeros(len(rows.dimensions)))
    judged = {
        NOTHING: held(replace(model, units=blank)),
        DEFAULT: held(model),
        SINGLE: held(*(replace(model, only=key) for key in rows.dimensions)),
        FITTED: held(replace(model, ridge=math.nan)),
    }
    worth = {name: _worth(each, rows.prompts, seed) for name, each in judged.items()}
    people, prompts = crossfit.ceiling(rows)
    if prompts:
        worth[PEOPLE] = _worth(people, prompts, seed)
    saved = judged[DEFAULT].loss - judged[FITTED].loss
    gain = crossfit.estimate(saved, rows.prompts, seed=seed, what="gain")
    final = replace(model, ridge=crossfit.chosen_ridge(rows, model, seed=seed))
    sampled = crossfit.bootstrapped(rows, final, draws=draws, seed=seed)
    fitted = final.calibration(final.fit(rows), rows)
    weights = _weights(fitted, final, sampled)
    clusters = fitted.prompts
    metrics = {
        "worth": {name: asdict(each) for name, each in worth.items()},
        "gain": asdict(gain),
        "weights": {key: asdict(each) for key, each in weights.items()},
        "scale": interval(np.abs(_logits(final, sampled)).sum(1), clusters),
        "side": interval(sampled[:, -3], clusters),
        "pull": interval(sampled[:, -2], clusters),
        "tie": interval(sampled[:, -1], clusters),
        "draws": draws,
        "seed": seed,
    }
    fitted = replace(fitted, exposure=empty.exposures, metrics=metrics)
    return replace(empty, fitted=fitted, worth=worth, gain=gain, weights=weights)


def _worth(each: Figures, prompts: Sequence[str], seed: int) -> Worth:
    loss, accuracy, brier = (
        crossfit.estimate(values, prompts, seed=seed, what="worth")
        for values in (each.loss, each.right, each.brier)
    )
    return Worth(answers=len(each.loss), loss=loss, accuracy=accuracy, brier=brier)


def _logits(model: Model, sampled: ndarray) -> ndarray:
    return np.array([model.logits(found) for found in sampled])


def _weights(fitted: Calibration, model: Model, sampled: ndarray) -> dict[str, Weight]:
    logits = _logits(model, sampled)
    share = logits / np.maximum(np.abs(logits).sum(1, keepdims=True), np.finfo(float).tiny)
    default = coefficients(model.profile)
    found = {}
    for place, key in enumerate(fitted.weights):
        low, high = interval(share[:, place], fitted.prompts)
        found[key] = Weight(
            default=default[key],
            fitted=fitted.weights[key],
            low=low,
            high=high,
            positive=float((share[:, place] > 0).mean()),
        )
    return found


def told(found: Report, db: str) -> str:
    """The report for a person."""
    kind = {"blind": "blind answers", "all": "answers"}[found.exposures]
    lines = [f"{found.profile}: {found.votes} {kind} on {found.prompts} prompts with scored clips"]
    if found.other_votes and found.exposures == "blind":
        lines.append(f"{found.other_votes} more were given with the score in view (--votes all)")
    if found.fitted is None:
        lines.append(
            f"Collecting: {LEAST_VOTES} answers on {crossfit.FOLDS} prompts are needed to fit "
            "anything. Until then the default weights stand, at a cautious scale: a typical pair's "
            "better score is taken to be preferred 60 times in 100."
        )
        return "\n".join(lines)
    lines += ["", table(_HEADER, [_row(name, each) for name, each in found.worth.items()])]
    if PEOPLE not in found.worth:
        lines.append("No pair was answered by two people: how far people agree is not known.")
    lines += ["", table(_WEIGHTS, [_weight(key, each) for key, each in found.weights.items()])]
    lines += [
        "",
        _nuisances(found.fitted),
        "",
        table(_LABELS, _labels(found.labels)),
        "",
        table(_CURVE, _curve(found.labels["posterior"])),
        "",
        _advice(found, found.fitted, db),
    ]
    return "\n".join(lines)


_HEADER = ("held-out prompts", "answers", "log-loss, nats", "accuracy", "Brier")
_LABELS = ("labels on held-out votes", "log-loss, nats", "Brier")
_CURVE = ("posterior said", "answers", "on average", "people answered")
_WEIGHTS = ("dimension", "default", "fitted", "95 % interval", "above 0")


def _row(name: str, each: Worth) -> tuple[str, ...]:
    return (name, str(each.answers), *map(_spoken, (each.loss, each.accuracy, each.brier)))


def _labels(found: Mapping[str, Foresight]) -> list[tuple[str, ...]]:
    return [(name, *map(_spoken, (each.log_loss, each.brier))) for name, each in found.items()]


def _curve(found: Foresight) -> list[tuple[str, ...]]:
    """The reliability plot as rows: where labels can be trusted, both last columns agree."""
    return [
        (f"{each.low:.1f} to {each.high:.1f}", str(each.answered.n), f"{each.predicted:.2f}",
         each.answered.told(percent=False))
        for each in found.curve
    ]  # fmt: skip


def _spoken(each: Estimate) -> str:
    if each.value is None:
        return each.note
    return f"{each.value:.3f} [{each.low:.3f}, {each.high:.3f}]"


def _weight(key: str, each: Weight) -> tuple[str, ...]:
    span = f"{each.low:+.3f} to {each.high:+.3f}"
    return (key, f"{each.default:.3f}", f"{each.fitted:+.3f}", span, f"{each.positive:.0%}")


def _nuisances(fitted: Calibration) -> str:
    ridge = (
        "infinite (the default weights, scaled)" if fitted.ridge is None else f"{fitted.ridge:g}"
    )
    return (
        f"scale {fitted.scale:.2f} logits per unit of the total; ridge {ridge}; ties "
        f"{fitted.shares(0.0).tie:.0%} between equal clips; left place {fitted.side:+.2f} logits; "
        f"score in view {fitted.pull:+.2f} logits. Weights of dimensions that go together are not "
        "told apart by votes; their sum is."
    )


def _advice(found: Report, fitted: Calibration, db: str) -> str:
    assert found.gain is not None
    name = f"Stored as {fitted.name}."
    how = f"python -m data.calibrate --db {db} --use {fitted.id}"
    gain = f"log-loss gained over the default weights: {_spoken(found.gain)}"
    if found.offered:
        return f"{name} It predicts better ({gain}). Use it with: {how}"
    if found.votes < ENOUGH_VOTES or found.prompts < ENOUGH_PROMPTS:
        why = f"fewer than {ENOUGH_VOTES} answers or {ENOUGH_PROMPTS} prompts"
    else:
        why = "it does not predict better beyond doubt"
    return f"{name} Not recommended yet: {why} ({gain}). To use it all the same: {how}"

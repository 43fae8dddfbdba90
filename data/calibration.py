"""What a calibrated OmniScore is: weights, a scale in logits, and which one is in use. Pure.

A calibration turns the difference of two clips' OmniScores into a probability. With calibrated
total T (weights fitted to votes, absolute weights summing to 1), η = scale · (T_a - T_b), and the
three answers of one person weigh exp(η/2), exp(tie) and exp(-η/2) (Davidson 1970, with ν =
exp(tie)). `probability` is the share that `a` gets when ties count half for each: what
`data.labels` calls the people's share.

A dimension that people like less of has a negative weight: its place counts from the other end.
Every calibration is a decision of topic `calibration` about its profile, with its own `id`; which
one is in use is that profile's newest decision (`use`; empty for the default weights). Nothing is
overwritten, so every earlier one can be used again.

Left out on purpose: fitting (`data/fitting.py`), the command (`data/calibrate.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from data import davidson, omniscore
from data.decisions import newest
from data.errors import UserError
from data.omniscore import PROFILES, aggregate
from data.profile import Profile
from data.records import Decision, Pair, digest

PREFIX = "calibrated:"
LEAST_VOTES = 50
"""Below, the default weights stay and nothing is stored (reference, section 8.3)."""
ENOUGH_VOTES, ENOUGH_PROMPTS = 200, 100
"""From here on a calibration that predicts better is offered; before, it must be asked for."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Of the answers to one pair: for `a`, tie, for `b`; they sum to 1."""

    a: float
    tie: float
    b: float

    @property
    def probability(self) -> float:
        """Share for `a`, ties half for each."""
        return self.a + self.tie / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """OmniScore of one profile with weights fitted to votes."""

    profile: str
    """Name in `PROFILES` of the table whose ranges and scorers it has."""
    weights: Mapping[str, float]
    """Per dimension; absolute values sum to 1. Below 0: people prefer less of it."""
    scale: float
    """Logits per unit of the calibrated total, >= 0."""
    tie: float
    """Davidson's log ν: exp(tie) is the odds of a tie to either side between equal clips."""
    side: float = 0.0
    """Logits for the left clip, as fitted; a nuisance, in no probability here."""
    pull: float = 0.0
    """Logits for OmniScore's best in votes cast with it in view; a nuisance likewise."""
    ridge: float | None = None
    """Strength that held each weight to the profile's; None: infinite, the profile's own."""
    votes: int = 0
    prompts: int = 0
    exposure: str = "blind"
    """Whose votes: `blind` or `all`."""
    digest: str = ""
    """Of the votes that it was fitted to."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Held-out figures and intervals (`data.calibrate`): JSON values."""

    @property
    def id(self) -> str:
        """Identity: what changes a probability, and the votes behind it."""
        values = [sorted(self.weights.items()), self.scale, self.tie, self.digest]
        return digest("calibration", self.profile, json.dumps(values))[:10]

    @property
    def name(self) -> str:
        """What is given wherever a profile's name is."""
        return PREFIX + self.id

    @property
    def table(self) -> Profile:
        """The profile with these weights; its groups have the shares that the weights give them."""
        base = PROFILES[self.profile]
        rows = tuple(replace(row, weight=self.weights[row.key]) for row in base.dimensions)
        quality, semantic = (
            sum(abs(row.weight) for row in rows if row.group == group)
            for group in ("quality", "semantic")
        )
        title = f"{base.name} with weights fitted to {self.votes} votes"
        return replace(
            base,
            name=self.name,
            title=title,
            dimensions=rows,
            shares=(quality, semantic),
            base=base.name,
        )

    def answers(self, raw_a: Mapping[str, float], raw_b: Mapping[str, float]) -> Shares | None:
        """How people's answers share out between two clips; None where a dimension is missing.

        Args:
            raw_a: raw values per dimension key, as `data.omniscore.aggregate` takes them.
            raw_b: of the other clip.
        """
        table = self.table
        one, other = aggregate(raw_a, table).total, aggregate(raw_b, table).total
        return None if one is None or other is None else self.shares(one - other)

    def probability(self, raw_a: Mapping[str, float], raw_b: Mapping[str, float]) -> float | None:
        """That a person finds `a` the better clip, ties half; None where a dimension is missing."""
        found = self.answers(raw_a, raw_b)
        return None if found is None else found.probability

    def shares(self, margin: float) -> Shares:
        """The shares of answers at a difference of calibrated totals, `a` minus `b`."""
        found = np.exp(davidson.log_shares(np.array([self.scale * margin]), self.tie))
        return Shares(*found[0].tolist())

    def values(self) -> dict[str, Any]:
        """JSON values that `of` reads back, with `id`."""
        return asdict(self) | {"id": self.id}


def of(values: Mapping[str, Any]) -> Calibration:
    """The calibration that `Calibration.values` wrote."""
    known = {each.name for each in fields(Calibration)}
    return Calibration(**{key: value for key, value in values.items() if key in known})


def every(decisions: Iterable[Decision]) -> dict[str, Calibration]:
    """All stored calibrations by id, oldest first.

    One whose profile is gone, or has other dimensions by now, weighs nothing any more: left out.
    """
    stored = (one.values for one in decisions if one.topic == "calibration")
    return {str(values["id"]): of(values) for values in stored if _fits(values)}


def _fits(values: Mapping[str, Any]) -> bool:
    table = PROFILES.get(str(values.get("profile")))
    if "id" not in values or table is None:
        return False
    return set(values["weights"]) == {row.key for row in table.dimensions}


def in_use(decisions: Iterable[Decision], profile: str) -> Calibration | None:
    """The calibration that counts for a profile now; None for its default weights.

    Args:
        decisions: in the order of the store.
        profile: a name of `PROFILES`.
    """
    history = list(decisions)
    own = [one for one in history if one.topic == "calibration" and one.subject == profile]
    return every(own).get(str(newest(own, "calibration").get(profile, {}).get("use", "")))


def profile_named(name: str, decisions: Iterable[Decision] = ()) -> Profile:
    """The table of a profile's name, `calibrated:<id>` included.

    Raises:
        UserError: no such profile, or no such calibration among `decisions`.
    """
    if name in PROFILES:
        return PROFILES[name]
    known = every(decisions)
    if name.startswith(PREFIX) and name.removeprefix(PREFIX) in known:
        return known[name.removeprefix(PREFIX)].table
    names = ", ".join((*PROFILES, *(one.name for one in known.values())))
    raise UserError(
        f"--profile is {name!r}; it must be one of {names}. Calibrated ones, `{PREFIX}<id>`, are "
        "made by `python -m data.calibrate`, and `--list` there shows them"
    )


def usual(pairs: Iterable[Pair], decisions: Iterable[Decision]) -> Profile | None:
    """The table of the profile that most pairs were made with, calibrated ones included.

    Of several the first by name; None where no pair names one that is known.
    """
    calibrated = {one.name: one.table for one in every(decisions).values()}
    return omniscore.usual(pairs, PROFILES | calibrated)

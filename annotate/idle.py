"""What the page says when there is no pair to show, and which command comes next. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from annotate.text import IDLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How full the database is, for one annotator and one campaign."""

    candidates: int
    scored: int
    """Candidates with at least one score."""
    pairs: int
    """Of this campaign."""
    other_campaigns: tuple[str, ...]
    """Campaigns that do have pairs."""
    answered: int
    """Pairs of this campaign that the annotator has answered or skipped."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command and what it is for."""

    text: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """A page without a pair: what is the matter, and the commands that mend it."""

    title: str
    text: str
    steps: tuple[Step, ...]


def explain(counts: Counts, *, db: str, campaign: str, redundancy: int) -> Idle:
    """Why there is nothing to show and what to run next, with this database's name filled in."""
    at = f"--db {shlex.quote(db)}"
    if not counts.pairs and counts.other_campaigns:
        names = counts.other_campaigns
        steps = (Step("", f"python app.py {at} --campaign {shlex.quote(name)}") for name in names)
        return _idle("campaign", *steps, campaign=campaign)
    if not counts.candidates:
        return _idle("empty", *_making(at), _scoring(at), _pairing(at))
    if not counts.pairs:
        return _idle("unpaired", *(() if counts.scored else (_scoring(at),)), _pairing(at))
    if counts.answered < counts.pairs:
        more = Step(IDLE["more"], f"python app.py {at} --redundancy {redundancy + 1}")
        return _idle("taken", more, redundancy=redundancy)
    return _idle("done", Step(IDLE["train"], f"python -m train.dpo {at} --labels human"))


def _idle(key: str, *steps: Step, **values: object) -> Idle:
    return Idle(title=IDLE[f"{key}_title"], text=IDLE[key].format(**values), steps=steps)


def _making(at: str) -> tuple[Step, Step]:
    sample = f"python -m train.sample {at} --model shapes --prompts builtin:24 -n 4"
    return Step(IDLE["sample"], sample), Step(IDLE["ingest"], f"python -m data.ingest {at} videos/")


def _scoring(at: str) -> Step:
    return Step(IDLE["score"], f"python -m scorers {at} --profile lite")


def _pairing(at: str) -> Step:
    return Step(IDLE["pair"], f"python -m data.pair {at} --strategy best-worst")

"""What the page says when there is no pair to show, and which command comes next. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from annotate.words import ENGLISH, Words


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

    def without_commands(self) -> Idle:
        """For somebody who does not run the app."""
        return replace(self, steps=())


def explain(
    counts: Counts,
    *,
    db: str,
    campaign: str,
    redundancy: int,
    most: bool = False,
    started: bool = False,
    paused: bool = False,
    failed: bool = False,
    words: Words = ENGLISH,
) -> Idle:
    """Why there is nothing to show and what to run next, with this database's name filled in.

    Args:
        counts: how full the database is.
        db: its name.
        campaign: where the annotator works.
        redundancy: people per pair.
        most: that number is the campaign's `most`.
        started: the app was started with it, so that only starting anew changes it.
        paused: the campaign is.
        failed: the annotator has used up the practice rounds.
        words: the language.
    """
    say = partial(_idle, words.IDLE)
    at = f"--db {shlex.quote(db)}"
    if paused:
        return say("paused")
    if failed:
        return say("practice")
    if not counts.pairs and counts.other_campaigns:
        names = counts.other_campaigns
        steps = (("", f"python app.py {at} --campaign {shlex.quote(name)}") for name in names)
        return say("campaign", *steps, campaign=campaign)
    if not counts.candidates:
        return say("empty", *_making(at), _scoring(at), _pairing(at))
    if not counts.pairs:
        return say("unpaired", *(() if counts.scored else (_scoring(at),)), _pairing(at))
    if counts.answered < counts.pairs:
        more = f"--{'most' if most else 'redundancy'} {redundancy + 1}"
        step = ("more", f"python -m annotate.campaign {at} set {shlex.quote(campaign)} {more}")
        if started:
            step = ("again", f"python app.py {at} --redundancy {redundancy + 1}")
        return say("taken", step, redundancy=redundancy)
    return say("done", ("train", f"python -m train.dpo {at} --labels human"))


def _idle(said: Mapping[str, str], key: str, *steps: tuple[str, str], **values: object) -> Idle:
    """`steps`: pairs of a key and a command."""
    commands = tuple(Step(said[text] if text else "", command) for text, command in steps)
    return Idle(title=said[f"{key}_title"], text=said[key].format(**values), steps=commands)


def _making(at: str) -> tuple[tuple[str, str], tuple[str, str]]:
    sample = f"python -m train.sample {at} --model shapes --prompts builtin:24 -n 4"
    return ("sample", sample), ("ingest", f"python -m data.ingest {at} videos/")


def _scoring(at: str) -> tuple[str, str]:
    return "score", f"python -m scorers {at} --profile lite"


def _pairing(at: str) -> tuple[str, str]:
    return "pair", f"python -m data.pair {at} --strategy best-worst"

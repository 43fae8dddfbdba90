"""Fit OmniScore's weights to people's votes: `python -m data.calibrate --db prefs.duckdb`.

Bradley–Terry with ties on the differences of the two clips' normalised dimensions, held to the
profile's own weights by a ridge that folds of prompts choose (`data/fitting.py`,
`data/crossfit.py`). Printed: log-loss, accuracy and Brier score on prompts that had no part in the
fit, beside knowing nothing, the default weights, the best single dimension and how well people
predict each other; and the weights with intervals from a bootstrap over prompts.

Answers given before a score was shown are the ones that count. `--votes all` takes the others too,
with one term for how far a score in view pulls towards itself. Below 50 votes nothing is fitted;
up to 200 votes or 100 prompts a fit is shown and stored, but default weights often do as well.

Each fit is stored as a decision and changes nothing by itself. `--use ID` puts it to use, `--use
default` goes back; any command's `--profile calibrated:ID` takes it without that.

Left out on purpose: retraining of scorers, ranges of dimensions, one calibration per annotator.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast, get_args

from data import provenance
from data.calibration import PREFIX, Calibration, every, in_use, usual
from data.calibration_report import Report, report, told
from data.console import Parser, say
from data.decisions import counted
from data.errors import UserError, user_errors
from data.fitting import Exposures, base
from data.omniscore import PROFILES
from data.profile import Profile
from data.records import Decision, Pair, Score, Vote
from data.store import Store

DEFAULT, NEWEST = "default", "newest"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one calibration."""

    db: str = "prefs.duckdb"
    profile: str | None = None
    campaign: str | None = None
    votes: str = "blind"
    draws: int = 1000
    seed: int = 0
    json: str | None = None
    use: str | None = None
    list: bool = False


def run(config: Config) -> Report:
    """Fit, judge on held-out prompts, and store the fit where there were enough votes.

    Raises:
        UserError: an option's value is not one of those allowed, no database, or no pairs.
    """
    _check(config)
    with Store.open(config.db) as store:
        pairs = cast("list[Pair]", store.all("pairs"))
        mine = [pair for pair in pairs if config.campaign in (None, pair.campaign)]
        if not mine:
            raise UserError(_no_pairs(config, pairs))
        decisions = cast("list[Decision]", store.all("decisions"))
        votes = counted(cast("list[Vote]", store.all("votes")), decisions)
        found = report(
            mine,
            votes,
            cast("list[Score]", store.all("scores")),
            _profile(config, mine, decisions),
            exposures=cast("Exposures", config.votes),
            draws=config.draws,
            seed=config.seed,
        )
        if found.fitted is not None and found.fitted.id not in every(decisions):
            now = in_use(decisions, found.fitted.profile)
            values = {"use": now.id if now else ""}
            store.add([_decision(found.fitted.profile, found.fitted.values() | values)])
    return found


def use(config: Config, wanted: str) -> Calibration | None:
    """Put a stored calibration to use, or go back to the default weights (returns None).

    Raises:
        UserError: no such calibration, or no profile to set back.
    """
    with Store.open(config.db) as store:
        decisions = cast("list[Decision]", store.all("decisions"))
        if wanted == DEFAULT:
            for profile in [config.profile] if config.profile else _used(decisions):
                store.add([_decision(profile, {"use": ""})])
            return None
        chosen = _stored(every(decisions), wanted, config.profile)
        store.add([_decision(chosen.profile, {"use": chosen.id})])
    return chosen


def _profile(config: Config, pairs: Sequence[Pair], decisions: Sequence[Decision]) -> Profile:
    found = PROFILES[config.profile] if config.profile else usual(pairs, decisions)
    if found is None:
        raise UserError(
            f"No pair says which profile it was made with; name one with --profile: "
            f"{', '.join(PROFILES)}"
        )
    return base(found)


def _used(decisions: Sequence[Decision]) -> list[str]:
    return [name for name in PROFILES if in_use(decisions, name) is not None]


def _stored(known: dict[str, Calibration], wanted: str, profile: str | None) -> Calibration:
    own = {id: one for id, one in known.items() if profile in (None, one.profile)}
    id = next(reversed(own), "") if wanted == NEWEST else wanted.removeprefix(PREFIX)
    if id not in own:
        stored = ", ".join(own) or "none yet"
        raise UserError(
            f"There is no calibration {wanted!r}; stored: {stored}. Fit one with: "
            "python -m data.calibrate, or go back with --use default"
        )
    return own[id]


def _decision(profile: str, values: Mapping[str, object]) -> Decision:
    return Decision(
        id=str(uuid.uuid4()),
        topic="calibration",
        subject=profile,
        values=values,
        by="data.calibrate",
        time_ms=provenance.now_ms(),
    )


def _check(config: Config) -> None:
    for option, value, allowed in (
        ("--profile", config.profile, (None, *PROFILES)),
        ("--votes", config.votes, get_args(Exposures)),
    ):
        if value not in allowed:
            choices = ", ".join(choice for choice in allowed if choice)
            raise UserError(f"{option} is {value!r}; it must be one of {choices}")
    if config.draws < 1:
        raise UserError(f"--draws is {config.draws}; at least 1 bootstrap sample")


def _no_pairs(config: Config, pairs: Sequence[Pair]) -> str:
    if not pairs:
        return f"{config.db} holds no pairs yet. Make some: python -m data.pair --db {config.db}"
    names = ", ".join(sorted({pair.campaign for pair in pairs}))
    return f"--campaign is {config.campaign!r}; {config.db} has pairs of: {names}"


def listed(db: str) -> str:
    """One line per stored calibration, oldest first; a star marks those in use."""
    with Store.open(db) as store:
        decisions = cast("list[Decision]", store.all("decisions"))
    lines = []
    for id, one in every(decisions).items():
        now = in_use(decisions, one.profile)
        star = "*" if now is not None and now.id == id else " "
        lines.append(
            f"{star} {PREFIX}{id}  {one.profile}, {one.votes} votes ({one.exposure}) on "
            f"{one.prompts} prompts"
        )
    return "\n".join(lines) or "No calibration is stored; every profile has its default weights."


def parser() -> argparse.ArgumentParser:
    """Options of the command."""
    default = Config()
    options = Parser(
        prog="python -m data.calibrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add("--db", default=default.db, help="database (default: %(default)s)")
    add(
        "--profile",
        help=f"whose weights, one of {', '.join(PROFILES)} (default: what most pairs were made "
        "with)",
    )
    add("--campaign", help="only pairs of this campaign (default: all)")
    add(
        "--votes",
        default=default.votes,
        help="blind: answers given before a score was shown; all: also answers given with the "
        "score in view, whose pull is fitted (default: %(default)s)",
    )
    add(
        "--draws",
        type=int,
        default=default.draws,
        help="bootstrap samples of prompts; 1000 or more for figures to quote (default: "
        "%(default)s)",
    )
    add("--seed", type=int, default=default.seed, help="of folds and bootstrap (default: 0)")
    add("--json", metavar="FILE", help="write everything that is printed as JSON, too")
    add(
        "--use",
        metavar="ID",
        help="put a stored calibration to use: its id, `newest`, or `default` for the profile's "
        "own weights; fits nothing",
    )
    add("--list", action="store_true", help="show what is stored, and leave")
    return options


@user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    config = Config(**vars(parser().parse_args(argv)))
    if config.list:
        say(listed(config.db))
    elif config.use is not None:
        chosen = use(config, config.use)
        name = "default weights" if chosen is None else f"{chosen.name} ({chosen.profile})"
        say(f"In use now: {name}")
    else:
        if config.json and not (folder := Path(config.json).absolute().parent).is_dir():
            raise UserError(f"--json {config.json}: there is no folder {folder}; make it first")
        found = run(config)
        say(told(found, config.db))
        if config.json:
            _write(config.json, json.dumps(asdict(found), indent=1) + "\n")


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"--json {path} cannot be written ({error.strerror}); what was fitted is stored and "
            "stays: give another file"
        ) from error


if __name__ == "__main__":
    sys.exit(main())

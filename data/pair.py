"""Choose which clips are compared.

    python -m data.pair --db prefs.duckdb --strategy best-worst

Reads prompts, candidates and scores, adds pairs. What a strategy chooses is in `data/pairs.py`. A
pair's identity is its two clips and the campaign: a pair that exists stays as it is, with its votes
and with the opinion that it was first stored with. What another profile thinks of it is worked out
on reading.

Left out on purpose: prompts of the test split, unless asked for (`--split`); they are for
comparing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from data import calibration, pairs, provenance
from data.console import Parser, say
from data.errors import UserError, user_errors
from data.omniscore import PROFILES, totals
from data.profile import Profile
from data.records import Candidate, Decision, Pair, Prompt, Score
from data.store import Store

SPLITS = ("train", "test", "all")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one choice of pairs."""

    db: str = "prefs.duckdb"
    strategy: str = "best-worst"
    profile: str = "lite"
    filter_percentile: float = 0.0
    """Drop pairs whose better clip lies below this percentile of better clips; 0 keeps all."""
    split: str = "train"
    campaign: str = "default"
    seed: int = 0
    """For strategy `random`."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was chosen."""

    prompts: int
    pairs: list[Pair]
    new: int
    skipped: Counter[str] = field(default_factory=Counter)
    """Why prompts gave no pair: reason -> prompts."""
    filtered: int = 0
    """Pairs that the percentile filter dropped."""
    unscored: int = 0
    """Clips without a total under the profile."""


def run(config: Config) -> Report:
    """Choose pairs and store those that are new.

    Raises:
        UserError: an option's value is not one of those allowed, or no database.
    """
    _check(config)
    started = provenance.now_ms()
    with Store.open(config.db) as store:
        profile = _profile(store, config.profile)
        candidates = _candidates(store, config.split)
        omni = totals(cast("list[Score]", store.all("scores")), profile)
        known = {clip: each.total for clip, each in omni.items() if each.total is not None}
        chosen = pairs.STRATEGIES[config.strategy](
            candidates, known, config.seed, profile=config.profile, campaign=config.campaign
        )
        kept = pairs.above_percentile(chosen, known, config.filter_percentile)
        report = Report(
            prompts=len(candidates),
            pairs=kept,
            new=store.add(kept),
            skipped=pairs.skipped(candidates, known, chosen),
            filtered=len(chosen) - len(kept),
            unscored=sum(clip not in known for clips in candidates.values() for clip in clips),
        )
        if report.new:
            metrics = {"pairs": len(kept), "new": report.new, "filtered": report.filtered}
            store.add([provenance.finished("pair", config, started, metrics)])
    return report


def _check(config: Config) -> None:
    for option, value, allowed in (
        ("--strategy", config.strategy, tuple(pairs.STRATEGIES)),
        ("--split", config.split, SPLITS),
    ):
        if value not in allowed:
            raise UserError(f"{option} is {value!r}; it must be one of {', '.join(allowed)}")
    if not config.profile.startswith(calibration.PREFIX):
        calibration.profile_named(config.profile)  # a mistyped name needs no database to be one
    if not 0 <= config.filter_percentile < 100:
        raise UserError(
            f"--filter-percentile is {config.filter_percentile}; it must be from 0 (keep all) to "
            "below 100"
        )


def _profile(store: Store, name: str) -> Profile:
    return calibration.profile_named(name, cast("list[Decision]", store.all("decisions")))


def _candidates(store: Store, split: str) -> dict[str, list[str]]:
    """Hashes per prompt id of that split, in the order of the prompts."""
    clips = pairs.by_prompt(cast("list[Candidate]", store.all("candidates")))
    prompts = cast("list[Prompt]", store.all("prompts"))
    wanted = [prompt.id for prompt in prompts if split in ("all", prompt.split)]
    return {prompt: clips[prompt] for prompt in wanted if prompt in clips}


def tell(report: Report, config: Config) -> None:
    """What was chosen, what was skipped and why, and how far apart the pairs' scores are."""
    say(
        f"{config.strategy}: {len(report.pairs)} pairs from {report.prompts} prompts with clips, "
        f"{report.new} of them new"
    )
    for reason, count in report.skipped.most_common():
        say(f"skipped {count} prompts: {reason}")
    if report.filtered:
        say(f"dropped {report.filtered} pairs below percentile {config.filter_percentile:g}")
    margins = sorted(pair.margin for pair in report.pairs if pair.margin is not None)
    if margins:
        middle = statistics.median(margins)
        say(
            f"margin by {config.profile}: least {margins[0]:.4f}, median {middle:.4f}, "
            f"greatest {margins[-1]:.4f}"
        )
    if report.unscored:
        say(
            f"{report.unscored} clips have no total under {config.profile}: "
            f"`python -m scorers --profile {config.profile}` says why"
        )


def parser() -> argparse.ArgumentParser:
    """Options of the command."""
    default = Config()
    options = Parser(
        prog="python -m data.pair",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add("--db", default=default.db, help="database (default: %(default)s)")
    add(
        "--strategy",
        default=default.strategy,
        help=f"one of {', '.join(pairs.STRATEGIES)}; numbers are ranks by score, 0 the best; "
        "VideoDPO keeps best-worst (default: %(default)s)",
    )
    add(
        "--profile",
        default=default.profile,
        help=f"OmniScore profile to rank by, one of {', '.join(PROFILES)}, or calibrated:ID "
        "(python -m data.calibrate --list) (default: %(default)s)",
    )
    add(
        "--filter-percentile",
        type=float,
        default=default.filter_percentile,
        metavar="P",
        help="drop pairs whose better clip lies below the P-th percentile of better clips; "
        "VideoDPO tried 25, 50, 75 and found 0 best (default: %(default)s, keep all)",
    )
    add("--split", default=default.split, help="train, test or all (default: %(default)s)")
    add("--campaign", default=default.campaign, help="name of the campaign (default: %(default)s)")
    add("--seed", type=int, default=default.seed, help="for strategy random (default: %(default)s)")
    return options


@user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    config = Config(**vars(parser().parse_args(argv)))
    tell(run(config), config)


if __name__ == "__main__":
    sys.exit(main())

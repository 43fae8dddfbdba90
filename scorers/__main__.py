"""`python -m scorers`: score the clips of a database, `--list` what can judge, `--fetch` weights.

    python -m scorers --db prefs.duckdb --profile lite
    python -m scorers --db prefs.duckdb --judge versus     # compare clips two by two
    python -m scorers --fetch vbench               # a profile, a scorer, or a row of --list

The method is in `scorers/run.py`, that of `--judge` in `scorers/tournament.py`, weights in
`scorers/weights.py`. Exit codes: 0 all clips judged by all scorers, 1 some clips could not be read
or some scorers have no weights here (named on standard error), 2 a mistake in the call.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterable, Sequence
from typing import Any, cast

from data.console import say, table
from data.errors import user_errors
from data.omniscore import PROFILES, Omni, raw_values, totals
from data.profile import Profile
from data.records import Score
from data.store import Store
from scorers import fetching, listing, tournament
from scorers.judging import Report
from scorers.options import demand_folder, demand_together, parser
from scorers.run import Config, Share, profile_in, run


def summary(scores: Sequence[Score], clips: int, profile: Profile) -> str:
    """Mean, least and greatest raw value per dimension, its mean place in its range; the totals."""
    raw, omni = raw_values(scores, profile), totals(scores, profile)
    rows = []
    for row in profile.dimensions:
        values = [found[row.key] for found in raw.values() if row.key in found]
        places = [row.normalise(value) for value in values]
        rows.append((f"{row.key} ({row.label})", *_numbers(values, clips), _mean(places)))
    rows += [(key, "-", "-", "-", "not measured", "-") for key in profile.lacks]
    groups = dict.fromkeys(row.group for row in profile.dimensions)
    for group in (*groups, "total"):
        rows.append((group, *_numbers(_present(omni.values(), group), clips), ""))
    return table(("dimension", "mean", "least", "greatest", "missing", "mean 0-1"), rows)


def _present(omnis: Iterable[Omni], group: str) -> list[float]:
    values = (getattr(omni, group) for omni in omnis)
    return [value for value in values if value is not None]


def _mean(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.3f}" if values else "-"


def _numbers(values: Sequence[float], clips: int) -> tuple[str, str, str, str]:
    missing = f"{1 - len(values) / clips:.0%}" if clips else "-"
    if not values:
        return "-", "-", "-", missing
    return _mean(values), f"{min(values):.3f}", f"{max(values):.3f}", missing


def complain(report: Report) -> None:
    """Name what could not be done, on standard error."""
    for name, reason in report.absent.items():
        sys.stderr.write(f"scorer {name} is missing: {reason}\n")
    for path, reason in report.failed.items():
        sys.stderr.write(f"not scored: {path}: {reason}\n")


def tell(report: Report, config: Config) -> None:
    """What the run did, and what the database holds now."""
    profile = profile_in(config.db, config.profile)
    with Store.open(config.db) as store:
        scores, clips = cast("list[Score]", store.all("scores")), store.count("candidates")
    say(f"{config.profile}: {profile.title}")
    say(summary(scores, clips, profile))
    say(
        f"{report.judged} clips judged, {report.stored} new scores, "
        f"{report.cached} clips were scored already"
    )
    for dimension, count in report.unjudged.items():
        say(f"{dimension}: {count} clips could not be judged and have no score")


def compare(config: tournament.Config) -> int:
    """`--judge`: run the tournament, and say what it did and how far the first place swayed it."""
    report = tournament.run(config)
    for path, reason in report.failed.items():
        sys.stderr.write(f"not judged: {path}: {reason}\n")
    if Share.of_this_process().wait_for_the_others():
        profile = PROFILES[config.judge]
        with Store.open(config.db) as store:
            scores, clips = cast("list[Score]", store.all("scores")), store.count("candidates")
        say(f"{config.judge}: {profile.title}")
        say(summary(scores, clips, profile))
        say(
            f"{report.prompts} prompts judged, {report.stored} new values, "
            f"{report.cached} prompts had values already"
        )
        if bias := report.bias:
            say(
                f"of two equal clips the one shown first is preferred with a chance of "
                f"{1 / (1 + math.exp(-bias['place_log_odds'])):.0%}; in {bias['swayed']:.0%} of "
                "the comparisons the place outweighed the clips"
            )
    return 1 if report.failed else 0


def _tournament(given: dict[str, Any]) -> tournament.Config:
    named = {"judge_model": "model"}
    return tournament.Config(**{named.get(key, key): value for key, value in given.items()})


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    given = vars(parser(__doc__ or "").parse_args(argv))
    demand_together(given)
    weights_dir = given.get("weights")
    if "fetch" in given:
        if not (rows := listing.wanted(given["fetch"])):
            say(f"{given['fetch']} needs no weights")
        fetching.fetch(rows, weights_dir)
        return 0
    demand_folder(weights_dir or "")
    if "list" in given:
        say(f"{listing.scorer_table()}\n\n{listing.weight_table(weights_dir)}")
        return 0
    if "judge" in given:
        return compare(_tournament(given))
    config, share = Config(**given), Share.of_this_process()
    report = run(config)
    complain(report)
    if share.wait_for_the_others():
        tell(report, config)
    return 1 if report.failed or report.absent else 0


if __name__ == "__main__":
    sys.exit(main())

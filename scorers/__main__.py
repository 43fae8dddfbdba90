"""`python -m scorers`: score the clips of a database, `--list` what can judge, `--fetch` weights.

    python -m scorers --db prefs.duckdb --profile lite
    python -m scorers --fetch vbench               # a profile, a scorer, or a row of --list

The method is in `scorers/run.py`, weights in `scorers/weights.py`. Exit codes: 0 all clips judged
by all scorers, 1 some clips could not be read or some scorers have no weights here (named on
standard error), 2 a mistake in the call.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterable, Sequence
from typing import cast

from data.console import say, table
from data.errors import user_errors
from data.omniscore import PROFILES, Omni, raw_values, totals
from data.profile import Profile
from data.records import Score
from data.store import Store
from scorers import listing, weights
from scorers.judging import Report
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


def parser() -> argparse.ArgumentParser:
    """Options of the command."""
    default = Config()
    options = argparse.ArgumentParser(prog="python -m scorers", description=__doc__)
    add = options.add_argument
    add("--db", default=default.db, help="database (default: %(default)s)")
    add(
        "--profile",
        default=default.profile,
        help=f"what to measure, one of {', '.join(PROFILES)} (default: %(default)s)",
    )
    add("--again", action="store_true", help="judge what has scores already, too")
    add("--device", default=default.device, help="cpu, cuda, cuda:1 ... (default: a GPU if any)")
    add(
        "--batch",
        type=int,
        default=default.batch,
        help="most clips of one size judged at once; large clips go in smaller batches "
        "(default: %(default)s)",
    )
    add(
        "--threads",
        type=int,
        default=default.threads,
        help="CPU threads for torch, 0 = its own choice. One is fastest for small clips and beside "
        "other work (default: %(default)s)",
    )
    add(
        "--weights",
        default=default.weights,
        metavar="DIR",
        help="folder of weights, one folder per row of --list; looked in before the others",
    )
    add("--list", action="store_true", help="print every scorer and all weights, and leave")
    add("--fetch", metavar="NAME", help="download the weights of a profile or scorer, and leave")
    return options


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    options = vars(parser().parse_args(argv))
    weights_dir, fetch = options["weights"], options.pop("fetch")
    if options.pop("list"):
        say(f"{listing.scorer_table()}\n\n{listing.weight_table(weights_dir)}")
        return 0
    if fetch is not None:
        weights.fetch(listing.wanted(fetch), weights_dir)
        return 0
    config, share = Config(**options), Share.of_this_process()
    report = run(config)
    complain(report)
    if share.wait_for_the_others():
        tell(report, config)
    return 1 if report.failed or report.absent else 0


if __name__ == "__main__":
    sys.exit(main())

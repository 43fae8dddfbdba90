"""`python -m scorers`: score the clips of a database, `--list` what can judge, `--fetch` weights.

    python -m scorers --db prefs.duckdb --profile lite
    python -m scorers --db prefs.duckdb --judge versus     # compare clips two by two
    python -m scorers --fetch vbench               # a profile, a scorer, or a row of --list

The method is in `scorers/run.py`, that of `--judge` in `scorers/tournament.py`, weights in
`scorers/weights.py`. Exit codes: 0 all clips judged by all scorers, 1 some clips could not be read
or some scorers have no weights here (named on standard error), 2 a mistake in the call.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Iterable, Sequence
from typing import Any, cast

from data.console import say, table
from data.errors import UserError, user_errors
from data.omniscore import PROFILES, Omni, raw_values, totals
from data.profile import Profile
from data.records import Score
from data.store import Store
from scorers import JUDGES, fetching, listing, tournament
from scorers.judging import Report
from scorers.run import DTYPES, Config, Share, profile_in, run


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


def parser() -> argparse.ArgumentParser:
    """Options of the command."""
    default = Config()
    options = argparse.ArgumentParser(
        prog="python -m scorers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add("--db", default=default.db, help="database (default: %(default)s)")
    add(
        "--profile",
        default=default.profile,
        help=f"what to measure, one of {', '.join(PROFILES)} (default: %(default)s)",
    )
    add(
        "--judge",
        metavar="NAME",
        help=f"instead of scoring, compare each two clips of a prompt, in both orders, by one of "
        f"{', '.join(JUDGES)}; what comes out is read by the profile of that name",
    )
    add(
        "--judge-model",
        default="",
        metavar="FOLDER",
        help="network of the judge, a Qwen2-VL as transformers saves it (default: Qwen2-VL-2B)",
    )
    add("--again", action="store_true", help="judge what has scores already, too")
    add("--device", default=default.device, help="cpu, cuda, cuda:1 ... (default: a GPU if any)")
    add(
        "--batch",
        type=int,
        default=default.batch,
        help="most clips of one size judged at once on a GPU; large clips go in smaller batches "
        "(default: %(default)s)",
    )
    add(
        "--threads",
        type=int,
        default=default.threads,
        help="clips (on a GPU: batches) in work at the same time, one thread each; 0: one per "
        "core, at most eight (default: %(default)s)",
    )
    add(
        "--weights",
        default=default.weights,
        metavar="DIR",
        help="folder of weights, one folder per row of --list; looked in before the others",
    )
    add(
        "--memory",
        type=float,
        default=default.memory,
        metavar="GB",
        help="of weights that may be loaded at once; what does not fit takes turns. 0: no limit "
        "(default: %(default)s)",
    )
    add(
        "--dtype",
        default=default.dtype,
        choices=DTYPES,
        help="floating type of the networks; scores of another type are scores of another version "
        "(default: %(default)s)",
    )
    add("--list", action="store_true", help="print every scorer and all weights, and leave")
    add("--fetch", metavar="NAME", help="download the weights of a profile or scorer, and leave")
    return options


def _tournament(judge: str, options: dict[str, Any]) -> tournament.Config:
    same = {key: options[key] for key in ("db", "again", "device", "weights", "dtype")}
    return tournament.Config(judge=judge, model=options["judge_model"], **same)


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    options = vars(parser().parse_args(argv))
    weights_dir, fetch = options["weights"], options.pop("fetch")
    if options.pop("list"):
        say(f"{listing.scorer_table()}\n\n{listing.weight_table(weights_dir)}")
        return 0
    if fetch is not None:
        fetching.fetch(listing.wanted(fetch), weights_dir)
        return 0
    if (judge := options.pop("judge")) is not None:
        return compare(_tournament(judge, options))
    if options["profile"] in JUDGES:
        raise UserError(
            f"--profile {options['profile']} is made by comparing clips, not by scoring each; use "
            f"--judge {options['profile']}"
        )
    del options["judge_model"]
    config, share = Config(**options), Share.of_this_process()
    report = run(config)
    complain(report)
    if share.wait_for_the_others():
        tell(report, config)
    return 1 if report.failed or report.absent else 0


if __name__ == "__main__":
    sys.exit(main())

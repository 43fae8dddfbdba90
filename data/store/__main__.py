"""Look after the database: find damage, mend it, make it new from the journal of votes.

    python -m data.store check --db prefs.duckdb      # changes nothing
    python -m data.store repair --db prefs.duckdb     # after a power cut
    python -m data.store rebuild --db prefs.duckdb    # the database file is lost or unreadable

None of them runs while the app has the database open. `repair` and `rebuild` keep the old files.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from data.console import say
from data.errors import user_errors
from data.store.owner import system_clock
from data.store.places import Places
from data.store.repair import check, rebuild, repair

Action = Literal["check", "repair", "rebuild"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to do, and to which database."""

    action: Action
    db: str = "prefs.duckdb"


def run(config: Config) -> int:
    """Do it and say what was found or done; 1 if `check` found damage, else 0."""
    places = Places.of(config.db)
    if config.action == "check":
        found = check(places)
        for sentence in found:
            say(sentence)
        say(f"{places.database}: {f'{len(found)} findings' if found else 'no damage found'}")
        return 1 if found else 0
    done = repair(places) if config.action == "repair" else rebuild(places, now_ms=system_clock())
    for sentence in done:
        say(sentence)
    return 0


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m data.store",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "action",
        choices=("check", "repair", "rebuild"),
        help="check: report damage, exit code 1 if there is any. repair: cut what a power cut left "
        "unfinished. rebuild: a new database from the journal and the last snapshot",
    )
    parser.add_argument("--db", default=Config.db, help="the database file (default: %(default)s)")
    given = parser.parse_args(argv)
    return run(Config(action=cast(Action, given.action), db=given.db))


if __name__ == "__main__":
    raise SystemExit(main())

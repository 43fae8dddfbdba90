"""Bring a PostgreSQL database into a file: what training, scoring and notebooks read.

    python -m data.pull --from postgresql://user@host/name --db prefs.duckdb

Copies what is newer than at the last pull, by the sequence numbers that PostgreSQL gives without a
gap, through `data.store.add_tables`: votes get into the file's own journal, and the file may belong
to a running app. What the file holds already is not new, so that pulling again, or after a pull
that was interrupted, does no harm; equal content has equal digests on both sides. How far it came
is kept in `prefs.duckdb.pulled`; where that does not fit, everything is compared.

Left out on purpose: the other direction (point a command's --db at PostgreSQL to add there), and
the clips, which `SECOND_LOOK_CLIPS` names (see `data.clips`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass

from data.console import Parser, say
from data.errors import UserError, user_errors
from data.records import KINDS
from data.store import Store, add_tables
from data.store.places import Places, is_url, spoken
from data.store.postgres import PostgresStore

Marks = dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Config:
    """From where, into which file."""

    source: str
    db: str = "prefs.duckdb"
    rows: int = 200_000

    def __post_init__(self) -> None:
        """Refuse the two sides the wrong way round."""
        if not is_url(self.source):
            raise UserError(f"--from is {self.source!r}; it must be postgresql://user@host/name")
        if is_url(self.db):
            raise UserError(f"--db is {spoken(self.db)}; it must be a file, such as prefs.duckdb")
        if self.rows < 1:
            raise UserError(f"--rows is {self.rows}; it must be 1 or more")


def run(config: Config) -> dict[str, int]:
    """Pull everything newer; how many records of each kind were new to the file.

    Raises:
        UserError: the server or the file cannot be reached, or a vote does not fit the file.
    """
    places = Places.of(config.db)
    with Store.open(config.source) as source:
        if not isinstance(source, PostgresStore):
            raise TypeError(f"{config.source} is no PostgreSQL")
        held = _held(places)
        marks, new = _marks(places, source, held), dict.fromkeys(KINDS, 0)
        for kind in KINDS:  # the mark moves on after each kind: a break costs one kind at most
            before = marks[kind]
            new[kind] = _pull(source, kind, marks, places, config.rows)
            held[kind] += new[kind]
            if marks[kind] != before:
                _remember(places, {"source": source.identity(), "marks": marks, "held": held})
        return new


def _pull(source: PostgresStore, kind: str, marks: Marks, places: Places, rows: int) -> int:
    """One kind, in stretches of so many rows that memory does not grow with the table."""
    new, newest = 0, source.heads()[kind]
    while marks[kind] < newest:
        table, marks[kind] = source.newer(kind, marks[kind], limit=rows)
        new += add_tables(places.database, {kind: table} if table.num_rows else {})
    return new


def _held(places: Places) -> Marks:
    """How many records of each kind the file holds."""
    if not places.database.exists():
        return dict.fromkeys(KINDS, 0)
    with Store.open(places.database) as target:
        return {kind: target.count(kind) for kind in KINDS}


def _marks(places: Places, source: PostgresStore, held: Marks) -> Marks:
    """How far the last pull from this source into this file came; 0 for what does not fit."""
    there, nothing = source.heads(), dict.fromkeys(KINDS, 0)
    try:
        known = json.loads(places.pulled.read_text())
    except (FileNotFoundError, ValueError):
        return nothing
    if known.get("source") != source.identity():
        return nothing
    marks, then = {**nothing, **known["marks"]}, {**nothing, **known["held"]}
    fits = {kind for kind in KINDS if marks[kind] <= there[kind] and then[kind] <= held[kind]}
    return {kind: marks[kind] if kind in fits else 0 for kind in KINDS}


def _remember(places: Places, facts: dict[str, object]) -> None:
    draft = places.pulled.with_suffix(".draft")
    draft.write_text(json.dumps(facts))
    draft.replace(places.pulled)


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = Parser(
        prog="python -m data.pull",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--from",
        dest="source",
        required=True,
        metavar="URL",
        help="postgresql://user@host:port/name; the password better in PGPASSWORD or ~/.pgpass",
    )
    parser.add_argument("--db", default=Config.db, help="the file (default: %(default)s)")
    parser.add_argument(
        "--rows",
        type=int,
        default=Config.rows,
        help="rows per stretch; one stretch is in memory at a time (default: %(default)s)",
    )
    config = Config(**vars(parser.parse_args(argv)))
    new = run(config)
    say(f"{config.db}: " + ", ".join(f"{count} new {kind}" for kind, count in new.items()))
    with Store.open(config.db, create=True) as target:
        say(f"up to vote {target.sequence}, votes {target.digest()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

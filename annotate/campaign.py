"""Decide how a campaign is annotated: python -m annotate.campaign --db prefs.duckdb set default ...

    ... set NAME --redundancy 3 --most 7 --gold 0.05   # only what is named changes
    ... show NAME | list | pause NAME | resume NAME
    ... requeue --campaign NAME (--pair ID | --annotator WHO | --split)
    ... exclude WHO | include WHO | tries WHO 1

Every decision is a new record; nothing is edited or deleted, and a running app takes it up in a
second. `requeue` asks one person more for pairs that had been answered enough: for one pair, for
all that somebody answered, or for all about which people disagree. `exclude` takes all of a
person's votes out of slots, labels and statistics, `include` brings them back; none is touched.

Left out on purpose: roles and passwords (`annotate/people.py`), and deleting a campaign.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from annotate import deciding
from annotate.questions import OVERALL
from data.console import Parser, say
from data.errors import UserError, user_errors
from data.store import Store

_BY = "annotate.campaign"
Command = Literal[
    "set", "show", "list", "pause", "resume", "requeue", "exclude", "include", "tries"
]


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is decided."""

    db: str = "prefs.duckdb"
    command: Command
    name: str = "default"
    """The campaign."""
    who: str = ""
    """The annotator, as in the votes."""
    pair: str = ""
    """For `requeue`: this pair alone."""
    split: bool = False
    """For `requeue`: every pair with different answers."""
    tries: int = 0
    changes: dict[str, Any] = field(default_factory=dict)
    """For `set`: fields of `Campaign`."""


def run(config: Config) -> list[str]:
    """Decide, or look; what there is to say about it.

    Raises:
        UserError: a campaign, a pair or a person that is not there, or a value that cannot be.
    """
    name, who, command = config.name, config.who, config.command
    with Store.open(config.db) as store:
        if command == "set":
            return deciding.settle(store, name, config.changes, by=_BY)
        if command == "list":
            return deciding.overview(store)
        if command in ("pause", "resume"):
            return deciding.pause(store, name, paused=command == "pause", by=_BY)
        if command in ("exclude", "include"):
            return deciding.count(store, who, counts=command == "include", by=_BY)
        if command == "tries":
            return deciding.allow(store, who, tries=config.tries, by=_BY)
        if command == "requeue":
            about = {"pair": config.pair, "who": who, "split": config.split}
            return deciding.requeue(store, name, **about, by=_BY)
        return deciding.describe(store, name)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.replace(" ", "").split(",") if word)


def _questions(text: str) -> tuple[str, ...]:
    """The keys as given; the overall question, which is always asked last, need not be named."""
    keys = _words(text)
    return keys if OVERALL in keys else (*keys, OVERALL)


def _or_none(text: str) -> int | None:
    return None if text == "none" else int(text)


_OPTIONS: dict[str, tuple[Any, str]] = {
    "title": (str, "what people read as its name"),
    "guideline": (Path, "text file: paragraphs by blank lines, lists by `- `"),
    "examples": (Path, "JSON file: a list of {prompt, better, why} and perhaps {left, right}, "
                 "hashes of clips"),
    "questions": (_questions, "keys with commas, of visual, motion, alignment; overall comes last"),
    "strength": (bool, "ask whether a clip is slightly or clearly better"),
    "comments": (bool, "offer a comment"),
    "flags": (_words, "what can be marked, with commas: watermark, text, nsfw; '' for nothing"),
    "redundancy": (int, "people per pair"),
    "most": (_or_none, "people per pair at most while they disagree: a pair is done once an "
             "answer is `redundancy` ahead; 'none' asks `redundancy` people whatever they say"),
    "blind": (float, "share of pairs answered before the score is seen, 0 to 1"),
    "gold": (float, "share of answers that go to pairs with a known answer, 0 to 0.9"),
    "repeat": (float, "share of answers that ask an earlier pair again, sides swapped, 0 to 0.9"),
    "order": (str, "random, unvoted-first, uncertain or split"),
    "stratum": (float, "share of pairs in random order in uncertain and split, 0 to 1"),
    "gate": (bool, "answers wait until both clips have played through"),
    "practice": (int, "pairs of a practice round before the work; 0 for none"),
    "practice_pass": (float, "share of a round that must be right, 0 to 1"),
    "practice_tries": (int, "practice rounds that a person may try"),
    "gold_warn": (float, "share of right gold answers below which a person is warned, 0 to 1"),
    "profile": (str, "OmniScore profile on the page; auto takes each pair's own"),
    "lease_seconds": (float, "how long a pair is kept for the person who has it, seconds"),
    "break_minutes": (float, "minutes of work after which a break is proposed"),
}  # fmt: skip
"""Option of `set` -> how it is read, and what it is; the default is what holds now."""


def parser() -> argparse.ArgumentParser:
    """Options of the command."""
    options = Parser(
        prog="python -m annotate.campaign",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--db", default=Config.db, help="database (default: %(default)s)")
    commands = options.add_subparsers(dest="command", required=True, metavar="COMMAND")
    decide = commands.add_parser("set", help="decide how it is asked; only what is named changes")
    decide.add_argument("name")
    for name, (kind, about) in _OPTIONS.items():
        how: dict[str, Any] = {"type": kind}
        if kind is bool:
            how = {"action": argparse.BooleanOptionalAction}
        decide.add_argument(
            f"--{name.replace('_', '-')}", default=argparse.SUPPRESS, help=about, **how
        )
    for name, about in (("show", "what holds now"), ("pause", "hand out no pairs"),
                        ("resume", "go on")):  # fmt: skip
        commands.add_parser(name, help=about).add_argument("name")
    commands.add_parser("list", help="every campaign")
    _requeue_options(commands.add_parser("requeue", help="ask one person more"))
    for name, about in (("exclude", "take somebody's votes out"), ("include", "bring them back"),
                        ("tries", "allow more practice rounds")):  # fmt: skip
        person = commands.add_parser(name, help=about)
        person.add_argument("who", help="annotator, as in the votes")
        if name == "tries":
            person.add_argument("tries", type=int, help="rounds more than the campaign says")
    return options


def _requeue_options(options: argparse.ArgumentParser) -> None:
    options.add_argument(
        "--campaign", dest="name", default=Config.name, help="its name (default: %(default)s)"
    )
    which = options.add_mutually_exclusive_group(required=True)
    which.add_argument("--pair", default="", help="this pair, by its id")
    which.add_argument(
        "--annotator", dest="who", default="", help="every pair that this person answered"
    )
    which.add_argument("--split", action="store_true", help="every pair with different answers")


def configured(argv: Sequence[str] | None = None) -> Config:
    """The command line as a `Config`."""
    given = vars(parser().parse_args(argv))
    changes = {name: given.pop(name) for name in list(given) if name in _OPTIONS}
    for name in ("guideline", "examples"):
        if name in changes:
            changes[name] = _file(name, changes[name])
    return Config(**given, changes=changes)


def _file(name: str, path: Path) -> Any:
    try:
        text = path.read_text()
        return json.loads(text) if name == "examples" else text
    except (OSError, ValueError) as error:
        raise UserError(f"--{name} {path} cannot be read: {error}") from error


@user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    for line in run(configured(argv)):
        say(line)


if __name__ == "__main__":
    sys.exit(main())

"""Options of `python -m scorers`: what may be written, and which of them go together."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

from data.console import Parser
from data.errors import UserError
from data.omniscore import PROFILES
from scorers import JUDGES
from scorers.run import DTYPES, Config

_BESIDE = {
    "list": {"weights"},
    "fetch": {"weights"},
    "judge": {"judge_model", "db", "again", "device", "weights", "dtype"},
}
"""What can be given beside an option that changes what the command does."""


def parser(doc: str) -> argparse.ArgumentParser:
    """A parser whose result holds what was given only."""
    options = Parser(
        prog="python -m scorers",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    _add_work(options)
    _add_machine(options)
    add = options.add_argument
    add("--list", action="store_true", help="print every scorer and all weights, and leave")
    add("--fetch", metavar="NAME", help="download the weights of a profile or scorer, and leave")
    return options


def demand_together(given: Collection[str]) -> None:
    """Refuse options that would be ignored.

    Raises:
        UserError: two of `given` do not go together.
    """
    for mode, beside in _BESIDE.items():
        if mode in given and (others := sorted({*given} - beside - {mode})):
            raise UserError(
                f"--{mode} makes no use of --{others[0].replace('_', '-')}; leave one of them out"
            )
    if "judge_model" in given and "judge" not in given:
        raise UserError(
            f"--judge-model is the network of a judge; say which by --judge {JUDGES[0]}"
        )


def demand_folder(weights: str) -> None:
    """Refuse a folder of weights that is not there.

    Raises:
        UserError: `weights` names something that is no folder.
    """
    if weights and not Path(weights).expanduser().is_dir():
        raise UserError(
            f"--weights is {weights}, which is not a folder; give one that holds a folder per row "
            "of python -m scorers --list, or leave it out"
        )


def _add_work(options: argparse.ArgumentParser) -> None:
    """What to judge, and by whom."""
    add, default = options.add_argument, Config()
    add("--db", help=f"database (default: {default.db})")
    add(
        "--profile",
        help=f"what to measure, one of {', '.join(PROFILES)} (default: {default.profile})",
    )
    add(
        "--judge",
        metavar="NAME",
        help=f"instead of scoring, compare each two clips of a prompt, in both orders, by one of "
        f"{', '.join(JUDGES)}; what comes out is read by the profile of that name",
    )
    add(
        "--judge-model",
        metavar="FOLDER",
        help="network of the judge, a Qwen2-VL as transformers saves it (default: Qwen2-VL-2B)",
    )
    add("--again", action="store_true", help="judge what has scores already, too")


def _add_machine(options: argparse.ArgumentParser) -> None:
    """Where it is done, and how much at a time."""
    add, default = options.add_argument, Config()
    add("--device", help="cpu, cuda, cuda:1 ... (default: a GPU if any)")
    add(
        "--batch",
        type=int,
        help="most clips of one size judged at once on a GPU; large clips go in smaller batches "
        f"(default: {default.batch})",
    )
    add(
        "--threads",
        type=int,
        help="clips (on a GPU: batches) in work at the same time, one thread each; 0: one per "
        f"core, at most eight (default: {default.threads})",
    )
    add(
        "--weights",
        metavar="DIR",
        help="folder of weights, one folder per row of --list; looked in before the others",
    )
    add(
        "--memory",
        type=float,
        metavar="GB",
        help="of weights that may be loaded at once; what does not fit takes turns. 0: no limit "
        f"(default: {default.memory:g})",
    )
    add(
        "--dtype",
        choices=DTYPES,
        help="floating type of the networks; scores of another type are scores of another version "
        f"(default: {default.dtype})",
    )

"""A command's options are the fields of its `Config`: name, type, default and help in one place.

    class Config:
        steps: int = option(100, "optimizer steps (toy study: 75 to 150)")

A switch is a `bool` that is False until its option is given.

Left out on purpose: sub-commands, positional arguments, configuration files.
"""

from __future__ import annotations

import argparse
from dataclasses import field, fields
from types import NoneType
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints


def option(default: Any, text: str) -> Any:
    """A dataclass field with a default and a help text (what, unit, source)."""
    return field(default=default, metadata={"help": text})


def parser(config: type, program: str, doc: str) -> argparse.ArgumentParser:
    """A parser with an `--option` per field of `config`; what is not given is not in its result."""
    made = _Parser(
        prog=program,
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    hints = get_type_hints(config)
    for each in fields(config):
        kind = hints[each.name]
        if kind is bool:
            made.add_argument(
                f"--{each.name.replace('_', '-')}",
                action="store_true",
                help=each.metadata["help"].replace("%", "%%"),
            )
            continue
        choices = get_args(kind) if get_origin(kind) is Literal else None
        shown = "none" if each.default is None else each.default
        made.add_argument(
            f"--{each.name.replace('_', '-')}",
            type=type(choices[0]) if choices else _single(kind),
            choices=choices,
            metavar=None if choices else each.name.upper(),
            help=f"{each.metadata['help']} (default: {shown})".replace("%", "%%"),
        )
    return made


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line, and not all of its options too."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message}; {self.prog} --help explains every option\n")


def _single(kind: Any) -> Any:
    """`float` of `float | None`."""
    return next((part for part in get_args(kind) if part is not NoneType), kind)

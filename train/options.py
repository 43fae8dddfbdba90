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
from typing import Any, Literal, get_args, get_origin, get_type_hints

from data.console import Parser


def option(default: Any, text: str, *names: str) -> Any:
    """A dataclass field with a default and a help text (what, unit, source).

    Its option is called like the field, or by `names`: the help shows the first, all of them work.
    """
    return field(default=default, metadata={"help": text, "names": names})


def parser(config: type, program: str, doc: str) -> argparse.ArgumentParser:
    """A parser with an `--option` per field of `config`; what is not given is not in its result."""
    made = Parser(
        prog=program,
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    hints = get_type_hints(config)
    for each in fields(config):
        kind = hints[each.name]
        name, *others = each.metadata["names"] or (f"--{each.name.replace('_', '-')}",)
        if kind is bool:
            made.add_argument(
                name,
                action="store_true",
                help=each.metadata["help"].replace("%", "%%"),
            )
            continue
        choices = get_args(kind) if get_origin(kind) is Literal else None
        shown = "none" if each.default is None else each.default
        text = f"{each.metadata['help']} (default: {shown})".replace("%", "%%")
        for called, said in ((name, text), *((other, argparse.SUPPRESS) for other in others)):
            made.add_argument(
                called,
                dest=each.name,
                type=type(choices[0]) if choices else _single(kind),
                choices=choices,
                metavar=None if choices else each.name.upper(),
                help=said,
            )
    return made


def _single(kind: Any) -> Any:
    """`float` of `float | None`."""
    return next((part for part in get_args(kind) if part is not NoneType), kind)

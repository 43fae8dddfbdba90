"""Who may sign in: turns accounts on, and looks after them, also while the app runs.

    python -m annotate.people add Ada --role admin          # the first one turns accounts on
    python -m annotate.people add Bo --role annotator --annotator bo    # keeps bo's earlier votes
    python -m annotate.people invite --role annotator --address https://look.example.org
    python -m annotate.people deactivate Bo --exclude       # Bo's votes stop counting too
    python -m annotate.people token Ada                     # for scripts, shown once
    python -m annotate.people list

Passwords are asked for twice, or read from standard input (`--password-stdin`). People are kept in
`prefs.duckdb.people`, mode 600, or on the server of `--db postgresql://...`; votes hold an id only.
Nothing here deletes anything; `python -m data.store erase NAME` takes a person out for good.
Left out on purpose: e-mail, and rules on passwords beyond their length.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from data.console import Parser, say
from data.errors import UserError, user_errors

ACTIONS = (
    "add", "list", "role", "password", "deactivate", "activate", "invite", "token", "revoke",
)  # fmt: skip
_ROLES = ("annotator", "lead", "admin")


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to do, and with whom."""

    action: str
    name: str = ""
    db: str = "prefs.duckdb"
    role: Literal["annotator", "lead", "admin"] = "annotator"
    annotator: str = ""
    password_stdin: bool = False
    exclude: bool = False
    include: bool = False
    days: float = 7.0
    address: str = "http://127.0.0.1:7860"

    def __post_init__(self) -> None:
        """Refuse a name too many or too few, and a link that never works."""
        if not self.name and self.action not in ("list", "invite"):
            raise UserError(f"After `{self.action}` comes a name")
        if self.name and self.action == "list":
            raise UserError(f"After `list` comes nothing; got {self.name!r}")
        if not self.days > 0:
            raise UserError(f"--days is {self.days}; an invitation is open for more than 0 days")
        if not self.address.startswith(("http://", "https://")):
            raise UserError(f"--address is {self.address!r}; it begins with http:// or https://")


def run(config: Config) -> None:
    """Do it, and say what was done."""
    from annotate.register import ACTS
    from data.store.people import People
    from data.store.places import is_url

    with contextlib.closing(People.of(config.db)) as people:
        ACTS[config.action](config, people)
    if not (is_url(config.db) or Path(config.db).exists()):
        say(f"There is no database {config.db} yet: check --db, or start the app on it.")


_OPTIONS: dict[str, dict[str, Any]] = {
    "--db": {
        "default": Config.db,
        "help": "the database, a file or postgresql://... (default: %(default)s)",
    },
    "--role": {
        "choices": _ROLES,
        "help": "add, role, invite: annotators vote; leads also see everybody's work and export; "
        "admins are leads who also decide about people",
    },
    "--annotator": {
        "default": "",
        "metavar": "OLDNAME",
        "help": "add: the name that this person voted under before there were accounts",
    },
    "--password-stdin": {
        "action": "store_true",
        "help": "add, password: read the password from standard input, one line (default: ask "
        "twice on the terminal); 8 to 256 characters",
    },
    "--exclude": {
        "action": "store_true",
        "help": "deactivate: the person's votes stop counting, from now on and everywhere",
    },
    "--include": {
        "action": "store_true",
        "help": "activate: the person's votes count again",
    },
    "--days": {
        "type": float,
        "default": Config.days,
        "help": "invite: how long the link works, days (default: %(default)g)",
    },
    "--address": {
        "default": Config.address,
        "metavar": "URL",
        "help": "invite: where people reach the app (default: %(default)s)",
    },
}


@user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = Parser(
        prog="python -m annotate.people",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "action",
        choices=ACTIONS,
        help="add a person. list them. role, password: set another one. deactivate: shut somebody "
        "out. activate: let them in again. invite: a link with which somebody adds themselves. "
        "token: for scripts. revoke: a person's tokens and sessions, or an invitation",
    )
    parser.add_argument("name", nargs="?", default="", help="whom; revoke: or an invitation's id")
    for option, settings in _OPTIONS.items():
        parser.add_argument(option, **settings)
    given = vars(parser.parse_args(argv))
    if given["role"] is None:
        if given["action"] in ("add", "role", "invite"):
            raise UserError(f"`{given['action']}` needs --role {'|'.join(_ROLES)}")
        del given["role"]
    run(Config(**given))


if __name__ == "__main__":
    raise SystemExit(main())

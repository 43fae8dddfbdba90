"""Second Look: the page where a person confirms or overrides what OmniScore says about two clips.

    python app.py --db prefs.duckdb

Opens the database (and owns it until it ends: other commands read and write through it), serves the
page, and stores every answer on the disk before it says so. Needs no torch, no account, no network.
What is behind it lies in `annotate/`; here is the launch only.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from data.console import Parser, say
from data.errors import UserError, user_errors


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the app is started with."""

    db: str
    host: str = "127.0.0.1"
    port: int = 7860
    blind: float | None = None
    redundancy: int | None = None
    campaign: str = "default"
    profile: str | None = None
    trust_proxy: str = ""
    language: str = "auto"
    open: bool = False

    def __post_init__(self) -> None:
        """Refuse shares outside [0, 1], nobody per pair, and ports that do not exist."""
        if self.blind is not None and not 0.0 <= self.blind <= 1.0:
            raise UserError(f"--blind is {self.blind}; it is a share of the pairs, from 0 to 1")
        if self.redundancy is not None and self.redundancy < 1:
            raise UserError(f"--redundancy is {self.redundancy}; at least 1 person answers a pair")
        if not 0 <= self.port < 65536:
            raise UserError(f"--port is {self.port}; it must be from 0 (any) to 65535")


def run(config: Config) -> None:
    """Serve the page until interrupted."""
    from annotate import server
    from annotate.desk import Desk
    from annotate.protocol import Protocol
    from data.store import Store

    protocol = Protocol(
        campaign=config.campaign,
        blind=config.blind,
        redundancy=config.redundancy,
        profile=config.profile,
    )
    local = server.loopback(config.host) and not config.trust_proxy
    with Store.own(config.db) as owner, server.listen(config.host, config.port) as bound:
        desk = Desk(config.db, owner, protocol, local=local)
        app = server.build(desk, language=config.language)
        with suppress(KeyboardInterrupt):  # Ctrl-C is how it ends, not an error
            _announce(config, bound.getsockname()[1], open_to_all=not (local or desk.people.on))
            server.serve(app, bound, proxy=config.trust_proxy)


def _announce(config: Config, port: int, *, open_to_all: bool) -> None:
    from data.store.places import spoken

    host = f"[{config.host}]" if ":" in config.host else config.host
    address = f"http://{'127.0.0.1' if host in ('0.0.0.0', '[::]') else host}:{port}"
    if config.port not in (0, port):
        say(f"Port {config.port} is busy; using {port}.")
    say(f"Second Look is at {address} over {spoken(config.db)}")
    if open_to_all:
        say("Whoever reaches it can say any name. Accounts: python -m annotate.people --help")
    say("Ctrl-C ends it; votes are already stored.")
    if config.open:
        import webbrowser

        webbrowser.open(address)


@user_errors
def main(argv: list[str] | None = None) -> None:
    """Read the command line and serve."""
    run(Config(**vars(_parser().parse_args(argv))))


_OPTIONS: dict[str, dict[str, Any]] = {
    "--db": {
        "required": True,
        "help": "the database, such as prefs.duckdb; made if absent",
    },
    "--host": {
        "default": "127.0.0.1",
        "help": "address to listen on; 0.0.0.0 lets the network in, where whoever reaches the "
        "port can say any name unless accounts are on (python -m annotate.people); default: "
        "127.0.0.1, this machine only",
    },
    "--trust-proxy": {
        "default": "",
        "metavar": "ADDRESS",
        "help": "address of the reverse proxy in front, such as 127.0.0.1 (several: commas), whose "
        "word on https and on the browser's address is taken; needed behind one (default: none)",
    },
    "--port": {
        "type": int,
        "default": 7860,
        "help": "TCP port; the next free one where it is busy (default: 7860)",
    },
    "--blind": {
        "type": float,
        "metavar": "SHARE",
        "help": "share of the pairs, from 0 to 1, that are answered before OmniScore is shown; "
        "1 is blind first, 0 never hides it (default: what annotate.campaign has set, else 0.2)",
    },
    "--redundancy": {
        "type": int,
        "help": "people who answer each pair (default: what annotate.campaign has set, else 1)",
    },
    "--campaign": {
        "default": "default",
        "help": "which pairs to ask, until somebody switches (default: default)",
    },
    "--profile": {
        "help": "OmniScore profile on the page: lite, shapes, vbench, calibrated:ID (python -m "
        "data.calibrate), or auto: the one that the pair was made with, else the fullest that has "
        "scores (default: what annotate.campaign has set, else auto)",
    },
    "--language": {
        "default": "auto",
        "choices": ("auto", "en", "de"),
        "help": "language of the page; auto is each browser's own, and people may choose "
        "(default: auto)",
    },
    "--open": {
        "action": argparse.BooleanOptionalAction,
        "default": False,
        "help": "open the page in a browser (default: no)",
    },
}


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python app.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option, settings in _OPTIONS.items():
        parser.add_argument(option, **settings)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())

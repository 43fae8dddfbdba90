"""A PostgreSQL of the tests' own: made in a temporary folder, reached over loopback, then removed.

The server's programs come from the system's packages. Nothing is switched off: it flushes to the
disk as in production, because that is what the tests are about. It refuses to run as root, so that
for root it runs as the user `postgres` (or `nobody`).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

APT = "apt-get install postgresql"
_NEEDED = ("initdb", "pg_ctl", "postgres")


class NoServerError(RuntimeError):
    """Why there is no server, and what to run for one."""


def programs() -> Path:
    """The folder of the newest installed server's programs."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    folders += sorted(debian, key=lambda folder: -float(folder.parent.name))
    for folder in folders:
        if all((folder / name).exists() for name in _NEEDED):
            return folder
    raise NoServerError(f"no PostgreSQL server (initdb, pg_ctl) on this machine: {APT}")


def _user() -> list[str]:
    """What to put before a command so that it does not run as root."""
    if os.getuid() != 0:
        return []
    names = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in names and shutil.which("runuser"):
            return ["runuser", "-u", name, "--"]
    raise NoServerError("PostgreSQL does not run as root: run the tests as another user")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _call(*command: str | Path) -> None:
    done = subprocess.run(
        [*_user(), *map(str, command)],
        capture_output=True,
        text=True,
        cwd="/",
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    if done.returncode:
        raise NoServerError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")


class Server:
    """The running server. `url(name)` is one of its databases."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self._programs = folder, _free_port(), programs()
        _call(
            self._programs / "initdb",
            *("--pgdata", folder / "data", "--username", "tester", "--auth", "trust"),
            *("--encoding", "UTF8", "--locale", "C.UTF-8"),
        )

    def start(self) -> None:
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k '{self.folder}'"
        _call(
            self._programs / "pg_ctl",
            *("--pgdata", self.folder / "data", "--log", self.folder / "log"),
            *("--wait", "--options", options, "start"),
        )

    def stop(self, mode: str = "fast") -> None:
        _call(
            self._programs / "pg_ctl",
            *("--pgdata", self.folder / "data", "--wait", "--mode", mode, "stop"),
        )

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://tester@127.0.0.1:{self.port}/{name}"


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """A running server, and nothing of it afterwards."""
    programs()
    folder = Path(tempfile.mkdtemp(prefix="second-look-pg-"))
    try:
        if prefix := _user():
            shutil.chown(folder, prefix[2])
        running = Server(folder)
        running.start()
        try:
            yield running
        finally:
            running.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)

"""Which code ran when, with which settings: what a record of kind `Run` is made of.

The code version is the git revision of the checkout, with `+changed` where files differ from it, or
else the version of the installed package.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from data.proceedings import RunKind
from data.records import Run, digest


def now_ms() -> int:
    """UTC epoch milliseconds."""
    return time.time_ns() // 1_000_000


def sha256(path: Path) -> str:
    """Of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plain(config: Any) -> dict[str, Any]:
    """A command's `Config` (a dataclass) or a mapping as JSON values; paths become text.

    A password in a database's URL is left out: runs are records, which many people read.
    """
    values = asdict(config) if is_dataclass(config) and not isinstance(config, type) else config
    settings = json.loads(json.dumps(values, default=str))
    if isinstance(settings.get("db"), str):
        from data.store.places import spoken  # here, so that a command's --help stays quick

        settings["db"] = spoken(settings["db"])
    return settings


def code_version() -> str:
    """Git revision (`+changed` where files differ from it), or else the package's version."""
    root = Path(__file__).parents[1]
    try:
        revision = _git(root, "rev-parse", "--short=12", "HEAD")
        return revision + ("+changed" if _git(root, "status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        pass  # not a checkout, or no git: the installed package says its version
    try:
        return metadata.version("second-look")
    except metadata.PackageNotFoundError:
        return "unknown"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def finished(kind: RunKind, config: Any, started_ms: int, metrics: Mapping[str, float]) -> Run:
    """The record of a command without a folder of its own that ends now."""
    settings = plain(config)
    return Run(
        id=digest("run", kind, json.dumps(settings, sort_keys=True), started_ms)[:12],
        kind=kind,
        config=settings,
        code=code_version(),
        started_ms=started_ms,
        finished_ms=now_ms(),
        metrics=metrics,
    )

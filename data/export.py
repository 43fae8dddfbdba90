"""Everything as Parquet, for other tools: `python -m data.export --db prefs.duckdb --out FOLDER`.

The folder gets one file per kind of record (`votes.parquet`, ...) and `manifest.json`, which says
which database it was, at which vote, and for every file its rows, its SHA-256 and its columns.
docs/data.md explains every column. All files show one moment, also while the app votes on. The
folder is complete under its name or not there at all.

With `--labels human|auto|posterior` the folder gets the labelled pairs instead, in two formats that
other trainers read: `preferences.parquet` (columns `prompt`, `chosen`, `rejected`, as preference
data sets on the Hugging Face hub have them, and what is known of each label) and `videodpo/`
(`metadata.json` and `pair.json`). Both come back in with `data.ingest --pairs`.

Left out on purpose: clips (their paths and hashes are in `candidates.parquet`), and the rows of
scores and runs that a newer one has replaced. The votes name their annotators as the database does:
erase or rename them before you give an export away.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data import preference_export, provenance
from data.console import Parser, say, table
from data.errors import UserError, user_errors
from data.records import KINDS
from data.store import Store
from data.store.parquet import COLUMNS, origin, write_parquet

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to write where."""

    db: str = "prefs.duckdb"
    out: Path
    labels: str = ""
    weights: str = "none"


def run(config: Config) -> dict[str, Any]:
    """Write the folder; its manifest.

    Raises:
        UserError: --weights without --labels, there is no database, the folder has something in
            it, or cannot be written.
    """
    out = config.out.expanduser().resolve()
    if config.weights != Config.weights and not config.labels:
        raise UserError(
            "--weights is of labelled pairs; give --labels too: human, auto or posterior"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out {out} exists and is not empty; give a new folder")
    draft = out.with_name(f".{out.name}.partial-{os.getpid()}")
    try:
        draft.mkdir(parents=True)
        with Store.open(config.db) as store:
            manifest = _labels(store, draft, config) if config.labels else _manifest(store, draft)
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        draft.replace(out)
    except OSError as error:
        raise UserError(
            f"The export to {out} failed ({error.strerror}); nothing is left of it. Make room "
            "there, or give another --out"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest


def _manifest(store: Store, folder: Path) -> dict[str, Any]:
    files = {}
    for kind in KINDS:
        file = folder / f"{kind}.parquet"
        rows = write_parquet(store, kind, file)
        columns = list(COLUMNS[kind])
        files[file.name] = {"rows": rows, "sha256": provenance.sha256(file), "columns": columns}
    return {"export": FORMAT, "made_ms": provenance.now_ms(), **origin(store), "files": files}


def _labels(store: Store, folder: Path, config: Config) -> dict[str, Any]:
    rows = preference_export.write(store, folder, config.labels, config.weights)
    files = {
        name: {"rows": count, "sha256": provenance.sha256(folder / name)}
        for name, count in rows.items()
    }
    made = {"made_ms": provenance.now_ms(), "labels": config.labels, "weights": config.weights}
    return {"export": FORMAT, **made, **origin(store), "files": files}


@user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = Parser(
        prog="python -m data.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--db",
        default=Config.db,
        help="the database file, or postgresql://user@host/name (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder to write; new or empty")
    parser.add_argument(
        "--labels",
        default=Config.labels,
        help="write labelled pairs instead: human, auto (OmniScore's opinion) or posterior (both)",
    )
    parser.add_argument(
        "--weights",
        default=Config.weights,
        help="of labelled pairs: none, paper, code or max-bin (VideoDPO) (default: %(default)s)",
    )
    config = Config(**vars(parser.parse_args(argv)))
    manifest = run(config)
    rows = [(name, file["rows"], file["sha256"][:16]) for name, file in manifest["files"].items()]
    say(table(("file", "rows", "sha256"), rows))
    say(f"{config.out}: everything up to vote {manifest['sequence']}")


if __name__ == "__main__":
    raise SystemExit(main())

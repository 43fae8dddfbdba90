"""SHA-256 of downloaded files, noted beside them in the format of `sha256sum -c`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from data.provenance import sha256

NOTES = "SHA256SUMS"


def note(folder: Path, sums: Mapping[str, str]) -> None:
    """Write down the digests of a folder's files, by name; replaces what was noted before."""
    draft = folder / f".{NOTES}"
    draft.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))
    draft.replace(folder / NOTES)


def noted(folder: Path) -> dict[str, str]:
    """Digests by name; none where nobody noted any."""
    try:
        lines = (folder / NOTES).read_text().splitlines()
    except FileNotFoundError:
        return {}
    halves = (line.partition("  ") for line in lines)
    return {name: digest for digest, _, name in halves if name}


def changed(folder: Path) -> list[Path]:
    """Files that are there and no longer what was noted."""
    return [
        folder / name
        for name, digest in noted(folder).items()
        if (folder / name).is_file() and sha256(folder / name) != digest
    ]

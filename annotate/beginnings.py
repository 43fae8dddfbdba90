"""The first image that both clips of a pair were made from (image-to-video), where there is one.

Sampling keeps a copy in `prefs.clips/images/<sha256>.<kind>`, and a clip remembers that hash
(`train.sampling.first_image`, a room that this one does not know). Only files of that folder are
shown, and only while their bytes are those that the clips were made from; the path that a clip
remembers is never followed. Two clips of different images have no image that is the pair's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

from data.clips import clip_folder, fingerprint

DIGEST = "image_sha256"
"""Name in `Candidate.settings`: SHA-256 of the image's bytes."""
_SAID = rf'"{DIGEST}":\s*"([0-9a-f]{{64}})"'
KINDS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".avif": "image/avif",
}
"""What browsers draw, by the copy's suffix."""


class Beginnings:
    """Which image a clip begins with; clips without one take no room."""

    def __init__(self) -> None:
        self._images: dict[bytes, str] = {}

    def read(self, clips: pl.DataFrame) -> None:
        """Take clips: `sha256`, and `settings` as they are stored (JSON)."""
        said = clips.select("sha256", image=pl.col("settings").str.extract(_SAID)).drop_nulls()
        for clip, image in said.iter_rows():
            self._images[bytes.fromhex(clip)] = sys.intern(image)

    def of(self, one: str, other: str) -> str | None:
        """The hash of the image that both clips begin with; None where there is none."""
        first, second = (self._images.get(bytes.fromhex(clip)) for clip in (one, other))
        return first if first == second else None


def image_file(db: str | Path, digest: str) -> Path | None:
    """The image with that hash; None where it is not on this machine, changed or no picture."""
    copies = sorted((clip_folder(db) / "images").glob(f"{digest}.*"))
    copy = next((one for one in copies if one.suffix in KINDS), None)
    return copy if copy is not None and fingerprint(copy) == digest else None

"""The clips of a database: the untouched originals, their hashes, and copies that a browser plays.

`prefs.duckdb` has its clips in `prefs.clips/` beside it: `<sha256>.mp4` is the playable copy of the
original with that hash, and `originals/` is where sampling puts what it makes. An original that
somebody gave stays where it lies and is only read. Every path of a clip is worked out here, so that
clips on other kinds of storage are one change.

A playable copy shows the same frames at a constant rate, so that two clips play in lock-step. It is
for looking at only: scorers and training read the original.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from data import video
from data.decoding import folder_files
from data.errors import UserError
from data.records import Candidate, Prompt

SMALL, ENLARGED, LARGEST = 256, 384, 4096
"""Pixels: a clip whose shorter side is below the first is enlarged to at least the second, as long
as its longer side stays within the third."""


def clip_folder(db: str | Path) -> Path:
    """`prefs.duckdb` -> `prefs.clips`, the folder beside the database. It need not exist yet."""
    return Path(db).expanduser().resolve().with_suffix(".clips")


def originals(db: str | Path) -> Path:
    """The folder for originals that the project makes itself; made if absent."""
    return _made(clip_folder(db) / "originals")


def playable(db: str | Path, sha256: str) -> Path:
    """Where the playable copy of the original with this hash lies, once it was admitted."""
    return clip_folder(db) / f"{sha256}.mp4"


def fingerprint(path: str | Path) -> str:
    """SHA-256 over the original's bytes, 64 hex digits.

    A folder of frames: over the names and bytes of its frames, each with its length before it, in
    natural order; other files in the folder do not count.

    Raises:
        video.ClipError: the file is missing or cannot be read.
    """
    path, total = Path(path), hashlib.sha256()
    try:
        if not path.is_dir():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        for frame in folder_files(path):
            for part in (frame.name.encode(), frame.read_bytes()):
                total.update(len(part).to_bytes(8, "big") + part)
    except FileNotFoundError:
        raise video.ClipError(path, "no such file") from None
    except OSError as error:
        raise video.ClipError(path, f"cannot be read ({error.strerror})") from error
    return total.hexdigest()


def admit(
    db: str | Path,
    path: str | Path,
    *,
    prompt: Prompt,
    model: str,
    adapter: str = "",
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    fps: float | int | None = None,
    max_frames: int = video.MAX_FRAMES,
) -> Candidate:
    """Take a clip in: probe and hash it, make its playable copy, and describe it as a record.

    The original is only read. Doing it again gives the same record and leaves the copy as it is.

    Args:
        db: The database; the copy goes to `clip_folder(db)`.
        path: A video file, or a folder of PNG or JPEG frames.
        prompt: What it was made from.
        model: Generator, for people.
        adapter: Adapter that it was sampled with.
        seed: Seed that it was sampled with.
        settings: Further facts about its making, as JSON values.
        fps: Frames per second where the person knows better than the file (a folder of frames has
            no rate; a GIF counts in hundredths of a second).
        max_frames: The longest clip that is taken.

    Raises:
        video.ClipError: the clip is missing, broken, truncated, too long or no video.
        UserError: the clip folder cannot be written.
    """
    path = Path(path).absolute()
    sha256 = fingerprint(path)
    clip = video.probe(path, fps=fps, max_frames=max_frames)
    copy = playable(db, sha256)
    if not copy.exists():
        _made(copy.parent)
        shown = _enlarged(video.frames(path, max_frames=max_frames), clip)
        video.write(copy, shown, clip.fps, lossless=False)
    facts = dict(settings or {})
    if not clip.constant:
        facts["variable_frame_rate"] = True
    return Candidate(
        sha256=sha256,
        prompt=prompt.id,
        path=str(path),
        model=model,
        adapter=adapter,
        seed=seed,
        settings=facts,
        fps=clip.fps,
        frames=clip.frames,
        width=clip.width,
        height=clip.height,
    )


def read(candidate: Candidate) -> tuple[UInt8[np.ndarray, "t h w 3"], float]:
    """The frames of a candidate's original, uint8 RGB in [0, 255], and its frames per second.

    Raises:
        video.ClipError: the original is gone, or its bytes are not those that were admitted.
    """
    path = Path(candidate.path)
    found = fingerprint(path)
    if found != candidate.sha256:
        raise video.ClipError(
            path,
            f"changed since it was admitted (hash {found[:12]}, recorded {candidate.sha256[:12]}); "
            "put the original back, or ingest this one as a new clip",
        )
    return video.read(path, fps=candidate.fps, max_frames=candidate.frames)


def enlargement(width: int, height: int) -> int:
    """The whole number by which a small clip is enlarged for the screen; 1 for the others."""
    shorter, longer = sorted((width, height))
    wanted = 1 if shorter >= SMALL else -(-ENLARGED // shorter)
    return max(1, min(wanted, LARGEST // longer))


def _enlarged(
    frames: Iterator[UInt8[np.ndarray, "h w 3"]], clip: video.Clip
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Nearest neighbour: a person judges the pixels that the model made, not an interpolation."""
    factor = enlargement(clip.width, clip.height)
    for frame in frames:
        yield frame.repeat(factor, axis=0).repeat(factor, axis=1)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the clip folder {folder}: {error.strerror}; "
            "make room for it there, or give a --db in a folder that can be written"
        ) from error
    return folder

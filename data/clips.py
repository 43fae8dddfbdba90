"""The clips of a database: the untouched originals, their hashes, and copies that a browser plays.

`prefs.duckdb` has its clips in `prefs.clips/` beside it: `<sha256>.mp4` is the playable copy of the
original with that hash, and `originals/` is where sampling puts what it makes. An original that
somebody gave stays where it lies and is only read. Every path of a clip is worked out here.

For several machines, the environment variable `SECOND_LOOK_CLIPS` names another home for the clips:
a folder, or any fsspec URL such as `s3://bucket/clips`. Originals and playable copies are then sent
there when they are admitted, `Candidate.path` is the original's URL, and every machine reads them
through its cache (`SECOND_LOOK_CACHE`), each once, checked against its hash. The hash of a playable
copy lies beside it as `<sha256>.mp4.sha256`, written last: without it the copy is not there yet.

A playable copy shows the same frames at a constant rate, so that two clips play in lock-step. It is
for looking at only: scorers and training read the original.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from data import remote, video
from data.decoding import folder_files
from data.errors import UserError
from data.provenance import sha256
from data.records import Candidate, Prompt

HOME = "SECOND_LOOK_CLIPS"
"""Environment variable: where the clips of every database live, instead of beside it."""
SMALL, ENLARGED, LARGEST = 256, 384, 4096
"""Pixels: a clip whose shorter side is below the first is enlarged to at least the second, as long
as its longer side stays within the third."""


def clip_folder(db: str | Path) -> Path:
    """`prefs.duckdb` -> `prefs.clips`, the folder beside the database. It need not exist yet.

    Where the clips have another home: that folder, or the cache of that URL on this machine.

    Raises:
        UserError: the database is a URL, and nothing says where its clips are.
    """
    home = os.environ.get(HOME, "")
    if remote.is_url(home):
        return remote.cache() / hashlib.sha256(home.rstrip("/").encode()).hexdigest()[:16]
    if home:
        return Path(home).expanduser().absolute()
    if remote.is_url(db):
        raise UserError(
            f"{HOME} is not set, and a database on a server has no folder beside it; set it to "
            "where the clips are: a folder that all machines share, or a URL (s3://bucket/clips)"
        )
    return Path(db).expanduser().resolve().with_suffix(".clips")


def _home() -> str | None:
    """The URL where clips live; None where they live in a folder."""
    home = os.environ.get(HOME, "")
    return home.rstrip("/") if remote.is_url(home) else None


def originals(db: str | Path) -> Path:
    """The folder for originals that the project makes itself; made if absent."""
    return _made(clip_folder(db) / "originals")


def playable(db: str | Path, sha256: str) -> Path:
    """Where the playable copy of the original with this hash lies, once it was admitted.

    From a URL it is fetched first, if this machine does not have it; what is not there either is a
    path at which there is no file.

    Raises:
        video.ClipError: the copy at the URL is not the one that was sent there.
    """
    copy = clip_folder(db) / f"{sha256}.mp4"
    home = _home()
    if home is None or copy.exists():
        return copy
    expected = remote.read_text(f"{home}/{copy.name}.sha256")
    if expected is not None:
        _fetch(f"{home}/{copy.name}", copy, expected)
    return copy


def original(candidate: Candidate) -> Path:
    """The untouched original on this machine; fetched into the cache if its path is a URL.

    Raises:
        video.ClipError: it is gone, its bytes are not those that were admitted, or there never was
            one, only votes on it.
    """
    if not candidate.path:
        raise video.ClipError(Path(candidate.sha256[:12]), "only votes on it are known, no clip")
    if not remote.is_url(candidate.path):
        return Path(candidate.path)
    kept = remote.cache() / "originals" / _name(candidate.sha256, candidate.path)
    return kept if kept.exists() else _fetch(candidate.path, kept, candidate.sha256)


def present(candidate: Candidate) -> bool:
    """Whether the original is there, here or at its URL; nothing is fetched."""
    if not candidate.path:
        return False
    if remote.is_url(candidate.path):
        return remote.exists(candidate.path)
    return Path(candidate.path).exists()


def _name(sha256: str, path: str | Path) -> str:
    """The content-addressed name of an original; a folder of frames has no suffix."""
    return sha256 + Path(str(path)).suffix


def _fetch(url: str, kept: Path, expected: str) -> Path:
    """Download once, refuse other bytes than the expected ones, and keep."""

    def place(draft: Path) -> Path:
        found = fingerprint(draft)
        if found != expected:
            reason = f"changed since it was sent (hash {found[:12]}, recorded {expected[:12]})"
            raise video.ClipError(Path(url), f"{reason}; put the right one back there")
        return kept

    with remote.alone(url):
        if kept.exists():
            return kept
        try:
            return remote.fetch(url, place, folder=kept.parent)
        except FileNotFoundError:
            raise video.ClipError(Path(url), "no such file at that URL") from None


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
            return sha256(path)
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
        path: A video file, or a folder of PNG or JPEG frames, here or at any fsspec URL.
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
    here, where = _here(path)
    sha256 = fingerprint(here)
    clip = video.probe(here, fps=fps, max_frames=max_frames)
    copy = playable(db, sha256)
    if not copy.exists():
        _made(copy.parent)
        shown = _enlarged(video.frames(here, max_frames=max_frames), clip)
        video.write(copy, shown, clip.fps, lossless=False)
    facts = dict(settings or {})
    if not clip.constant:
        facts["variable_frame_rate"] = True
    return Candidate(
        sha256=sha256,
        prompt=prompt.id,
        path=_sent(here, where, sha256, copy),
        model=model,
        adapter=adapter,
        seed=seed,
        settings=facts,
        fps=clip.fps,
        frames=clip.frames,
        width=clip.width,
        height=clip.height,
    )


def _here(path: str | Path) -> tuple[Path, str]:
    """The clip on this machine, and the address to record: its own absolute path or URL."""
    if not remote.is_url(path):
        absolute = Path(path).absolute()
        return absolute, str(absolute)
    folder, url = remote.cache() / "originals", str(path)
    try:
        kept = remote.fetch(
            url, lambda draft: folder / _name(fingerprint(draft), draft), folder=folder
        )
    except FileNotFoundError:
        raise video.ClipError(Path(url), "no such file at that URL") from None
    return kept, url


def _sent(here: Path, where: str, sha256: str, copy: Path) -> str:
    """Send original and playable copy to the clips' URL, if they have one; the original's address.

    An original that was given by URL stays where it lies.
    """
    home = _home()
    if home is None:
        return where
    mark = f"{home}/{copy.name}.sha256"
    if not remote.is_url(where):
        where = f"{home}/originals/{_name(sha256, here)}"
        parts = [here] if here.is_file() else folder_files(here)
        if not remote.exists(mark):
            ends = ["" if here.is_file() else f"/{part.name}" for part in parts]
            remote.send((part, where + end) for part, end in zip(parts, ends, strict=True))
    if not remote.exists(mark):
        remote.send([(copy, f"{home}/{copy.name}")])
        remote.write_text(mark, fingerprint(copy))
    return where


def read(candidate: Candidate) -> tuple[UInt8[np.ndarray, "t h w 3"], float]:
    """The frames of a candidate's original, uint8 RGB in [0, 255], and its frames per second.

    Raises:
        video.ClipError: the original is gone, or its bytes are not those that were admitted.
    """
    path = original(candidate)
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

"""Clips as frames: read exactly what a file shows; write lossless originals and playable copies.

Frames are uint8 RGB in [0, 255], in the order and the number that the file holds: nothing is
dropped, doubled or resampled. PyAV brings the codecs. What a file is, is told by its bytes
(`data.containers`); one that is truncated or damaged is refused by name, and never read in part.

Decisions: transparent pixels lie on white, as on a plain page. Rotation metadata is applied. A clip
with uneven frame times keeps its frames, and its rate is frames / duration (`Clip.constant` is
False). Files that do not state their colour matrix are read as BT.601, as OpenCV and decord do, so
that scorers see the pixels that published numbers were measured on.

Left out on purpose: sound, mirrored display matrices, non-square pixels, tone mapping of HDR, the
alpha channel of VP8 and VP9, MPEG-TS, animated WebP and PNG.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from jaxtyping import UInt8

from data import containers, decoding
from data.decoding import ClipError
from data.errors import UserError

__all__ = ["MAX_FRAMES", "Clip", "ClipError", "frames", "probe", "read", "write"]

MAX_FRAMES = 2000
"""A longer clip is refused: it is a film, and its frames would not fit in memory."""

_LOSSLESS: dict[str, Any] = {
    "format": "matroska",
    "codec": "ffv1",
    "pixels": "bgr0",  # RGB as it is: no colour conversion, so the round trip is exact
    "container": {
        "fflags": "+bitexact"
    },  # no random segment id: same frames, same bytes, same hash
    "options": {"level": "3", "slicecrc": "1"},
}
_PLAYABLE: dict[str, Any] = {
    "format": "mp4",
    "codec": "libx264",
    "pixels": "yuv420p",
    "container": {"movflags": "+faststart", "fflags": "+bitexact"},
    # Short groups, no B-frames: a browser reaches any frame at once. One thread: the same bytes.
    "options": {"crf": "18", "preset": "veryfast", "bf": "0", "g": "8", "threads": "1"},
}
_BT709, _LIMITED = 1, 1  # FFmpeg's codes for the colour matrix and the range 16-235


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """What a clip holds, counted by decoding it."""

    frames: int
    width: int
    """Pixels, as shown (after rotation)."""
    height: int
    """Pixels, as shown (after rotation)."""
    fps: float
    """Frames per second: the constant rate, or frames / duration."""
    constant: bool = True
    """Whether every frame stands as long as the others, to one tick of the file's clock."""


def probe(
    path: str | Path, *, fps: float | int | None = None, max_frames: int = MAX_FRAMES
) -> Clip:
    """Decode a clip once, to know that it is whole and how many frames it really has.

    Args:
        path: A video file, or a folder of equally sized PNG or JPEG frames in natural order.
        fps: The rate to report instead of the file's own; a folder has none (default 8).
        max_frames: The longest clip that is taken.

    Raises:
        ClipError: missing, empty, truncated, damaged, not a video, or too long; names the file.
    """
    path = Path(path)
    return _surveyed(path, decoding.decoded(path, max_frames), fps)


def _surveyed(path: Path, pictures: Iterator[av.VideoFrame], fps: float | int | None) -> Clip:
    first = last = next(pictures)  # there is one: decoded() refuses an empty clip
    times = [first.time]
    for last in pictures:
        times.append(last.time)
    measured, constant = decoding.DEFAULT_FPS, True
    if path.is_file():
        measured, constant = _measured_rate(path, times, last)
    width, height = decoding.shown_size(first)
    return Clip(
        frames=len(times), width=width, height=height, fps=float(fps or measured), constant=constant
    )


def _measured_rate(
    path: Path, times: Sequence[float | None], last: av.VideoFrame
) -> tuple[float, bool]:
    declared = decoding.declared_rates(path)
    known = [time for time in times if time is not None]
    if len(known) < len(times):  # no clock: what the file says about itself is all there is
        return float(declared[0]) if declared else decoding.DEFAULT_FPS, True
    tick = float(last.time_base or 0)
    return decoding.rate(known, last.duration * tick, declared, tick)


def frames(
    path: str | Path, *, max_frames: int = MAX_FRAMES
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The frames of a clip one at a time, RGB in [0, 255], so that a long clip needs little memory.

    Raises:
        ClipError: as `probe`; damage is known only once the frames before it were given.
    """
    for frame in decoding.decoded(Path(path), max_frames):
        yield decoding.rgb(frame)


def read(
    path: str | Path, *, fps: float | int | None = None, max_frames: int = MAX_FRAMES
) -> tuple[UInt8[np.ndarray, "t h w 3"], float]:
    """All frames of a clip, uint8 RGB in [0, 255], and its frames per second.

    Args and errors as `probe`.
    """
    path, taken = Path(path), list[np.ndarray]()

    def kept() -> Iterator[av.VideoFrame]:
        for picture in decoding.decoded(path, max_frames):
            taken.append(decoding.rgb(picture))
            yield picture

    clip = _surveyed(path, kept(), fps)
    return np.stack(taken), clip.fps


def write(
    path: str | Path,
    frames: Iterable[UInt8[np.ndarray, "h w 3"]],
    fps: float | int,
    *,
    lossless: bool,
) -> None:
    """Write uint8 RGB frames ("t h w 3", or any iterable of "h w 3") as a clip.

    Lossless is FFV1 in `.mkv`, and reads back bit for bit. Otherwise H.264 in `.mp4` that every
    browser plays: yuv420p, BT.709, index in front; an odd side is padded to even by repeating its
    last row or column. The same frames give the same bytes. The file appears under its name only
    when it is whole.

    Raises:
        ValueError: no frames, frames of another type or of unequal sizes, another suffix.
        UserError: the folder cannot be written (names it and the reason).
    """
    path, suffix = Path(path), ".mkv" if lossless else ".mp4"
    if path.suffix != suffix:
        raise ValueError(f"{path} must end in {suffix} with lossless={lossless}")
    partial = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.partial")
    try:
        _encode(partial, frames, fps, _LOSSLESS if lossless else _PLAYABLE)
        _settle(partial)
        partial.replace(path)
    except (OSError, av.error.FFmpegError) as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write {path}: {reason}; free some space there, or make the folder writable"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _encode(
    path: Path, frames: Iterable[np.ndarray], fps: float | int, recipe: dict[str, Any]
) -> None:
    rate = Fraction(fps).limit_denominator(
        1001
    )  # 1001: the broadcast rates 24000/1001, ... are exact
    stream = None
    with av.open(
        str(path.absolute()), "w", format=recipe["format"], options=recipe["container"]
    ) as file:
        for frame in frames:
            picture = _picture(frame, recipe["pixels"])
            if stream is None:
                stream = file.add_stream(recipe["codec"], rate=rate, options=recipe["options"])
                stream.width, stream.height = picture.width, picture.height
                stream.pix_fmt = recipe["pixels"]
                if recipe is _PLAYABLE:
                    _tag(stream.codec_context)
            if (picture.width, picture.height) != (stream.width, stream.height):
                raise ValueError(f"{path.name}: frames of one clip must have one size")
            file.mux(stream.encode(picture))
        if stream is None:
            raise ValueError(f"{path.name}: there are no frames to write")
        file.mux(stream.encode())


def _picture(frame: np.ndarray, pixels: str) -> av.VideoFrame:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(f"a frame must be uint8 h w 3, got {frame.dtype} {frame.shape}")
    if pixels == "bgr0":
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24").reformat(
            format=pixels
        )
    height, width = frame.shape[:2]
    even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return av.VideoFrame.from_ndarray(even, "rgb24").reformat(
        format=pixels, dst_colorspace=_BT709, dst_color_range=_LIMITED
    )


def _tag(context: av.VideoCodecContext) -> None:
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED


def _settle(path: Path) -> None:
    """Make sure that a written file is whole and on the disk before it gets its name."""
    missing = containers.shortfall(path, containers.kind(path))
    if missing:
        raise OSError(0, f"the disk took only a part of it ({missing})")
    with path.open("rb") as file:
        os.fsync(file.fileno())

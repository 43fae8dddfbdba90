"""From a clip's bytes to its pictures: every frame once, in order, or an error naming the file.

What may go wrong is looked for, because decoders hide it: a container that ends too early, pictures
that were concealed after an error, packets that gave no picture, pictures that change their size.
`data.video` is what the rest of the project calls; its docstring lists the decisions.

Left out on purpose: damage inside FFV1, which FFmpeg conceals and only logs; `data.clips.read`
compares the file's hash instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from jaxtyping import UInt8

from data import containers
from data.errors import UserError

DEFAULT_FPS = 8.0
"""Frames per second where nothing says it: a folder of frames, one frame without a duration."""


class ClipError(UserError):
    """A clip that cannot be used. The message names the file and the reason."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


def decoded(path: Path, max_frames: int) -> Iterator[av.VideoFrame]:
    """The pictures of a video file, or of a folder of frames, in the order in which they are shown.

    Raises:
        ClipError: missing, empty, not a video, truncated, damaged, or longer than `max_frames`.
    """
    count, size = 0, (0, 0)
    for frame in _folder_frames(path) if path.is_dir() else _file_frames(path):
        count += 1
        if count > max_frames:
            raise ClipError(
                path,
                f"more than {max_frames} frames, which is the limit (max_frames); cut it shorter",
            )
        if count > 1 and (frame.width, frame.height) != size:
            raise ClipError(
                path,
                f"frame {count} is {frame.width}x{frame.height}, the ones before it "
                f"{size[0]}x{size[1]}; a clip has one size",
            )
        size = (frame.width, frame.height)
        yield frame
    if not count:
        raise ClipError(path, "no frame could be decoded")


def kind(path: Path) -> str:
    """The demuxer that fits this video file; pictures and everything else are refused."""
    try:
        found = containers.kind(path)
    except FileNotFoundError:
        raise ClipError(path, "no such file") from None
    except OSError as error:
        raise ClipError(path, f"cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ClipError(path, str(error)) from error
    if found.endswith("_pipe"):
        raise ClipError(path, "an image, not a video; a folder of images is taken as one clip")
    return found


def declared_rates(path: Path) -> list[Fraction]:
    """What the file says about its own frame rate, the likeliest first."""
    with av.open(str(path.absolute()), format=kind(path)) as file:
        stream = _video_stream(path, file)
        return [rate for rate in (stream.average_rate, stream.guessed_rate) if rate]


def rate(
    times: Sequence[float], last: float, declared: Sequence[Fraction], tick: float
) -> tuple[float, bool]:
    """Frames per second of pictures shown at `times`, and whether they are evenly spaced.

    A clip is even if every time lies within one `tick` of the file's clock from k / rate, for a
    rate that the file declares or else for the mean one; its rate is then that. Otherwise it is
    frames / duration.

    Args:
        times: When each picture appears, in seconds.
        last: How long the last one stands, in seconds; 0: not known, the mean of the others.
        declared: Rates that the file names.
        tick: Resolution of the file's clock, in seconds.
    """
    count, span = len(times), times[-1] - times[0]
    if span <= 0:
        known = [float(one) for one in declared] or ([1 / last] if last > 0 else [DEFAULT_FPS])
        return known[0], True
    for candidate in (*map(float, declared), (count - 1) / span):
        gaps = (abs(time - times[0] - k / candidate) for k, time in enumerate(times))
        if max(gaps) <= tick * 1.001:
            return candidate, True
    return count / (span + (last or span / (count - 1))), False


def rgb(frame: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
    """A picture as shown: RGB in [0, 255], transparency on white, rotated as its metadata asks."""
    if frame.format.has_palette or any(part.is_alpha for part in frame.format.components):
        picture = _on_white(frame.to_ndarray(format="rgba"))
    else:
        picture = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(picture, _quarter_turns(frame)))


def shown_size(frame: av.VideoFrame) -> tuple[int, int]:
    """Width and height in pixels after rotation."""
    size = (frame.width, frame.height)
    return (size[1], size[0]) if _quarter_turns(frame) % 2 else size


def _quarter_turns(frame: av.VideoFrame) -> int:
    return round(frame.rotation / 90) % 4  # counter-clockwise, as PyAV and NumPy both count


def _on_white(rgba: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 3"]:
    colour, alpha = rgba[..., :3], rgba[..., 3:]
    if alpha.min() == 255:
        return colour
    mixed = colour.astype(np.uint32) * alpha + 255 * (255 - alpha.astype(np.uint32))
    return ((mixed + 127) // 255).astype(np.uint8)


def _file_frames(path: Path) -> Iterator[av.VideoFrame]:
    demuxer = kind(path)
    missing = containers.shortfall(path, demuxer)
    good = packets = claimed = 0
    try:
        with av.open(str(path.absolute()), format=demuxer) as file:
            stream = _video_stream(path, file)
            stream.thread_type, claimed = "AUTO", _claimed(file, stream)
            for packet in file.demux(stream):
                packets += bool(packet.size) and not packet.is_discard
                for frame in packet.decode():
                    if frame.is_corrupt:
                        raise ClipError(path, _broken(missing, good, claimed))
                    good += 1
                    yield frame
    except av.error.FFmpegError as error:
        reason = missing and f"truncated: {missing}" if not claimed else ""
        detail = reason or f"{_broken(missing, good, claimed)} ({error.strerror})"
        raise ClipError(path, detail) from error
    if missing or (demuxer == "mov" and good != packets):
        raise ClipError(path, _broken(missing, good, claimed or packets))


def _broken(missing: str, good: int, claimed: int) -> str:
    """What is wrong with a file that gave `good` pictures of `claimed` ones (0: not known)."""
    decoded_part = (
        f"decoded {good} of {claimed} frames" if claimed > good else f"decoded {good} frames"
    )
    return f"truncated: {decoded_part} ({missing})" if missing else f"damaged: {decoded_part}"


def _claimed(file: InputContainer, stream: VideoStream) -> int:
    """How many frames the file says it has; 0 where it does not say."""
    if stream.frames:
        return stream.frames
    seconds = (file.duration or 0) / av.time_base
    return round(seconds * float(stream.average_rate or 0))


def _video_stream(path: Path, file: InputContainer) -> VideoStream:
    for stream in file.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise ClipError(path, "no video in it (sound only)")


def folder_files(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order: frame2 before frame10."""
    return sorted(
        (
            file
            for file in folder.iterdir()
            if file.suffix.lower() in containers.IMAGE_SUFFIXES and not file.name.startswith(".")
        ),
        key=lambda file: natural(file.name),
    )


def natural(name: str) -> list[tuple[int, str]]:
    """A sort key under which the numbers in a name count as numbers."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _folder_frames(folder: Path) -> Iterator[av.VideoFrame]:
    files = folder_files(folder)
    if not files:
        raise ClipError(folder, "a folder without PNG or JPEG frames")
    for file in files:
        try:
            demuxer = containers.kind(file)
            with av.open(str(file.absolute()), format=demuxer) as picture:
                frame = next(picture.decode(video=0))
        except (ValueError, StopIteration, av.error.FFmpegError) as error:
            reason = "damaged" if isinstance(error, av.error.FFmpegError) else error
            raise ClipError(folder, f"frame {file.name} cannot be read: {reason}") from error
        if frame.is_corrupt or not demuxer.endswith("_pipe"):
            raise ClipError(folder, f"frame {file.name} is damaged, or not an image")
        yield frame

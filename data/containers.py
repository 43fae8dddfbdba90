"""What kind of file is this, and is it whole? Read from the bytes, before any decoder is asked.

A decoder that meets the end of a truncated GIF, WebM or MP4 stops without a word, and FFmpeg opens
playlists, subtitles and pictures as if they were videos. So the kind is told by the first bytes,
never by the name, and the container's own structure says how long the file should be: ISO boxes
(MP4, MOV), EBML elements (WebM, MKV), RIFF chunks (AVI), GIF blocks up to the trailer.

Left out on purpose: MPEG-TS, which has no length to check; a WebM that was written live (unknown
size), which is taken as whole; damage inside the frames, which the decoder reports
(`data.decoding`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".gif", ".avi")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")

_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}
_STILL_BRANDS = {b"avif", b"heic", b"heix", b"mif1"}
_IMAGES = {b"\x89PNG": "png_pipe", b"\xff\xd8\xff": "jpeg_pipe"}
_OTHER_IMAGES = (b"BM", b"II*\x00", b"MM\x00*")


def kind(path: Path) -> str:
    """FFmpeg's name of the demuxer for this file, by its first bytes.

    Returns:
        `mov`, `matroska`, `gif` or `avi` for a video; `png_pipe` or `jpeg_pipe` for a picture.

    Raises:
        ValueError: why the file is none of these, in words for the person who gave it.
        OSError: the file cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if not head:
        raise ValueError("empty file (0 bytes)")
    if head[4:8] in _BOXES and head[8:12] not in _STILL_BRANDS:
        return "mov"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    for start, demuxer in _IMAGES.items():
        if head.startswith(start):
            return demuxer
    raise ValueError(f"{_described(head)}; allowed are {', '.join(VIDEO_SUFFIXES)}")


def _described(head: bytes) -> str:
    still = head[4:8] == b"ftyp" or head[8:12] == b"WEBP" or head.startswith(_OTHER_IMAGES)
    if still:
        return "an image, not a video"
    if not head.strip(b"\x00"):
        return "not a video: the file begins with zeros only (an unfinished download?)"
    try:
        text = head[:-4].decode() if len(head) == 4096 else head.decode()
    except UnicodeDecodeError:
        return "not a video: no known container"
    return "not a video: no known container" if "\x00" in text else "a text file, not a video"


def shortfall(path: Path, demuxer: str) -> str:
    """Why the file is not whole, or an empty string when its structure ends where it says.

    Args:
        path: The file.
        demuxer: What `kind` returned for it.
    """
    size = path.stat().st_size
    if demuxer == "gif":
        with path.open("rb") as file:
            return "" if _gif_ends(file) else "the GIF stops before its trailer"
    if demuxer == "mov":
        elements = [(name, end) for name, _, end in boxes(path)]
        names = {name for name, _ in elements}
        if elements[-1][1] <= size and "moov" not in names:
            return "the index (moov box) is missing"
    elif demuxer == "matroska":
        elements = _ebml_elements(path)
    elif demuxer == "avi":
        with path.open("rb") as file:
            elements = [("RIFF", 8 + struct.unpack("<I", file.read(8)[4:])[0])]
    else:
        return ""
    name, end = max(elements, key=lambda element: element[1])
    return f"{name} ends at byte {end}, the file at byte {size}" if end > size else ""


def boxes(path: Path) -> list[tuple[str, int, int]]:
    """Top-level boxes of an ISO file (MP4, MOV): name, first byte, first byte after it."""
    found: list[tuple[str, int, int]] = []
    size = path.stat().st_size
    with path.open("rb") as file:
        start = 0
        while start + 8 <= size:
            file.seek(start)
            length, name = struct.unpack(">I4s", file.read(8))
            if length == 1:  # a 64-bit length follows
                length = int.from_bytes(file.read(8), "big")
            end = size if length == 0 else start + max(length, 8)  # 0: up to the end of the file
            found.append((name.decode("latin-1"), start, end))
            start = end
    return found or [("box", 0, 8)]


def _ebml_elements(path: Path) -> list[tuple[str, int]]:
    """The header and the segment of a Matroska file, with the byte after each."""
    with path.open("rb") as file:
        file.seek(4)
        header = _ebml_size(file)
        end = file.tell() + (header or 0)
        file.seek(end + 4)
        segment = _ebml_size(file)
        return [("header", end), ("segment", file.tell() + (segment or 0))]


def _ebml_size(file: BinaryIO) -> int | None:
    """An EBML length; None: unknown. The leading zeros of its first byte count the bytes after."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    bits = 7 * (more + 1)
    value = int.from_bytes(first + file.read(more), "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value


def _gif_ends(file: BinaryIO) -> bool:
    """Whether the blocks of a GIF lead to its trailer byte (GIF89a specification, section 27)."""
    header = file.read(13)
    if len(header) < 13:
        return False
    file.seek(_colour_table(header[10]), 1)
    return any(mark == b"\x3b" for mark in _gif_marks(file))


def _gif_marks(file: BinaryIO) -> Iterator[bytes]:
    """The first byte of each block; asked for the next, it walks past the rest of the block."""
    while mark := file.read(1):
        yield mark
        if mark == b"\x21":  # extension: label, then sub-blocks
            file.seek(1, 1)
        elif mark == b"\x2c":  # image: place and size, colour table, code size, then sub-blocks
            place = file.read(9)
            if len(place) < 9:
                return
            file.seek(_colour_table(place[8]) + 1, 1)
        else:
            return
        while length := file.read(1):
            if length == b"\x00":
                break
            file.seek(length[0], 1)


def _colour_table(flags: int) -> int:
    """Bytes of the colour table that a GIF's packed flags announce."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0

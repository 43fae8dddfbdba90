"""One file from a plain URL, going on where an earlier attempt broke off.

What has arrived waits in `NAME.part`, and which version of the file it belongs to in
`NAME.part.version`: the server's ETag, or its date where it has no strong one (RFC 9110, sections
13.1.5 and 14). The next attempt asks for the rest by `Range`, on the condition (`If-Range`) that
the file is still that version. A server that sends the whole file again, another part or another
version is taken at its word, from the start. The file gets its name when every byte is there.

`torch.hub` and pip's client cannot go on; `huggingface_hub`'s `http_get` can, and looks neither at
the version nor at which part came. So the transport is `httpx`, the arithmetic is here.
"""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from data.errors import UserError

_SECONDS = 30.0  # without a byte


def download(url: str, target: Path, *, megabytes: float) -> None:
    """Fetch `url` to `target`; tries again by itself while every try brings something.

    Args:
        url: of the file, http or https.
        target: where it goes; its folder exists.
        megabytes: what it should be, roughly: half to twice as much is taken.

    Raises:
        UserError: what the server sends cannot be the file, or could not be told from a part of it.
        httpx.HTTPError: no connection, or the server refuses.
        OSError: the disk is full or the folder cannot be written to.
    """
    part = target.with_name(f"{target.name}.part")
    with httpx.Client(follow_redirects=True, timeout=_SECONDS) as client:
        while True:
            before = _size(part)
            try:
                _rest(client, url, part, megabytes)
                break
            except httpx.TransportError:
                if _size(part) <= before:
                    raise
    _demand_size(url, _size(part), megabytes)
    part.replace(target)
    _version_of(part).unlink(missing_ok=True)


def _rest(client: httpx.Client, url: str, part: Path, megabytes: float) -> None:
    """Receive what is missing of `part`."""
    note = _version_of(part)
    version = note.read_text() if note.is_file() else ""
    have = _size(part) if version else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    with client.stream("GET", url, headers=headers) as answer:
        start, whole = _extent(answer)
        if not have or _fits(answer, start, have, version):
            answer.raise_for_status()
            if whole is not None:
                _demand_size(url, whole, megabytes)
            if not start:  # before the version: bytes of another one must never stand under it
                part.write_bytes(b"")
            note.write_text(_version(answer))
            _receive(answer, part, start, whole)
            return
    note.unlink()
    _rest(client, url, part, megabytes)


def _fits(answer: httpx.Response, start: int, have: int, version: str) -> bool:
    """Whether the answer is the whole file, an error, or the rest that was asked for."""
    if answer.status_code == httpx.codes.PARTIAL_CONTENT:
        return start == have and _version(answer) == version
    return answer.status_code != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE


def _receive(answer: httpx.Response, part: Path, start: int, whole: int | None) -> None:
    """Write the body behind the `start` bytes that `part` has."""
    from tqdm import tqdm

    title = part.name.removesuffix(".part")
    with (
        part.open("ab") as file,
        tqdm(desc=title, initial=start, total=whole, unit="B", unit_scale=True) as bar,
    ):
        for chunk in answer.iter_bytes():
            bar.update(file.write(chunk))
        got = file.tell()
    if whole is not None and got != whole:
        raise httpx.RemoteProtocolError(f"{got} of {whole} bytes came")


def _extent(answer: httpx.Response) -> tuple[int, int | None]:
    """First byte that the answer holds, and the size of the whole file where it can be known.

    Raises:
        UserError: the body's end is the connection's, so that a broken one looks like a short file.
    """
    given = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
    if answer.status_code == httpx.codes.PARTIAL_CONTENT and given:
        return int(given[1]), int(given[2])
    length = answer.headers.get("Content-Length")
    chunked = "chunked" in answer.headers.get("Transfer-Encoding", "")
    if answer.is_success and length is None and not chunked:
        raise UserError(
            f"{answer.url.host} does not say how large {answer.url} is, so that a part of it could "
            "not be told from the whole. Download it by hand and give the folder with --weights DIR"
        )
    plain = answer.headers.get("Content-Encoding", "identity") == "identity"
    return 0, int(length) if length and plain else None


def _version(answer: httpx.Response) -> str:
    """What the server calls this version of the file; empty where it says nothing to hold it to."""
    tag = answer.headers.get("ETag", "")
    return answer.headers.get("Last-Modified", "") if tag.startswith("W/") or not tag else tag


def _version_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _demand_size(url: str, size: int, megabytes: float) -> None:
    if not megabytes / 2 <= size / 1e6 <= megabytes * 2:
        raise UserError(
            f"{url} is {size / 1e6:.3g} MB, and {megabytes:g} MB belong there: perhaps the page of "
            "a network that asks to sign in. Open the address in a browser, then run the command "
            "again"
        )

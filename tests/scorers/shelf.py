"""A real HTTP server with one file, which behaves as badly as it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Shelf:
    """What is served, and how."""

    data: bytes
    tag: str = '"one"'
    """ETag; empty for none."""
    date: str = ""
    """Last-Modified; empty for none."""
    ranges: bool = True
    """Whether parts are sent; otherwise always the whole file."""
    conditions: bool = True
    """Whether `If-Range` is honoured."""
    shift: int = 0
    """Parts begin that many bytes later than asked for."""
    length: bool = True
    """Whether the size is said; otherwise the connection's end is the file's."""
    cuts: list[int] = field(default_factory=list)
    """Per request to come: bytes of the body after which the connection breaks."""
    asked: list[str] = field(default_factory=list)
    """Range of each request so far; empty where the whole file was asked for."""
    url: str = ""

    def part(self, wanted: str, condition: str) -> int:
        """First byte to send to somebody who asked for this Range under this If-Range."""
        held = not self.conditions or condition in {self.tag or "-", self.date or "-"}
        return int(wanted[6:-1]) + self.shift if wanted and self.ranges and held else 0


@contextmanager
def serving(shelf: Shelf) -> Iterator[Shelf]:
    """The shelf with its `url`, until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            shelf.asked.append(wanted)
            start = shelf.part(wanted, self.headers.get("If-Range", ""))
            if start >= len(shelf.data):
                self.send_error(416)
                return
            body = shelf.data[start:]
            self.send_response(206 if start else 200)
            if start:
                last = len(shelf.data) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(shelf.data)}")
            for name, value in (("ETag", shelf.tag), ("Last-Modified", shelf.date)):
                if value:
                    self.send_header(name, value)
            self.send_header(*(("Content-Length", str(len(body))) if shelf.length
                               else ("Connection", "close")))  # fmt: skip
            self.end_headers()
            cut = shelf.cuts.pop(0) if shelf.cuts else len(body)
            self.wfile.write(body[:cut])
            self.close_connection = cut < len(body) or not shelf.length

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    shelf.url = f"http://127.0.0.1:{server.server_port}/file.pth"
    try:
        yield shelf
    finally:
        server.shutdown()
        server.server_close()

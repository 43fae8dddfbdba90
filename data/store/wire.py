"""The owner's local socket: one request and one answer per connection.

A message is two big-endian 64-bit lengths, a JSON heading and a body of bytes (Arrow IPC streams).
Only this machine and this user can reach it (a Unix socket with mode 0600). The requests are in
`data.store.owner`; what an owner raises as `UserError` is raised again at the caller.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from data.errors import UserError

Heading = dict[str, Any]
Answer = Callable[[Heading, bytes], Heading]
_LENGTHS = struct.Struct(">QQ")


class OwnerFailedError(RuntimeError):
    """The owner answered that something went wrong which the caller cannot mend."""


def ask(path: str, heading: Heading, body: bytes = b"", *, seconds: float = 300.0) -> Heading:
    """Send one request to the owner and wait for its answer.

    Raises:
        OSError: no owner there, or it went away before it had answered.
        UserError: the owner refused.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        connection.connect(path)
        _send(connection, heading, body)
        answer, _ = _receive(connection)
    if "refused" in answer:
        raise UserError(answer["refused"])
    if "failed" in answer:
        raise OwnerFailedError(answer["failed"])
    return answer


class Server:
    """Answers requests on `path`, each connection in a thread of its own."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self._path, self._answer = path, answer
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.listen(64)
        self._thread = threading.Thread(target=self._accept, name="store-socket", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed by `close`
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # the caller may have gone away
            heading, body = _receive(connection)
            try:
                answer = self._answer(heading, body)
            except UserError as error:
                answer = {"refused": str(error)}
            except Exception as error:  # noqa: BLE001 - told to the caller, who raises it
                answer = {"failed": f"{type(error).__name__}: {error}"}
            _send(connection, answer, b"")

    def close(self) -> None:
        """Stop answering and remove the socket file."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        self._path.unlink(missing_ok=True)


def pack(tables: dict[str, pa.Table]) -> tuple[list[list[Any]], bytes]:
    """Arrow tables as bytes, and the (kind, length) list that takes them apart again."""
    parts, lengths = [], []
    for kind, table in tables.items():
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        parts.append(sink.getvalue().to_pybytes())
        lengths.append([kind, len(parts[-1])])
    return lengths, b"".join(parts)


def unpack(lengths: list[list[Any]], body: bytes) -> dict[str, pa.Table]:
    """The inverse of `pack`."""
    tables, start = {}, 0
    for kind, length in lengths:
        tables[kind] = pa.ipc.open_stream(body[start : start + length]).read_all()
        start += length
    return tables


def _send(connection: socket.socket, heading: Heading, body: bytes) -> None:
    text = json.dumps(heading).encode()
    connection.sendall(_LENGTHS.pack(len(text), len(body)) + text)
    connection.sendall(body)


def _receive(connection: socket.socket) -> tuple[Heading, bytes]:
    text, body = _LENGTHS.unpack(_exactly(connection, _LENGTHS.size))
    return json.loads(_exactly(connection, text)), _exactly(connection, body)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    view, filled = memoryview(data), 0
    while filled < size:
        count = connection.recv_into(view[filled:])
        if count == 0:
            raise ConnectionResetError(f"the other side went away after {filled} of {size} bytes")
        filled += count
    return bytes(data)

"""Who owns the database: an exclusive `flock` on `prefs.duckdb.lock`, for as long as they own it.

DuckDB's own lock is not enough: it is dropped as soon as anything in the owning process opens and
closes the file. The kernel drops a `flock` when the process ends, however it ends, so a stale lock
file is no obstacle. The file's text says who holds it, for messages and for finding the socket.
"""

from __future__ import annotations

import fcntl
import json
import os
import weakref
from dataclasses import dataclass

from data.errors import UserError
from data.store.database import disk_trouble
from data.store.places import Places

_held: weakref.WeakSet[Lock] = weakref.WeakSet()


class NotWritableError(UserError):
    """This process may read the database at most."""


@dataclass(frozen=True, slots=True)
class Holder:
    """What the lock file says about the process that holds it."""

    pid: int
    socket: str
    """Where it listens; empty for a command that owns the database only for a moment."""


class Lock:
    """An acquired lock. Make it with `Lock.take`."""

    def __init__(self, descriptor: int, places: Places) -> None:
        self._descriptor, self._places = descriptor, places
        _held.add(self)

    @classmethod
    def take(cls, places: Places) -> Lock | None:
        """The lock, or None where another process (or another owner in this one) has it."""
        try:
            descriptor = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise NotWritableError(
                f"{places.lock} cannot be opened ({error.strerror}). To write to the database, its "
                "folder must be writable: change its mode, or run as the user who owns it"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        lock = cls(descriptor, places)
        try:
            lock.announce(socket="")
        except UserError:
            lock.release()
            raise
        return lock

    def announce(self, *, socket: str) -> None:
        """Write down who holds the lock and where they listen.

        Raises:
            UserError: the disk is full.
        """
        text = json.dumps({"pid": os.getpid(), "socket": socket}).encode()
        with disk_trouble(self._places.database):
            os.pwrite(self._descriptor, text, 0)  # first: on a full disk an old file has its place
            os.ftruncate(self._descriptor, len(text))

    def release(self) -> None:
        """Let the next one own the database."""
        _held.discard(self)
        os.close(self._descriptor)

    def forget(self) -> None:
        """In a forked child: close the inherited descriptor, or the lock outlives its owner."""
        os.close(self._descriptor)


def holder(places: Places) -> Holder:
    """Who holds the lock, as far as the file says; PID 0 where it is just being written."""
    try:
        fields = json.loads(places.lock.read_text())
        return Holder(int(fields["pid"]), str(fields["socket"]))
    except (OSError, ValueError, KeyError):
        return Holder(0, "")


def _after_fork() -> None:
    for lock in list(_held):
        lock.forget()
    _held.clear()


os.register_at_fork(after_in_child=_after_fork)

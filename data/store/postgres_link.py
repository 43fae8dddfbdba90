"""Connections to one PostgreSQL, and the only way that anything runs there: `Link.attempt`.

Whatever runs is one transaction, all or nothing. If the server goes away, restarts or breaks a
deadlock, the transaction is tried again on a new connection: everything that the store does is
idempotent by id, so that a commit whose answer was lost may be sent once more.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import psycopg

from data.errors import UserError
from data.store.places import spoken

Cursor = psycopg.Cursor[tuple[Any, ...]]
_Result = TypeVar("_Result")
PATIENCE_S = 10.0
"""How long a server that is away is waited for; a restart takes a few seconds."""
STARTING_S = 60.0
"""How long one that says it is starting up is waited for: after a crash it reads its log first."""
_STARTING = "is starting up"
_PAUSE_S = 0.1
_FULL = "53"
"""SQLSTATE class of a full disk, too little memory and too many connections."""


def run(cursor: Cursor, statement: str, parameters: Sequence[Any] = ()) -> Cursor:
    """Execute SQL that this package has put together; values only as `parameters`."""
    return cursor.execute(statement.encode(), parameters or None)


class Link:
    """Idle connections of one process to one database. Thread-safe: one connection per use."""

    def __init__(self, url: str) -> None:
        """Connect once, so that a wrong address is told at once.

        Raises:
            UserError: nobody there, no such database, wrong password; or a server that
                acknowledges what is not on its disk.
        """
        self.url, self.name = url, spoken(url)
        self._idle: queue.LifoQueue[psycopg.Connection[tuple[Any, ...]]] = queue.LifoQueue()
        self._closed = False
        try:
            self._idle.put(self._connect())
        except psycopg.OperationalError as error:
            why = str(error).splitlines()[0]  # more lines say the same again
            raise UserError(
                f"{self.name} cannot be reached: {why}. Check host, port, name and password "
                "(PGPASSWORD or ~/.pgpass work too), and that the server runs"
            ) from error

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        connection = psycopg.connect(self.url, autocommit=True, connect_timeout=10)
        try:
            self._trustworthy(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _trustworthy(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """An acknowledged commit must be on the disk, whatever the server's default is."""
        settings = "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
        fsync, synchronous = connection.execute(settings).fetchall()[0]
        if fsync == "off":
            raise UserError(
                f"{self.name} runs with fsync = off: a power cut would lose acknowledged votes and "
                "may destroy the database. Set fsync = on in postgresql.conf and restart it"
            )
        if synchronous in ("off", "local"):
            connection.execute("SET synchronous_commit = on")

    def attempt(self, task: Callable[[Cursor], _Result]) -> _Result:
        """Run `task` in one transaction, again if the connection or a lock order broke it.

        Raises:
            UserError: the server stays away, its disk is full, or it cannot hold a value.
        """
        began = time.monotonic()
        while True:
            try:
                return self._once(task)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                patience = STARTING_S if _STARTING in str(error) else PATIENCE_S
                out_of_time = time.monotonic() > began + patience
                if (error.sqlstate or "").startswith(_FULL) or out_of_time:
                    raise UserError(
                        f"{self.name}: {str(error).strip()}. Nothing was stored by this; see to "
                        "the server (running? disk full? too many connections?), then try again"
                    ) from error
                time.sleep(_PAUSE_S)
            except psycopg.DataError as error:
                raise UserError(
                    f"{self.name} cannot store a value: {str(error).strip()}. Texts must be "
                    "without NUL characters; nothing was stored"
                ) from error

    def _once(self, task: Callable[[Cursor], _Result]) -> _Result:
        if self._closed:
            raise UserError(f"This handle of {self.name} is closed; open another one")
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._connect()
        try:
            with connection.transaction(), connection.cursor() as cursor:
                result = task(cursor)
        except BaseException:
            self._give_back(connection)
            raise
        self._give_back(connection)
        return result

    def _give_back(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Keep a connection that is whole and at rest; close any other."""
        at_rest = psycopg.pq.TransactionStatus.IDLE
        if self._closed or connection.closed or connection.info.transaction_status != at_rest:
            connection.close()
        else:
            self._idle.put(connection)

    def close(self) -> None:
        """Close the idle connections; those in use are closed by their users."""
        self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

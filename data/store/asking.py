"""Getting something done by whoever owns the database: an owner's socket, or oneself briefly."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from data.errors import UserError
from data.store import wire
from data.store.lock import Lock, holder
from data.store.places import Places

if TYPE_CHECKING:
    from data.store.owner import Clock, Owner

PATIENCE_S = 30.0
"""How long to wait for a command that owns the database for a moment."""
_Result = TypeVar("_Result")


def own(places: Places, *, clock: Clock | None = None) -> Owner:
    """Own the database and listen for other processes; see `Store.own`."""
    from data.store.owner import Owner

    give_up = time.monotonic() + PATIENCE_S
    while (lock := Lock.take(places)) is None:
        there = holder(places)
        if there.socket or time.monotonic() > give_up:
            raise UserError(
                f"{places.database} is owned by process {there.pid}. One app at a time: use that "
                "one, or end it first"
            )
        time.sleep(0.02)
    return Owner(places, lock, clock=clock, serve=True)


def ask_for_snapshot(places: Places) -> None:
    """Have `prefs.snapshot.duckdb` brought up to the present."""
    with_owner(
        places,
        ask=lambda socket: wire.ask(socket, {"ask": "snapshot"}),
        act=lambda owner: owner.publish_snapshot(),
    )


def hand_over(places: Places, tables: dict[str, pa.Table]) -> int:
    """Have records added; how many were new."""

    def ask(socket: str) -> int:
        lengths, body = wire.pack(tables)
        return wire.ask(socket, {"ask": "add", "tables": lengths}, body)["new"]

    return with_owner(places, ask=ask, act=lambda owner: owner.add_tables(tables))


def with_owner(
    places: Places, *, ask: Callable[[str], _Result], act: Callable[[Owner], _Result]
) -> _Result:
    """`ask` the owner through its socket, or own the database for the moment and `act`.

    If the owner dies before it has answered, the next round owns the database and does it itself;
    everything that is asked for may be done twice without harm.
    """
    from data.store.owner import Owner

    give_up = time.monotonic() + PATIENCE_S
    while True:
        lock = Lock.take(places)
        if lock is not None:
            with Owner(places, lock) as owner:
                return act(owner)
        there = holder(places)
        if there.socket:
            with contextlib.suppress(OSError):  # it has just ended, or is just beginning
                return ask(there.socket)
        if time.monotonic() > give_up:
            raise UserError(
                f"{places.database} is held by process {there.pid}, which has not answered for "
                f"{PATIENCE_S:.0f} s. Wait for it to finish, or end it; nothing is lost by that"
            )
        time.sleep(0.02)

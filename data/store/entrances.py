"""What people come in with: open sessions, tokens of scripts, invitations; and failed tries.

Cookies, tokens and invitations are known by a hash only.
"""

from __future__ import annotations

from dataclasses import dataclass

from data.store.people_schema import Role
from data.store.people_tables import Ask, Tables

_DAY_MS = 24 * 3600 * 1000


class Sessions:
    """Who is signed in where; the server ends a session, whatever the browser keeps."""

    def __init__(self, where: Tables) -> None:
        self._tables = where

    def begin(self, session: str, person: str, *, now_ms: int, until_ms: int) -> None:
        """Open a session; expired ones are swept out."""

        def task(ask: Ask) -> None:
            ask("DELETE FROM people_sessions WHERE expires_ms <= ?", now_ms)
            ask("INSERT INTO people_sessions VALUES (?, ?, ?)", session, person, until_ms)

        self._tables.write(task)

    def person(self, session: str, *, now_ms: int, until_ms: int) -> str | None:
        """Whose session this is, if it is open; see `People.signed_in`."""
        rows = self._tables.read(
            "SELECT person, expires_ms FROM people_sessions WHERE hash = ? AND expires_ms > ?",
            session,
            now_ms,
        )
        if not rows:
            return None
        ((person, expires_ms),) = rows
        if until_ms - expires_ms > _DAY_MS:
            longer = "UPDATE people_sessions SET expires_ms = ? WHERE hash = ?"
            self._tables.write(lambda ask: ask(longer, until_ms, session))
        return person

    def end(self, session: str) -> None:
        """Close this session, if it is one."""
        self._tables.write(lambda ask: ask("DELETE FROM people_sessions WHERE hash = ?", session))

    def end_all(self, person: str) -> None:
        """Close every session of this person."""
        self._tables.write(lambda ask: ask("DELETE FROM people_sessions WHERE person = ?", person))


class Tokens:
    """What scripts come in with; good until revoked."""

    def __init__(self, where: Tables) -> None:
        self._tables = where

    def give(self, token: str, person: str, *, now_ms: int) -> None:
        """Write down a new token of this person."""
        insert = "INSERT INTO people_tokens VALUES (?, ?, ?)"
        self._tables.write(lambda ask: ask(insert, token, person, now_ms))

    def person(self, token: str) -> str | None:
        """Whose token this is."""
        rows = self._tables.read("SELECT person FROM people_tokens WHERE hash = ?", token)
        return rows[0][0] if rows else None

    def count(self, person: str) -> int:
        """How many tokens this person has."""
        rows = self._tables.read("SELECT count(*) FROM people_tokens WHERE person = ?", person)
        return rows[0][0] if rows else 0

    def revoke(self, person: str) -> int:
        """Take all tokens of this person away; how many there were."""
        delete = "DELETE FROM people_tokens WHERE person = ? RETURNING hash"
        return len(self._tables.write(lambda ask: ask(delete, person)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """The right to become somebody here, once."""

    hash: str
    role: Role
    name: str
    """Empty where the invited person chooses it."""
    expires_ms: int
    """UTC epoch milliseconds."""


class Invitations:
    """Links that make their holder a person; each works once (`People.accept`)."""

    def __init__(self, where: Tables) -> None:
        self._tables = where

    def add(self, invitation: Invitation) -> None:
        """Write one down."""
        values = (invitation.hash, invitation.role, invitation.name, invitation.expires_ms)
        insert = "INSERT INTO people_invitations VALUES (?, ?, ?, ?)"
        self._tables.write(lambda ask: ask(insert, *values))

    def open(self, *, now_ms: int) -> list[Invitation]:
        """All that can still be accepted, the first to end first."""
        rows = self._tables.read(
            "SELECT hash, role, name, expires_ms FROM people_invitations WHERE expires_ms > ? "
            "ORDER BY expires_ms, hash",
            now_ms,
        )
        return [
            Invitation(hash=key, role=role, name=name, expires_ms=expires_ms)
            for key, role, name, expires_ms in rows
        ]

    def withdraw(self, hash_start: str) -> int:
        """Withdraw those whose hash begins so; how many there were."""
        delete = "DELETE FROM people_invitations WHERE substr(hash, 1, ?) = ? RETURNING hash"
        length = len(hash_start)
        return len(self._tables.write(lambda ask: ask(delete, length, hash_start)))


class Tries:
    """Tries to sign in, so that guessing is slow: counted before the password is looked at."""

    def __init__(self, where: Tables) -> None:
        self._tables = where

    def allow(self, limits: dict[str, int], *, now_ms: int, window_ms: int) -> int:
        """Count one try against each subject, or none if one of them has had too many.

        Args:
            limits: The most tries per subject, such as `{"name anna": 10}`.
            now_ms: The present, UTC epoch milliseconds.
            window_ms: How long a try is remembered.

        Returns:
            Milliseconds to wait; 0 if the try may go on.
        """

        def task(ask: Ask) -> int:
            ask("DELETE FROM people_tries WHERE time_ms <= ?", now_ms - window_ms)
            waits = [_wait(ask, subject, most) for subject, most in limits.items()]
            until = max((time_ms for time_ms in waits if time_ms is not None), default=None)
            if until is not None:
                return max(1, until + window_ms - now_ms)
            for subject in limits:
                ask("INSERT INTO people_tries VALUES (?, ?)", subject, now_ms)
            return 0

        return self._tables.write(task)

    def right(self, name: str, address: str, *, time_ms: int) -> None:
        """It was the right person: no try at this name was a guess, and this one was none at all.

        The address keeps its other tries: whoever has an account could wash theirs away.
        """

        def task(ask: Ask) -> None:
            ask("DELETE FROM people_tries WHERE subject = ?", name)
            ask("DELETE FROM people_tries WHERE subject = ? AND time_ms = ?", address, time_ms)

        self._tables.write(task)


def _wait(ask: Ask, subject: str, most: int) -> int | None:
    """When the try was made that has to be forgotten first; None where another is allowed."""
    newest = "SELECT time_ms FROM people_tries WHERE subject = ? ORDER BY time_ms DESC LIMIT ?"
    rows = ask(newest, subject, most)
    return rows[-1][0] if len(rows) == most else None

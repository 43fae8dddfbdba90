"""The people who may sign in, and what they sign in with: the only place where names are kept.

    people = People.of("prefs.duckdb")        # or postgresql://...; makes nothing
    people.on                                 # whether accounts were ever turned on
    people.add(Account(...)); people.sessions.begin(...); people.invitations.accept(...)

Votes name an id. What is secret comes here as a hash already (`annotate` makes it). Once a person
was added, accounts stay on: nothing that is removed later opens the door again.
"""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from typing import Self

from data.errors import UserError
from data.store.entrances import Invitations, Sessions, Tokens, Tries
from data.store.people_schema import Role
from data.store.people_tables import Ask, Rows, Tables, tables

_COLUMNS = "people.id, spelling, name, role, active, password, since_ms"
_ADMINS = "SELECT id FROM people WHERE role = 'admin' AND active = 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person who may sign in."""

    id: str
    """What votes say: `p-` and ten hexadecimal digits, or the name that was used before."""
    spelling: str
    """The name in the one spelling that is compared."""
    name: str
    """The name as people see it."""
    role: Role
    active: bool = True
    password: str = ""
    """An argon2 hash; empty where the person has tokens only."""
    since_ms: int
    """UTC epoch milliseconds."""


def spelling(name: str) -> str:
    """The spelling in which names are compared: NFKC, single spaces, only what can be seen."""
    return " ".join(unicodedata.normalize("NFKC", readable(name)).split()).casefold()


def readable(name: str) -> str:
    """The name without control characters, marks of direction and lone surrogates."""
    return " ".join("".join(one if one.isprintable() else " " for one in name).split())


class People:
    """Accounts, sessions, tokens, invitations and failed tries of one database. Thread-safe."""

    def __init__(self, where: Tables) -> None:
        """For `of`; use that."""
        self._tables = where
        self._on = False
        self.sessions = Sessions(where)
        self.tokens = Tokens(where)
        self.invitations = Invitations(where)
        self.tries = Tries(where)

    @classmethod
    def of(cls, db: str | os.PathLike[str]) -> Self:
        """The people of this database; nothing is made before the first one is added."""
        return cls(tables(db))

    @property
    def where(self) -> str:
        """The file or the server, for messages."""
        return self._tables.name

    @property
    def on(self) -> bool:
        """Whether accounts were turned on; from then on for as long as the app runs."""
        self._on = self._on or self._tables.there()
        return self._on

    def all(self) -> list[Account]:
        """Everybody, the longest here first."""
        return self._found("ORDER BY since_ms, id")

    def named(self, spelling: str) -> Account | None:
        """Whoever has that name."""
        return _one(self._found("WHERE spelling = ?", spelling))

    def get(self, person: str) -> Account | None:
        """Whoever has that id."""
        return _one(self._found("WHERE id = ?", person))

    def signed_in(self, session: str, *, now_ms: int, until_ms: int) -> Account | None:
        """Whose open session this is; it is prolonged to `until_ms`, at most once in a day."""
        person = self.sessions.person(session, now_ms=now_ms, until_ms=until_ms)
        return self._active(person)

    def holding(self, token: str) -> Account | None:
        """Whose token this is."""
        return self._active(self.tokens.person(token))

    def check(self, account: Account) -> None:
        """Whether `add` would take this person.

        Raises:
            UserError: as `add`.
        """
        _refuse(self._tables.read, account)

    def add(self, account: Account) -> None:
        """Add a person, which turns accounts on.

        Raises:
            UserError: the first one is no admin; the name or the id is taken.
        """
        self._tables.write(lambda ask: _add(ask, account))

    def accept(self, invitation: str, account: Account, *, now_ms: int) -> bool:
        """Add whoever holds an invitation, with its role; False where it is not open.

        Raises:
            UserError: the name is taken; the invitation stays open.
        """

        def task(ask: Ask) -> bool:
            found = ask(
                "DELETE FROM people_invitations WHERE hash = ? AND expires_ms > ? RETURNING hash",
                invitation,
                now_ms,
            )
            if found:
                _add(ask, account)
            return bool(found)

        return self._tables.write(task)

    def set_role(self, person: str, role: Role) -> None:
        """Give another role, from the next request on.

        Raises:
            UserError: nobody would be an admin any more.
        """

        def task(ask: Ask) -> None:
            ask("UPDATE people SET role = ? WHERE id = ?", role, person)
            _keep_an_admin(ask)

        self._tables.write(task)

    def set_password(self, person: str, password: str, *, keep: str = "") -> None:
        """Set a new hash; every session but `keep` ends."""

        def task(ask: Ask) -> None:
            ask("UPDATE people SET password = ? WHERE id = ?", password, person)
            ask("DELETE FROM people_sessions WHERE person = ? AND hash <> ?", person, keep)

        self._tables.write(task)

    def set_active(self, person: str, *, active: bool) -> None:
        """Let somebody in again, or shut them out: sessions end, tokens open nothing.

        Raises:
            UserError: nobody would be an admin any more.
        """

        def task(ask: Ask) -> None:
            ask("UPDATE people SET active = ? WHERE id = ?", int(active), person)
            if not active:
                ask("DELETE FROM people_sessions WHERE person = ?", person)
            _keep_an_admin(ask)

        self._tables.write(task)

    def remove(self, person: str) -> bool:
        """Leave nothing of a person in here; False where there is nothing.

        Unlike `set_active` this takes the last admin too, because whoever wants to be forgotten
        is; accounts stay on, and `python -m annotate.people add` makes another admin.
        """
        account = self.get(person)
        if account is None:
            return False

        def task(ask: Ask) -> None:
            ask("DELETE FROM people WHERE id = ?", person)
            ask("DELETE FROM people_sessions WHERE person = ?", person)
            ask("DELETE FROM people_tokens WHERE person = ?", person)
            ask("DELETE FROM people_invitations WHERE name = ?", account.name)
            ask("DELETE FROM people_tries WHERE subject = ?", f"name {account.spelling}")

        self._tables.write(task)
        self._tables.scrub()
        return True

    def close(self) -> None:
        """Let go of file or server. Closing twice is no error."""
        self._tables.close()

    def _active(self, person: str | None) -> Account | None:
        account = self.get(person) if person is not None else None
        return account if account is not None and account.active else None

    def _found(self, which: str, *values: str) -> list[Account]:
        return _accounts(self._tables.read(f"SELECT {_COLUMNS} FROM people {which}", *values))


def _accounts(rows: Rows) -> list[Account]:
    return [
        Account(
            id=person,
            spelling=spelling,
            name=name,
            role=role,
            active=bool(active),
            password=password,
            since_ms=since,
        )
        for person, spelling, name, role, active, password, since in rows
    ]


def _one(accounts: list[Account]) -> Account | None:
    return accounts[0] if accounts else None


def _refuse(ask: Ask, account: Account) -> None:
    if account.role != "admin" and not ask(_ADMINS):
        raise UserError(
            f"The first person must be an admin, and {account.name} would be {account.role}: "
            "with accounts on, somebody has to let the others in. Add yourself first, with "
            "--role admin"
        )
    if ask("SELECT 1 FROM people WHERE spelling = ?", account.spelling):
        raise UserError(f"There is a {account.name} already; choose another name")
    if ask("SELECT 1 FROM people WHERE id = ?", account.id):
        raise UserError(f"The votes of {account.id} belong to somebody else already")


def _add(ask: Ask, account: Account) -> None:
    _refuse(ask, account)
    if not ask("SELECT 1 FROM people_since"):
        ask("INSERT INTO people_since VALUES (?)", account.since_ms)
    ask(
        "INSERT INTO people(id, spelling, name, role, active, password, since_ms) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        account.id,
        account.spelling,
        account.name,
        account.role,
        int(account.active),
        account.password,
        account.since_ms,
    )


def _keep_an_admin(ask: Ask) -> None:
    if not ask(_ADMINS):
        raise UserError(
            "This would leave nobody with the role admin who can sign in. Make somebody else an "
            "admin first: python -m annotate.people role NAME --role admin"
        )

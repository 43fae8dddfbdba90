"""What `python -m annotate.people` does, action by action; each says what was done."""

from __future__ import annotations

import getpass
import secrets
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from annotate.campaigns import amended
from annotate.identity import fingerprint, new_account, normalise
from annotate.passwords import hashed
from data.console import say, table
from data.errors import UserError
from data.provenance import now_ms
from data.records import Decision
from data.store import Store
from data.store.entrances import Invitation
from data.store.people import Account, People, readable
from data.store.places import is_url, spoken

if TYPE_CHECKING:
    from annotate.people import Config

_DAY_MS = 24 * 3600 * 1000


def _add(config: Config, people: People) -> None:
    first, old = not people.on, ""
    if config.annotator:
        old = normalise(config.annotator)
        if not _voted(config, old):
            raise UserError(
                f"No vote in {spoken(config.db)} is by {old!r}; --annotator takes the name that "
                "votes were given under before, and is left out for somebody new"
            )
    account = new_account(config.name, config.role, password="", since_ms=now_ms(), id=old)
    people.check(account)
    people.add(replace(account, password=hashed(_password(config))))
    say(f"{account.name} is {account.role}; votes will say {account.id}")
    if not old and _voted(config, account.spelling):
        say(
            f"There are votes by {account.spelling!r} from before: if they are by the same person, "
            f"erase this account and add it again with --annotator {account.spelling!r}"
        )
    if first:
        say(f"Accounts are on now, kept in {people.where}: everybody signs in from here on.")


def _voted(config: Config, annotator: str) -> bool:
    if not is_url(config.db) and not Path(config.db).exists():
        return False  # people may be added before there is anything to vote on
    with Store.open(config.db) as store:
        return bool(store.votes_of(annotator))


def _list(config: Config, people: People) -> None:
    if not people.on:
        say(f"No accounts in {config.db}: a name is asked once, no password. To turn them on: add")
        return
    rows = [
        (one.name, one.role, "yes" if one.active else "no", one.id, people.tokens.count(one.id))
        for one in people.all()
    ]
    say(table(("name", "role", "may sign in", "votes say", "tokens"), rows))
    for one in people.invitations.open(now_ms=now_ms()):
        whom = one.name or "anybody with the link"
        left = (one.expires_ms - now_ms()) / _DAY_MS
        say(f"invitation {one.hash[:8]}: {one.role}, {whom}, open for {left:.1f} days")


def _set_role(config: Config, people: People) -> None:
    account = _known(people, config.name)
    people.set_role(account.id, config.role)
    say(f"{account.name} is {config.role} now")


def _set_password(config: Config, people: People) -> None:
    account = _known(people, config.name)
    people.set_password(account.id, hashed(_password(config)))
    say(f"{account.name} has a new password and is signed out everywhere")


def _deactivate(config: Config, people: People) -> None:
    account = _known(people, config.name)
    people.set_active(account.id, active=False)
    say(f"{account.name} is signed out and cannot sign in; a pair they hold is free in a while")
    if config.exclude:
        _count(config, account, counts=False)
        say("Their votes count no more, in labels, slots and statistics; none was deleted")
    else:
        say("Their votes still count; `deactivate NAME --exclude` ends that too")


def _activate(config: Config, people: People) -> None:
    account = _known(people, config.name)
    people.set_active(account.id, active=True)
    say(f"{account.name} can sign in again")
    if config.include:
        _count(config, account, counts=True)
        say("Their votes count again")


def _count(config: Config, account: Account, *, counts: bool) -> None:
    with Store.open(config.db) as store:
        before = cast("list[Decision]", store.all("decisions"))
        changes = {"counts": counts}
        store.add(
            [amended(before, "person", account.id, changes, by="annotate.people", now_ms=now_ms())]
        )


def _invite(config: Config, people: People) -> None:
    if not people.on:
        raise UserError("Accounts are off here. Add yourself first: add NAME --role admin")
    if config.name and people.named(normalise(config.name)):
        raise UserError(f"There is a {config.name} already; set a password with: password NAME")
    token = secrets.token_urlsafe(24)
    people.invitations.add(
        Invitation(
            hash=fingerprint(token),
            role=config.role,
            name=readable(config.name),
            expires_ms=now_ms() + int(config.days * _DAY_MS),
        )
    )
    say(f"Works once, for {config.days:g} days; whoever has it becomes {config.role}:")
    say(f"{config.address.rstrip('/')}/#invite={token}")


def _token(config: Config, people: People) -> None:
    account = _known(people, config.name)
    token = f"sl_{secrets.token_urlsafe(32)}"
    people.tokens.give(fingerprint(token), account.id, now_ms=now_ms())
    say(f"Token of {account.name} ({account.role}), for scripts; it is not shown again:")
    say(token)


def _revoke(config: Config, people: People) -> None:
    account = people.named(normalise(config.name))
    if account is None and len(config.name) >= 8 and people.invitations.withdraw(config.name):
        say(f"Invitation {config.name} is withdrawn")
        return
    account = account or _known(people, config.name)
    tokens = people.tokens.revoke(account.id)
    people.sessions.end_all(account.id)
    say(f"{account.name}: {tokens} tokens revoked, signed out everywhere")


def _known(people: People, name: str) -> Account:
    account = people.named(normalise(name))
    if account is None:
        there = ", ".join(one.name for one in people.all()[:10]) or "nobody"
        raise UserError(f"There is no {name!r} in {people.where}; there is: {there}")
    return account


def _password(config: Config) -> str:
    if config.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not _on_a_terminal():
        raise UserError("There is no terminal to ask for a password; give --password-stdin")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise UserError("The two passwords differ; nothing was changed")
    return password


def _on_a_terminal() -> bool:
    return sys.stdin.isatty()


ACTS: dict[str, Callable[[Config, People], None]] = {
    "add": _add,
    "list": _list,
    "role": _set_role,
    "password": _set_password,
    "deactivate": _deactivate,
    "activate": _activate,
    "invite": _invite,
    "token": _token,
    "revoke": _revoke,
}

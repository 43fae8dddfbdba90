"""Signing in and out, invitations, passwords: the routes for people, where accounts are on.

What is decided here, and why: every reason why somebody is not let in reads the same and takes the
same time; tries are counted before the password is looked at, per name and per address, in the
database, so that replicas count together; a sign-in always begins a new session and ends the one
that the browser had, so that nobody can be made to use a session that somebody else knows. Nothing
here redirects. Left out on purpose: e-mail (a lead makes a new invitation or sets a new password).
"""

from __future__ import annotations

import ipaddress
import secrets
import threading
from collections.abc import Iterator

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from annotate import passwords
from annotate.desk import Desk
from annotate.identity import fingerprint, new_account, normalise
from annotate.messages import Known
from annotate.rights import (
    COOKIE,
    SESSION_MS,
    Annotator,
    AtDesk,
    BarredError,
    Person,
    Visitor,
    session_of,
)
from annotate.words import RefusedError
from data.errors import UserError
from data.provenance import now_ms
from data.store.entrances import Invitation
from data.store.people import Account
from data.store.people_schema import Role

WINDOW_MS = 15 * 60 * 1000
TRIES_PER_NAME, TRIES_PER_ADDRESS = 10, 30
"""In `WINDOW_MS`; an office behind one address shares the second."""
_LONG = 1000


class SignIn(BaseModel):
    """Name and password."""

    name: str = Field(max_length=_LONG)
    password: str = Field(max_length=_LONG)


class SignOut(BaseModel):
    """End this session, or everywhere."""

    everywhere: bool = False


class NewPassword(BaseModel):
    """Another password in place of the old one; all other sessions end."""

    old: str = Field(max_length=_LONG)
    new: str = Field(max_length=_LONG)


class Invited(BaseModel):
    """What an invitation offers."""

    role: Role
    name: str
    """Empty where the invited person chooses it."""
    until_ms: int
    """UTC epoch milliseconds."""


_TURNS = threading.BoundedSemaphore(8)
"""Requests that may wait for a password to be hashed; more would keep threads from the votes."""


def _turn() -> Iterator[None]:
    if not _TURNS.acquire(blocking=False):
        raise BarredError(503, "busy", seconds=2)
    try:
        yield
    finally:
        _TURNS.release()


IN_TURN = [Depends(_turn)]
router = APIRouter(tags=["people"])


@router.get("/api/me", summary="Who is here")
def who(visitor: Visitor, desk: AtDesk, request: Request, response: Response) -> Known:
    """Who is here. A session that goes on is kept in the browser as long as on the server."""
    if visitor is not None and desk.people.on and COOKIE in request.cookies:
        set_cookie(request, response, request.cookies[COOKIE], SESSION_MS)
    return _known(desk, visitor)


@router.post("/api/signin", summary="Sign in", dependencies=IN_TURN)
def sign_in(body: SignIn, desk: AtDesk, request: Request, response: Response) -> Known:
    """Sign in with name and password."""
    _accounts_only(desk)
    spelling = _spelling(body.name)
    this = _Try(desk, request, f"name {spelling}")
    account = desk.people.named(spelling) if spelling else None
    stored = account.password if account is not None and account.active else None
    if not passwords.fits(body.password, stored) or account is None:
        raise BarredError(401, "wrong")
    this.was_right()
    if passwords.outdated(account.password):
        desk.people.set_password(account.id, passwords.hashed(body.password))
    return _enter(desk, request, response, account)


@router.post("/api/signout", summary="Sign out, here or everywhere")
def sign_out(
    body: SignOut, visitor: Visitor, desk: AtDesk, request: Request, response: Response
) -> Known:
    """End this session on the server, or every one of this person; forget the cookie."""
    if desk.people.on:
        if body.everywhere and visitor is not None:
            desk.people.sessions.end_all(visitor.id)
        _end_session(desk, request)
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")
    return _known(desk, None)


@router.post("/api/password", summary="Change one's password", dependencies=IN_TURN)
def change_password(
    body: NewPassword, annotator: Annotator, desk: AtDesk, request: Request, response: Response
) -> Known:
    """Choose another password; every other session of this person ends."""
    _accounts_only(desk)
    this = _Try(desk, request, f"person {annotator.id}")
    account = desk.people.get(annotator.id)
    if account is None or not passwords.fits(body.old, account.password):
        raise BarredError(401, "wrong")
    desk.people.set_password(account.id, _hashed(body.new))
    this.was_right()
    return _enter(desk, request, response, account)


@router.get("/api/invite/{token}", summary="Look at an invitation")
def invitation(token: str, desk: AtDesk) -> Invited:
    """What this invitation offers."""
    found = _invitation(desk, token)
    return Invited(role=found.role, name=found.name, until_ms=found.expires_ms)


@router.post("/api/invite/{token}", summary="Accept an invitation", dependencies=IN_TURN)
def accept(token: str, body: SignIn, desk: AtDesk, request: Request, response: Response) -> Known:
    """Become the invited person, with a password of one's own; the invitation is used up."""
    found = _invitation(desk, token)
    this = _Try(desk, request, f"invitation {found.hash}")
    account = _joining(found.name or body.name, body.password, found.role)
    try:
        accepted = desk.people.accept(found.hash, account, now_ms=now_ms())
    except UserError as error:
        raise BarredError(409, "name_taken") from error
    if not accepted:
        raise BarredError(404, "invitation")
    this.was_right()
    return _enter(desk, request, response, account)


def set_cookie(
    request: Request, response: Response, value: str, lasts_ms: int, *, name: str = COOKIE
) -> None:
    """Keep `value` in the browser, out of reach of scripts and of other sites.

    `Secure` where the browser came by https, as a trusted proxy says (`server.serve`).
    """
    response.set_cookie(
        name,
        value,
        max_age=lasts_ms // 1000,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def _enter(desk: Desk, request: Request, response: Response, account: Account) -> Known:
    """Begin a new session of this person, and end the one that the browser had."""
    _end_session(desk, request)
    session, now = secrets.token_urlsafe(32), now_ms()
    desk.people.sessions.begin(
        fingerprint(session), account.id, now_ms=now, until_ms=now + SESSION_MS
    )
    set_cookie(request, response, desk.seal.session(session), SESSION_MS)
    return _known(desk, Person(account.id, account.name, account.role))


def _end_session(desk: Desk, request: Request) -> None:
    session = session_of(desk, request)
    if session is not None:
        desk.people.sessions.end(session)


def _known(desk: Desk, person: Person | None) -> Known:
    accounts = desk.people.on
    if person is None:
        return Known(annotator=None, role=None, accounts=accounts)
    return Known(annotator=person.name, role=person.role, accounts=accounts)


def _accounts_only(desk: Desk) -> None:
    if not desk.people.on:
        raise BarredError(403, "accounts_off")


class _Try:
    """One try at a password or an invitation, counted before it is looked at."""

    def __init__(self, desk: Desk, request: Request, subject: str) -> None:
        """Count it.

        Raises:
            BarredError: there were too many, at this subject or from this address (429).
        """
        self._tries, self._subject = desk.people.tries, subject
        self._address, self._now = f"address {_network(request)}", now_ms()
        limits = {subject: TRIES_PER_NAME, self._address: TRIES_PER_ADDRESS}
        wait = self._tries.allow(limits, now_ms=self._now, window_ms=WINDOW_MS)
        if wait:
            seconds = -(-wait // 1000)
            raise BarredError(429, "throttled", seconds=seconds, minutes=-(-seconds // 60))

    def was_right(self) -> None:
        """Somebody who may: it does not count against them."""
        self._tries.right(self._subject, self._address, time_ms=self._now)


def _network(request: Request) -> str:
    """The address; of IPv6 the 64 bits that one customer has for themselves."""
    host = request.client.host if request.client is not None else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 64 if address.version == 6 else 32), strict=False))


def _spelling(name: str) -> str:
    """The name in the spelling that is compared; empty where it is none, which fits nobody."""
    try:
        return normalise(name)
    except UserError:
        return ""


def _invitation(desk: Desk, token: str) -> Invitation:
    known = fingerprint(token)
    for one in desk.people.invitations.open(now_ms=now_ms()):
        if one.hash == known:
            return one
    raise BarredError(404, "invitation")


def _joining(name: str, password: str, role: Role) -> Account:
    try:
        hashed = passwords.hashed(password)
        return new_account(name, role, password=hashed, since_ms=now_ms())
    except RefusedError as refused:
        raise BarredError(422, refused.key, **refused.values) from refused


def _hashed(password: str) -> str:
    try:
        return passwords.hashed(password)
    except RefusedError as refused:
        raise BarredError(422, refused.key, **refused.values) from refused

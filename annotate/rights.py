"""Who is at the other end of a request, and what they may do: asked anew for every request.

Three ways in. Without accounts a signed cookie carries the name that was said, and there are no
secrets between people: whoever works on the machine itself may do everything, and if the network is
let in, everybody is an annotator. With accounts the cookie names a session that the server knows
and can end, and a script brings a token (`Authorization: Bearer ...`).

Our own routes take `Visitor`, `Annotator` or `Lead` as a parameter. A function that Gradio calls
begins with `rights.lead_only(request)`: Gradio's private endpoints are open to a raw POST, so that
hiding a button protects nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from annotate.desk import Desk
from annotate.identity import fingerprint
from annotate.words import RefusedError
from data.provenance import now_ms
from data.store.people import Account
from data.store.people_schema import Role

COOKIE = "second_look"
SESSION_MS = 30 * 24 * 3600 * 1000
"""How long a session lasts after it was last used."""
_DESK = "second_look.desk"
"""Where the server notes the desk on a request, so that Gradio's requests have it too."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is here now."""

    id: str
    """What their votes say."""
    name: str
    """How they are called, untrusted text."""
    role: Role

    @property
    def leads(self) -> bool:
        """Whether they may see everybody's work."""
        return self.role in ("lead", "admin")


class BarredError(RefusedError):
    """Somebody asked for what they may not have; the server answers with `status`."""

    def __init__(self, status: int, key: str, **values: object) -> None:
        super().__init__(key, **values)
        self.status = status


class Asking(Protocol):
    """What is needed of a request: Starlette's and Gradio's have it."""

    @property
    def headers(self) -> Any:
        """A mapping with names in small letters."""
        ...

    @property
    def cookies(self) -> Any:
        """A mapping."""
        ...


def person_of(desk: Desk, request: Asking) -> Person | None:
    """Who sends this request; None where nobody is signed in (or has said a name)."""
    if desk.people.on:
        return _with_account(desk, request)
    name = desk.seal.annotator(request.cookies.get(COOKIE))
    return None if name is None else plain_person(desk, name)


def plain_person(desk: Desk, name: str) -> Person:
    """Whoever said this (normalised) name, where there are no accounts."""
    return Person(name, name, "admin" if desk.local else "annotator")


def lead_only(request: Any) -> Person:
    """The lead or admin who sends this request, Gradio's or Starlette's.

    Raises:
        BarredError: it is somebody else (403), or nobody (401).
    """
    desk = desk_of(request)
    person = _known(desk, person_of(desk, request))
    if not person.leads:
        raise BarredError(403, "lead" if desk.people.on else "lead_accounts")
    return person


def note(scope: Any, desk: Desk) -> None:
    """Leave the desk on a request as it comes in, for `desk_of`."""
    scope[_DESK] = desk


def desk_of(request: Any) -> Desk:
    """The desk that this request, Gradio's or Starlette's, has come to."""
    inner = getattr(request, "request", None) or request
    return inner.scope[_DESK]


def session_of(desk: Desk, request: Asking) -> str | None:
    """The fingerprint of the session that the cookie names; None with a forged one or none."""
    session = desk.seal.read_session(request.cookies.get(COOKIE))
    return None if session is None else fingerprint(session)


def _with_account(desk: Desk, request: Asking) -> Person | None:
    token = _bearer(request.headers)
    if token is not None:
        return _as_person(desk.people.holding(fingerprint(token)))
    session, now = session_of(desk, request), now_ms()
    if session is None:
        return None
    return _as_person(desk.people.signed_in(session, now_ms=now, until_ms=now + SESSION_MS))


def _bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _as_person(account: Account | None) -> Person | None:
    return None if account is None else Person(account.id, account.name, account.role)


def _desk(request: Request) -> Desk:
    return desk_of(request)


AtDesk = Annotated[Desk, Depends(_desk)]
"""The desk, in a route of ours."""


def _visitor(request: Request) -> Person | None:
    return person_of(desk_of(request), request)


Visitor = Annotated[Person | None, Depends(_visitor)]
"""Whoever it is, perhaps nobody."""


def _known(desk: Desk, person: Person | None) -> Person:
    if person is None:
        raise BarredError(401, "sign_in" if desk.people.on else "who")
    return person


def _annotator(request: Request, visitor: Visitor) -> Person:
    return _known(desk_of(request), visitor)


Annotator = Annotated[Person, Depends(_annotator)]
"""Somebody who is known; 401 otherwise."""


def _lead(request: Request) -> Person:
    return lead_only(request)


Lead = Annotated[Person, Depends(_lead)]
"""A lead or an admin; 401 or 403 otherwise."""

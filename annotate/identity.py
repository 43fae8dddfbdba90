"""Who is asking, and what was handed to whom: signed, opaque strings, nothing kept in memory.

Three kinds, all under one secret that lies beside the database (mode 600), so that a restart, or a
kill in the middle of a vote, invalidates none of them:

- the cookie carries the annotator's name or, with accounts, a session that the server can end;
- a ticket carries (annotator, pair, exposure, revised vote): only its holder can answer the pair,
  and the exposure that is stored is the one that was served;
- a clip token is the clip's hash, encrypted for the annotator: no name, no path, and no use to
  anybody else.

Left out on purpose: passwords and roles (`annotate/accounts.py`, `annotate/rights.py`). Without
accounts whoever reaches the port can say any name, so the app listens on this machine only unless
told otherwise.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from itsdangerous import BadSignature, URLSafeSerializer

from annotate.words import RefusedError
from data.records import Exposure
from data.store.people import Account, readable, spelling
from data.store.people_schema import Role

NAME_LENGTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """The right of one annotator to answer one pair, and under which exposure."""

    pair: str
    exposure: Exposure
    revises: str | None = None
    """The blind vote that a keep or change answers again."""


class Seal:
    """Signs and reads cookies, tickets and clip tokens under one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._names = URLSafeSerializer(secret, salt="annotator")
        self._sessions = URLSafeSerializer(secret, salt="session")
        self._tickets = URLSafeSerializer(secret, salt="ticket")

    def cookie(self, annotator: str) -> str:
        """The cookie's value for this annotator."""
        return self._names.dumps(annotator)

    def annotator(self, cookie: str | None) -> str | None:
        """The name in a cookie; None without a cookie or with a forged one."""
        name = _loads(self._names, cookie)
        return name if isinstance(name, str) else None

    def session(self, session: str) -> str:
        """The cookie's value for a session of somebody who has signed in."""
        return self._sessions.dumps(session)

    def read_session(self, cookie: str | None) -> str | None:
        """The session in a cookie; None without a cookie or with a forged one."""
        session = _loads(self._sessions, cookie)
        return session if isinstance(session, str) else None

    def ticket(self, annotator: str, ticket: Ticket) -> str:
        """The opaque form of a ticket, of use to this annotator only."""
        return self._tickets.dumps([annotator, ticket.pair, ticket.exposure, ticket.revises])

    def read_ticket(self, annotator: str, text: str) -> Ticket | None:
        """The ticket behind `text`; None where it is forged or was handed to somebody else."""
        fields = _loads(self._tickets, text)
        if not isinstance(fields, list) or len(fields) != 4 or fields[0] != annotator:
            return None
        _, pair, exposure, revises = fields
        if exposure not in get_args(Exposure):
            return None
        return Ticket(pair=pair, exposure=exposure, revises=revises)

    def token(self, annotator: str, clip: str) -> str:
        """The opaque name of a clip in a URL, of use to this annotator only.

        The clip's hash, encrypted under a key of this annotator's with a keyed hash of itself as
        the nonce (the construction of SIV, RFC 5297, from HMAC-SHA256): the same clip has the same
        token, so that browsers can keep it, and nothing else about it can be told or made up.

        Args:
            annotator: who it is for.
            clip: hexadecimal, up to 64 digits.
        """
        plain = bytes.fromhex(clip)
        nonce = self._keyed("clip", annotator, plain)[:16]
        return (nonce + _xor(plain, self._keyed("mask", annotator, nonce))).hex()

    def read_token(self, annotator: str, token: str) -> str | None:
        """The clip behind a token; None for any other string and another annotator's token."""
        try:
            sealed = bytes.fromhex(token)
        except ValueError:
            return None
        nonce, hidden = sealed[:16], sealed[16:48]
        plain = _xor(hidden, self._keyed("mask", annotator, nonce))
        genuine = hmac.compare_digest(nonce, self._keyed("clip", annotator, plain)[:16])
        return plain.hex() if genuine and len(sealed) <= 48 and token == sealed.hex() else None

    def _keyed(self, use: str, annotator: str, content: bytes) -> bytes:
        key = f"{use}\0{annotator}\0".encode()
        return hmac.new(self._secret, key + content, hashlib.sha256).digest()


def _xor(text: bytes, mask: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(text, mask, strict=False))


def _loads(serializer: URLSafeSerializer, text: str | None) -> object:
    if not text:
        return None
    try:
        return serializer.loads(text)
    except BadSignature:
        return None


def fingerprint(secret: str) -> str:
    """How a session, a token or an invitation is known to the server: its SHA-256."""
    return hashlib.sha256(secret.encode()).hexdigest()


def normalise(name: str) -> str:
    """One spelling per person: NFKC, one space between words, no control characters, lower case.

    Raises:
        RefusedError: nothing is left, or more than `NAME_LENGTH` characters.
    """
    plain = spelling(name)
    if not plain:
        raise RefusedError("name_empty")
    if len(plain) > NAME_LENGTH:
        raise RefusedError("name_long", length=len(plain))
    return plain


def new_account(name: str, role: Role, *, password: str, since_ms: int, id: str = "") -> Account:
    """Somebody who may sign in; `password` is a hash, `id` the one of earlier votes.

    Raises:
        RefusedError: the name is empty or too long.
    """
    return Account(
        id=id or f"p-{secrets.token_hex(5)}",
        spelling=normalise(name),
        name=readable(name),
        role=role,
        password=password,
        since_ms=since_ms,
    )


def secret_beside(db: Path) -> bytes:
    """The secret of this database, made on first use in `<db>.secret` (mode 600)."""
    path = db.with_name(f"{db.name}.secret")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_hex(32).encode())
        file.flush()
        os.fsync(file.fileno())
    return path.read_bytes()

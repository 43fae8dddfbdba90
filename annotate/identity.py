"""Who is asking, and what was handed to whom: signed, opaque strings, nothing kept in memory.

Three kinds, all under one secret that lies beside the database (mode 600), so that a restart, or a
kill in the middle of a vote, invalidates none of them:

- the session cookie carries the annotator's name;
- a ticket carries (annotator, pair, exposure, revised vote): only its holder can answer the pair,
  and the exposure that is stored is the one that was served;
- a clip token is a keyed hash of (annotator, clip): no name, no path, and no use to anybody else.

Left out on purpose: passwords and roles. Whoever reaches the port can say any name, so the app
listens on this machine only unless told otherwise.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from itsdangerous import BadSignature, URLSafeSerializer

from annotate.text import ERRORS
from data.errors import UserError
from data.records import Exposure

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
        self._tickets = URLSafeSerializer(secret, salt="ticket")

    def cookie(self, annotator: str) -> str:
        """The cookie's value for this annotator."""
        return self._names.dumps(annotator)

    def annotator(self, cookie: str | None) -> str | None:
        """The name in a cookie; None without a cookie or with a forged one."""
        name = _loads(self._names, cookie)
        return name if isinstance(name, str) else None

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
        """The opaque name of a clip in a URL: 32 hexadecimal digits, this annotator's own."""
        key = f"clip\0{annotator}\0{clip}".encode()
        return hmac.new(self._secret, key, hashlib.sha256).hexdigest()[:32]


def _loads(serializer: URLSafeSerializer, text: str | None) -> object:
    if not text:
        return None
    try:
        return serializer.loads(text)
    except BadSignature:
        return None


def normalise(name: str) -> str:
    """One spelling per person: NFKC, one space between words, no control characters, lower case.

    Raises:
        UserError: nothing is left, or more than `NAME_LENGTH` characters.
    """
    printable = "".join(letter if letter.isprintable() else " " for letter in name)
    plain = " ".join(unicodedata.normalize("NFKC", printable).split()).casefold()
    if not plain:
        raise UserError(ERRORS["name_empty"])
    if len(plain) > NAME_LENGTH:
        raise UserError(ERRORS["name_long"].format(length=len(plain)))
    return plain


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

"""Passwords: argon2id by argon2-cffi, with the parameters that it recommends (RFC 9106, 64 MiB).

A wrong name costs the same time as a wrong password. No more than two are hashed at once: each
takes 64 MiB and a core, and whoever floods the sign-in form must not take the machine with it.
"""

from __future__ import annotations

import secrets
import threading
import unicodedata
from functools import cache

import argon2

from annotate.words import RefusedError

LEAST, MOST = 8, 256
"""Characters."""
_AT_ONCE = threading.BoundedSemaphore(2)
_HASHER = argon2.PasswordHasher()


def hashed(password: str) -> str:
    """What is stored in place of a password.

    Raises:
        RefusedError: shorter than `LEAST` or longer than `MOST` characters.
    """
    length = len(password)
    if length < LEAST:
        raise RefusedError("password_short", length=length, least=LEAST)
    if length > MOST:
        raise RefusedError("password_long", length=length, most=MOST)
    with _AT_ONCE:
        return _HASHER.hash(_bytes(password))


def fits(password: str, stored: str | None) -> bool:
    """Whether `password` is the one behind `stored`; nobody's (None or "") takes as long."""
    given = _bytes(password[: MOST + 1])
    with _AT_ONCE:
        try:
            return _HASHER.verify(stored or _nobodys(), given) and bool(stored)
        except argon2.exceptions.VerifyMismatchError:
            return False


def outdated(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _HASHER.check_needs_rehash(stored)


def _bytes(password: str) -> bytes:
    """One spelling, however the keyboard composes accents."""
    return unicodedata.normalize("NFKC", password).encode(errors="surrogatepass")


@cache
def _nobodys() -> str:
    """The hash of a password that nobody knows."""
    return _HASHER.hash(secrets.token_bytes(32))

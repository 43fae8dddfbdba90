"""The vote journal: JSON lines, each chained to the one before, on disk before a vote counts.

A line holds `seq`, `chain`, `hash`, `salt` and `payload` (the vote as JSON text), where
`hash = sha256(salt + payload)` and `chain = sha256(previous chain, seq, hash)`. The chain covers
the salted hash and not the payload, so that an erased vote (salt and payload removed) leaves a
chain that still verifies: such a line has `erased:` and the old hash for a salt, what is left of
the vote for a payload, and `kept = sha256(salt + payload)` against damage. The first line names
the database that the journal belongs to.

The journal is the second home of every vote: it finds silent damage of the database file (an
11 per cent risk for a flipped bit in DuckDB's log, as measured) and rebuilds a lost one.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import mmap
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data.errors import UserError
from data.store.places import sync_folder

FORMAT = 1
ERASED = "erased:"
"""Start of the salt of a vote whose person was erased; the hash that the chain covers follows."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal."""

    seq: int
    """1 for the first vote, then without a gap."""
    salt: str
    payload: str
    hash: str
    chain: str

    @classmethod
    def after(cls, seq: int, chain: str, payload: str, *, salt: str) -> Entry:
        """The entry that follows the one with `seq` and `chain`."""
        hashed = salted(salt, payload)
        return cls(seq + 1, salt, payload, hashed, chained(chain, seq + 1, hashed))

    def without_person(self, payload: str) -> Entry:
        """The entry in the same place of the chain, with `payload` for all that is known of it."""
        return replace(self, salt=f"{ERASED}{self.hash}", payload=payload)

    def line(self) -> bytes:
        """The entry as it stands in the file, with its newline."""
        fields = {
            "seq": self.seq,
            "chain": self.chain,
            "hash": self.hash,
            "salt": self.salt,
            "payload": self.payload,
        }
        if self.salt.startswith(ERASED):
            fields["kept"] = _sha256(self.salt + self.payload)
        return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def salted(salt: str, payload: str) -> str:
    """What the chain covers of a vote; of an erased one, what it covered before."""
    return salt.removeprefix(ERASED) if salt.startswith(ERASED) else _sha256(salt + payload)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def chained(previous: str, seq: int, hashed: str) -> str:
    """The chain value of entry `seq`."""
    return hashlib.sha256(f"{previous}:{seq}:{hashed}".encode()).hexdigest()


def genesis(database: str) -> str:
    """The chain value before the first vote of a database."""
    return hashlib.sha256(f"second-look journal {FORMAT}: {database}".encode()).hexdigest()


def parse(line: bytes) -> Entry:
    """One line as an entry.

    Raises:
        ValueError: where the line is no entry, or its payload is not the one that was hashed.
    """
    fields = json.loads(line)
    entry = Entry(**{name: fields[name] for name in ("seq", "salt", "payload", "hash", "chain")})
    erased = entry.salt.startswith(ERASED)
    if salted(entry.salt, entry.payload) != entry.hash or (
        erased and fields["kept"] != _sha256(entry.salt + entry.payload)
    ):
        raise ValueError("the vote is not the one that was hashed")
    return entry


class Journal:
    """The open journal of the owner."""

    def __init__(self, path: Path, database: str) -> None:
        """Open or create; a torn last line is put aside and cut.

        Raises:
            UserError: if the journal belongs to another database, or its last line is damaged.
        """
        self.path = path
        self.database = database
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            cut_torn_line(path)
            if os.fstat(self._file).st_size == 0:
                self._write(json.dumps({"journal": FORMAT, "database": database}).encode() + b"\n")
                sync_folder(path.parent)
            self.seq, self.chain = self._tail()
        except BaseException:
            os.close(self._file)
            raise

    def _tail(self) -> tuple[int, str]:
        owner = owner_of(self.path)
        if owner != self.database:
            raise UserError(
                f"{self.path} belongs to another database than the file beside it. Move one of "
                "them away; a database without a journal gets a new one, and the other way round"
            )
        newest = next(lines_backwards(self.path), None)
        if newest is None:
            return 0, genesis(self.database)
        try:
            entry = parse(newest)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"The last line of {self.path} is damaged ({error}). Look with "
                "`python -m data.store check`, mend with `python -m data.store rebuild`"
            ) from error
        return entry.seq, entry.chain

    def extend(self, payloads: Sequence[str], *, salts: Sequence[str] | None = None) -> list[Entry]:
        """Append votes and wait until they are on the disk: one `fdatasync` for all of them.

        Raises:
            UserError: if the disk refused (full, read-only); the file is as it was before.
        """
        seq, chain, entries = self.seq, self.chain, []
        for place, payload in enumerate(payloads):
            salt = secrets.token_hex(16) if salts is None else salts[place]
            entry = Entry.after(seq, chain, payload, salt=salt)
            seq, chain = entry.seq, entry.chain
            entries.append(entry)
        self._write(b"".join(entry.line() for entry in entries))
        self.seq, self.chain = seq, chain
        return entries

    def _write(self, data: bytes) -> None:
        before = os.fstat(self._file).st_size
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fdatasync(self._file)
        except OSError as error:
            os.ftruncate(self._file, before)
            os.fdatasync(self._file)
            raise UserError(
                f"{self.path} could not be written ({error.strerror}); nothing was stored. "
                "Free space on that disk, then send the vote again"
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def owner_of(path: Path) -> str | None:
    """Identity of the database that the journal belongs to; None for an absent or empty one.

    Raises:
        UserError: where the first line is no heading of a journal.
    """
    if not path.exists() or path.stat().st_size == 0:
        return None
    with path.open("rb") as file:
        first = file.readline()
    try:
        heading = json.loads(first)
        known, database = heading["journal"], heading["database"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"The first line of {path} is no heading of a journal") from error
    if known > FORMAT:
        raise UserError(f"{path} has format {known}; this program knows up to {FORMAT}: update it")
    return database


def lines_backwards(path: Path) -> Iterator[bytes]:
    """The entries' lines from the newest to the oldest, without the heading."""
    if path.stat().st_size == 0:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        end = len(text)
        while (start := text.rfind(b"\n", 0, end - 1) + 1) > 0:
            yield text[start:end]
            end = start


def entries_after(path: Path, seq: int) -> list[Entry]:
    """The entries with a number above `seq`, oldest first; reads no more of the file than that.

    Raises:
        UserError: if one of them is damaged or does not follow the one before.
    """
    newer: list[Entry] = []
    for line in lines_backwards(path):
        try:
            entry = parse(line)
        except (ValueError, KeyError, TypeError) as error:
            where = f"the line before entry {newer[-1].seq}" if newer else "the last line"
            raise broken(path, where, error) from error
        if entry.seq <= seq:
            break
        newer.append(entry)
    newer.reverse()
    for before, entry in itertools.pairwise(newer):
        if chained(before.chain, entry.seq, entry.hash) != entry.chain:
            raise broken(path, f"entry {entry.seq}", "it does not follow the one before")
    return newer


def broken(path: Path, where: str, why: object) -> UserError:
    """What to say of a damaged line."""
    return UserError(
        f"{path}: {where} is damaged ({why}). See every damaged line with "
        "`python -m data.store check`; `python -m data.store rebuild` keeps all the others"
    )


def damage(path: Path) -> Iterator[tuple[int, str]]:
    """Every damaged line as (line number from 1, what is wrong). The heading is line 1.

    After a damaged line the next one is only checked in itself: its predecessor is not known.
    """
    seq, chain = 0, genesis(owner_of(path) or "")
    with path.open("rb") as file:
        file.readline()
        for number, line in enumerate(file, start=2):
            try:
                entry = parse(line)
            except (ValueError, KeyError, TypeError) as error:
                yield number, f"no intact entry: {error}"
                seq, chain = seq + 1, ""
                continue
            follows = not chain or chained(chain, seq + 1, entry.hash) == entry.chain
            if entry.seq != seq + 1:
                yield number, f"entry {entry.seq} stands where {seq + 1} should"
                seq = seq + 1 if chain and follows else entry.seq
            else:
                if not follows:
                    yield number, "does not follow from the line before"
                seq = entry.seq
            chain = entry.chain if follows else ""


def intact(path: Path) -> Iterator[Entry]:
    """Every entry that is whole in itself, oldest first; damaged lines are left out."""
    with path.open("rb") as file:
        file.readline()
        for line in file:
            try:
                yield parse(line)
            except (ValueError, KeyError, TypeError):
                continue


def cut_torn_line(path: Path) -> Path | None:
    """Cut what a crash left of an unfinished last line, after copying it aside; where to, or None.

    A line that was not finished was never acknowledged: `fdatasync` had not returned.
    """
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            keep = text.rfind(b"\n") + 1
            torn = text[keep:]
        if not torn:
            return None
        aside = path.with_name(f"{path.name}.torn-{size}")
        aside.write_bytes(torn)
        file.truncate(keep)
        file.flush()
        os.fsync(file.fileno())
    return aside

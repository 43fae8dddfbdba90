"""Columns that grow: of values, of words that repeat, of ids that are found by bisection.

A few new rows cost a few new rows, not a copy of a million: columns have room to spare, and
ids that came since the last sorting are found in a small dictionary.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
from jaxtyping import Int, UInt8, UInt64

_VALUE = np.full(256, 255, np.uint8)
_VALUE[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_UNSORTED = 4096
"""So many ids may wait to be sorted in."""


class Column:
    """An array that grows at its end."""

    def __init__(self, kind: type[np.generic], width: int | None = None) -> None:
        self._room = np.zeros((0,) if width is None else (0, width), kind)
        self._size = 0

    def __len__(self) -> int:
        """How many rows."""
        return self._size

    @property
    def all(self) -> np.ndarray:
        """The rows; writing to them changes the column, until it grows."""
        return self._room[: self._size]

    def add(self, rows: np.ndarray) -> None:
        """Append these rows."""
        end = self._size + len(rows)
        if end > len(self._room):
            room = np.zeros((end + end // 8, *self._room.shape[1:]), self._room.dtype)
            room[: self._size] = self.all
            self._room = room
        self._room[self._size : end] = rows
        self._size = end


def packed(ids: pl.Series, width: int) -> UInt8[np.ndarray, "n width"]:
    """Ids of `2 * width` hexadecimal digits as bytes."""
    texts = ids.to_arrow().cast(pa.large_string())
    ends = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset :][: len(ids) + 1]
    letters = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]
    digits = _VALUE[letters.reshape(len(ids), 2 * width)]
    return (digits[:, ::2] << 4) | digits[:, 1::2]


def heads_of(ids: UInt8[np.ndarray, "n width"]) -> UInt64[np.ndarray, " n"]:
    """The first 64 bits of each id."""
    return np.ascontiguousarray(ids[:, :8]).view(">u8").ravel().astype(np.uint64)


class Keys:
    """Ids by number and numbers by id; numbers count from 0 in the order of adding."""

    def __init__(self, digits: int) -> None:
        self._width = digits // 2
        self._bytes, self._heads = Column(np.uint8, self._width), Column(np.uint64)
        self._fresh: dict[str, int] = {}
        self._sort()

    def _sort(self) -> None:
        order = np.argsort(self.heads).astype(np.int32)
        self._sorted = (self.heads[order], order)
        self._fresh = {}

    def __len__(self) -> int:
        """How many ids."""
        return len(self._bytes)

    @property
    def heads(self) -> UInt64[np.ndarray, " n"]:
        """The first 64 bits of every id."""
        return self._heads.all

    def add(self, ids: pl.Series) -> None:
        """Number these ids, from the next number on."""
        start, fresh = len(self), packed(ids, self._width)
        self._bytes.add(fresh)
        self._heads.add(heads_of(fresh))
        if len(self._fresh) + len(ids) > _UNSORTED:
            self._sort()
        else:
            self._fresh.update({one: start + place for place, one in enumerate(ids.to_list())})

    def text(self, row: int) -> str:
        """The id with that number."""
        return self._bytes.all[row].tobytes().hex()

    def find(self, identity: str) -> int | None:
        """The number of an id; None for any other text."""
        if identity in self._fresh:
            return self._fresh[identity]
        try:
            wanted = bytes.fromhex(identity)
        except ValueError:
            return None
        if len(wanted) != self._width or wanted.hex() != identity:
            return None
        heads, order = self._sorted
        head = np.uint64(int.from_bytes(wanted[:8]))
        for place in range(int(np.searchsorted(heads, head)), len(heads)):
            if heads[place] != head:
                break
            if self._bytes.all[order[place]].tobytes() == wanted:
                return int(order[place])
        return None

    def rows(self, ids: pl.Series) -> Int[np.ndarray, " n"]:
        """The numbers of these ids; -1 for those that are not here."""
        if self._fresh and len(ids) > _UNSORTED:
            self._sort()
        if len(ids) <= _UNSORTED or not len(self):
            found = (self.find(one) for one in ids.to_list())
            return np.array([-1 if one is None else one for one in found], np.int32)
        wanted, (heads, order) = packed(ids, self._width), self._sorted
        places = np.minimum(np.searchsorted(heads, heads_of(wanted)), len(self) - 1)
        rows = order[places]
        for row in np.flatnonzero((self._bytes.all[rows] != wanted).any(axis=1)):
            other = self.find(ids[int(row)])  # absent, or one of two with the same first 64 bits
            rows[row] = -1 if other is None else other
        return rows


class Codes:
    """Words that repeat, as numbers from 0 in the order of meeting them."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._numbers: dict[str, int] = {}

    def of(self, words: pl.Series) -> Int[np.ndarray, " n"]:
        """The numbers of these words; new words get new ones."""
        for word in words.unique(maintain_order=True).to_list():
            if word not in self._numbers:
                self._numbers[word] = len(self.words)
                self.words.append(word)
        known = list(self._numbers)
        return words.cast(pl.Enum(known)).to_physical().cast(pl.Int32).to_numpy()

    def find(self, word: str) -> int:
        """The number of a word; -1 where nobody has said it."""
        return self._numbers.get(word, -1)

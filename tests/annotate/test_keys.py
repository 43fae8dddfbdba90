"""Columns that grow and ids found by bisection: what goes in comes out, and nothing else."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl

from annotate.keys import Column, Keys

IDS = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(12_000)]


def test_ids_are_found_under_their_number_sorted_in_or_not():
    keys = Keys(32)
    for start, end in ((0, 10_000), (10_000, 10_001), (10_001, 10_050), (10_050, 12_000)):
        keys.add(pl.Series(IDS[start:end], dtype=pl.String))
        assert len(keys) == end
        for row in (0, start, end - 1):
            assert keys.find(IDS[row]) == row
            assert keys.text(row) == IDS[row]
    assert keys.heads[7] == int(IDS[7][:16], 16)
    assert keys.rows(pl.Series(IDS)).tolist() == list(range(12_000))


def test_what_is_not_there_is_not_found():
    keys = Keys(32)
    keys.add(pl.Series(IDS[:9_000]))
    absent = [IDS[9_000], "", "x" * 32, IDS[3].upper(), IDS[3][:30], IDS[3] + "00", IDS[3] + " "]
    assert [keys.find(one) for one in absent] == [None] * len(absent)
    assert keys.rows(pl.Series([*IDS[:9_000], IDS[9_000]])).tolist() == [*range(9_000), -1]
    assert keys.rows(pl.Series([IDS[9_000], IDS[5]])).tolist() == [-1, 5]
    assert Keys(32).find(IDS[0]) is None
    assert Keys(32).rows(pl.Series(IDS)).tolist() == [-1] * 12_000


def test_two_ids_with_the_same_first_half_are_two():
    twins = ["ab" * 8 + "01" * 8, "ab" * 8 + "02" * 8]
    keys = Keys(32)
    keys.add(pl.Series([*IDS[:6_000], *twins]))
    assert [keys.find(one) for one in twins] == [6_000, 6_001]
    found = keys.rows(pl.Series([*IDS[:6_000], *reversed(twins)]))
    assert found.tolist() == [*range(6_000), 6_001, 6_000]
    assert keys.find("ab" * 8 + "03" * 8) is None


def test_a_column_keeps_its_rows_while_it_grows():
    column, expected = Column(np.int32), []
    for size in (3, 0, 1, 1000, 7):
        rows = np.arange(size) + len(expected)
        column.add(rows)
        expected += rows.tolist()
        assert column.all.tolist() == expected
        assert len(column) == len(expected)

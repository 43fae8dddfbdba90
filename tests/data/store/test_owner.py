"""Votes through the owner: safe before they are acknowledged, once, and refused with a reason."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data.errors import UserError
from data.store import Owner, Store, writing
from data.store.journal import Journal
from data.votes import live_votes

from .engines import both
from .material import PAIRS, candidate, vote


@both
def test_a_vote_is_stored_with_the_owners_time(path: Path) -> None:
    with Store.own(path, clock=lambda: 1_700_000_000_000) as owner:
        cast = vote()
        receipt = owner.vote(cast)
        assert (receipt.status, receipt.sequence) == ("stored", 1)
        assert receipt.time_ms == 1_700_000_000_000
        assert owner.all("votes") == [replace(cast, time_ms=1_700_000_000_000)]
        assert owner.vote(vote(PAIRS[1], time_ms=5)).time_ms == 5  # an imported one keeps its own


def test_the_clock_never_steps_back(path: Path) -> None:
    times = iter([100, 90, 80, 110, 120, 130, 140])
    with Store.own(path, clock=lambda: next(times)) as owner:  # the first one opens the file
        stamped = [owner.vote(vote(PAIRS[n])).time_ms for n in range(3)]
    assert stamped == [90, 90, 110]


@both
def test_a_retry_counts_once(owner: Owner) -> None:
    cast = vote()
    first, again = owner.vote(cast), owner.vote(cast)
    assert (first.status, again.status) == ("stored", "duplicate")
    assert (first.sequence, first.time_ms) == (again.sequence, again.time_ms)


@both
def test_eight_clicks_at_once_store_one_vote(owner: Owner) -> None:
    cast, start = vote(), threading.Barrier(8)

    def click(_: int) -> str:
        start.wait()
        return owner.vote(cast).status

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(click, range(8)))
    assert statuses == ["duplicate"] * 7 + ["stored"]
    assert owner.count("votes") == 1


@both
def test_a_second_vote_without_revises_is_kept_and_the_newest_stands(owner: Owner) -> None:
    first, second = vote(time_ms=10), vote(time_ms=11, outcome="tie", preferred=None)
    assert owner.vote(first).status == owner.vote(second).status == "stored"
    assert owner.count("votes") == 2
    assert [one.id for one in live_votes(owner.all("votes"))] == [second.id]


@both
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: vote(pair=replace(PAIRS[0], campaign="x")), "does not hold"),
        (lambda: vote(left="f" * 64, preferred="f" * 64), "holds"),
        (lambda: vote(right=PAIRS[0].b), "holds"),
        (lambda: vote(revises="nothing"), "does not hold"),
        (lambda: vote(PAIRS[1], revises="first"), "another pair or by another"),
        (lambda: vote(annotator="eve", revises="first"), "another pair or by another"),
        (lambda: vote(annotator="eve", id="first"), "taken by another vote"),
    ],
)
def test_a_vote_that_does_not_fit_is_refused(
    owner: Owner, wrong: Callable[[], Any], message: str
) -> None:
    owner.vote(vote(id="first"))
    before = _journal(owner)
    with pytest.raises(UserError, match=message):
        owner.vote(wrong())
    with pytest.raises(UserError, match=message):
        owner.add([vote(PAIRS[3]), wrong()])
    assert [one.id for one in owner.all("votes")] == ["first"]
    assert _journal(owner) == before


def _journal(owner: Owner) -> bytes:
    file = owner.path.with_name("prefs.duckdb.journal")  # PostgreSQL has none
    return file.read_bytes() if file.exists() else b""


@both
def test_votes_in_bulk_may_revise_each_other(owner: Owner) -> None:
    votes = [vote(PAIRS[n % 15], f"a{n // 15}", id=f"v{n}", time_ms=n + 1) for n in range(150)] + [
        vote(
            PAIRS[n], "a0", id=f"u{n}", outcome="undo", preferred=None, revises=f"v{n}", time_ms=999
        )
        for n in range(15)
    ]
    assert owner.add(votes) == 165
    assert owner.add(votes) == 0
    assert owner.all("votes") == votes
    assert len(live_votes(owner.all("votes"))) == 135


def test_an_error_in_the_transaction_reaches_the_caller(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(cursor: duckdb.DuckDBPyConnection, *rest: object) -> None:
        cursor.execute("INSERT INTO votes SELECT no_such_column")

    cast = vote()
    with monkeypatch.context() as patch:
        patch.setattr(writing, "insert_votes", fail)
        patch.setattr(writing, "insert_entries", fail)  # replaying does not help either
        with pytest.raises(duckdb.Error, match="no_such_column"):
            owner.vote(cast)
    # It was in the journal already: the next start puts it into the table, and a retry says so.
    assert owner.vote(cast).status == "duplicate"
    assert owner.count("votes") == 1


def test_a_failure_that_passes_is_mended_without_the_caller(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = writing.insert_votes, []

    def fail_once(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise duckdb.FatalException("the database has been invalidated")
        real(*arguments)

    monkeypatch.setattr(writing, "insert_votes", fail_once)
    assert owner.vote(vote()).status == "stored"
    assert owner.count("votes") == 1
    assert owner.vote(vote(PAIRS[1])).sequence == 2


def test_a_full_disk_refuses_the_vote_and_leaves_the_journal_whole(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.vote(vote())
    journal = owner.path.with_name("prefs.duckdb.journal")
    before, real = journal.read_bytes(), os.write

    def half(file: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(28, "No space left on device")
        return real(file, data[:-50])

    with monkeypatch.context() as patch:
        patch.setattr("data.store.journal.os.write", half)
        with pytest.raises(UserError, match=r"No space left.*nothing was stored"):
            owner.vote(vote(PAIRS[1]))
    assert journal.read_bytes() == before
    assert owner.vote(vote(PAIRS[1])).sequence == 2


@both
def test_records_are_all_added_or_none(owner: Owner) -> None:
    with pytest.raises(UserError):
        owner.add([candidate(77), vote(revises="nothing")])
    assert owner.count("candidates") == 6


def test_a_second_owner_is_refused_with_the_pid(owner: Owner) -> None:
    with pytest.raises(UserError, match=f"owned by process {os.getpid()}"):
        Store.own(owner.path)


@both
def test_a_closed_owner_says_so_and_frees_the_file(path: Path) -> None:
    owner = Store.own(path)
    owner.close()
    owner.close()
    with pytest.raises(UserError, match="closed"):
        owner.vote(vote())
    with Store.own(path) as next_one:
        assert next_one.count("votes") == 0


def test_readers_do_not_wait_for_the_writer(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, leave, real = threading.Event(), threading.Event(), Journal.extend

    def slow(*arguments: Any, **named: Any) -> Any:
        entered.set()
        leave.wait(10)
        return real(*arguments, **named)

    monkeypatch.setattr(Journal, "extend", slow)
    voting = threading.Thread(target=owner.vote, args=(vote(),))
    voting.start()
    entered.wait(10)
    assert owner.count("votes") == 0
    with Store.open(owner.path) as store:  # a snapshot in the middle of a vote
        assert store.sequence == 0
    leave.set()
    voting.join()
    assert owner.sequence == 1


def test_votes_that_wait_share_one_sync_and_one_transaction(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One vote is being written; ten more arrive; they are written together, each answered."""
    entered, leave, real, groups = threading.Event(), threading.Event(), Journal.extend, []

    def slow(journal: Journal, payloads: list[str], **named: Any) -> Any:
        groups.append(len(payloads))
        entered.set()
        leave.wait(10)
        return real(journal, payloads, **named)

    monkeypatch.setattr(Journal, "extend", slow)
    votes = [vote(PAIRS[n], f"a{n}", id=f"v{n}") for n in range(11)]
    with ThreadPoolExecutor(11) as pool:
        first = pool.submit(owner.vote, votes[0])
        entered.wait(10)
        rest = [pool.submit(owner.vote, one) for one in votes[1:]]
        while owner._turns._queue.qsize() < 10:
            time.sleep(0.001)
        leave.set()
        receipts = [first.result(), *(one.result() for one in rest)]
    assert groups == [1, 10]
    assert {receipt.status for receipt in receipts} == {"stored"}
    assert sorted(receipt.sequence for receipt in receipts) == list(range(1, 12))


def test_a_vote_that_is_refused_spoils_no_other_of_its_group(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, leave, real = threading.Event(), threading.Event(), Journal.extend

    def slow(*arguments: Any, **named: Any) -> Any:
        entered.set()
        leave.wait(10)
        return real(*arguments, **named)

    monkeypatch.setattr(Journal, "extend", slow)
    good = vote(PAIRS[1], id="good")
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(owner.vote, vote(id="first"))
        entered.wait(10)
        wrong = pool.submit(owner.vote, vote(id="wrong", revises="nothing"))
        twice = [pool.submit(owner.vote, good) for _ in range(2)]
        foreign = pool.submit(owner.vote, vote(annotator="eve", id="good"))
        while owner._turns._queue.qsize() < 4:
            time.sleep(0.001)
        leave.set()
        assert first.result().status == "stored"
        assert sorted(one.result().status for one in twice) == ["duplicate", "stored"]
        with pytest.raises(UserError, match="does not hold"):
            wrong.result()
        with pytest.raises(UserError, match="taken by another vote"):
            foreign.result()
    assert sorted(one.id for one in owner.all("votes")) == ["first", "good"]

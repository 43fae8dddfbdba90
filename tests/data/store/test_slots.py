"""Slots and leases: the last one is handed out once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data.store import Lease, Owner, Store, add, reading
from data.store.slots import Slots

from .engines import both
from .material import PAIRS, vote

FIRST, SECOND = PAIRS[0], PAIRS[1]
RANKED = [FIRST.id, SECOND.id]


def claim(owner: Owner, annotator: str, *, redundancy: int = 1, now: int = 0) -> Lease | None:
    return owner.claim(annotator, RANKED, redundancy=redundancy, seconds=60, now=now)


def pair_of(lease: Lease | None) -> str | None:
    return None if lease is None else lease.pair


@both
def test_twelve_race_for_the_last_slot(owner: Owner) -> None:
    start = threading.Barrier(12)

    def race(number: int) -> Lease | None:
        start.wait()
        return owner.claim(f"a{number}", [FIRST.id], redundancy=1, seconds=60)

    with ThreadPoolExecutor(12) as pool:
        leases = list(pool.map(race, range(12)))
    assert sum(lease is not None for lease in leases) == 1


@both
def test_each_pair_may_want_another_number_of_people(owner: Owner) -> None:
    wanted = {FIRST.id: 1, SECOND.id: 3}
    owner.vote(vote(FIRST, "ann"))
    start = threading.Barrier(12)

    def race(number: int) -> str | None:
        start.wait()
        return pair_of(owner.claim(f"a{number}", RANKED, redundancy=wanted.__getitem__, seconds=60))

    with ThreadPoolExecutor(12) as pool:
        got = list(pool.map(race, range(12)))
    assert (got.count(FIRST.id), got.count(SECOND.id), got.count(None)) == (0, 3, 9)
    wanted[FIRST.id] = 2  # the answers disagreed: one more
    with ThreadPoolExecutor(12) as pool:
        got = list(pool.map(race, range(20, 32)))
    assert (got.count(FIRST.id), got.count(None)) == (1, 11)


@both
def test_who_does_not_count_fills_no_slot(owner: Owner) -> None:
    owner.vote(vote(FIRST, "mallory"))
    claim(owner, "trudy", now=0)  # the second pair is kept for trudy
    assert pair_of(claim(owner, "ann")) is None

    def free(who: str) -> str | None:
        return pair_of(
            owner.claim(who, RANKED, redundancy=1, seconds=60, ignoring={"mallory", "trudy"}, now=0)
        )

    assert free("mallory") == SECOND.id  # their own pair is not asked again
    with ThreadPoolExecutor(12) as pool:
        got = list(pool.map(free, [f"a{number}" for number in range(12)]))
    assert sorted(one for one in got if one) == sorted(RANKED)


@both
def test_an_open_lease_comes_back_prolonged(owner: Owner) -> None:
    first, again = claim(owner, "ann", now=0), claim(owner, "ann", now=5_000)
    assert first is not None
    assert again is not None
    assert (first.id, first.pair, first.expires_ms) == (again.id, FIRST.id, 60_000)
    assert again.expires_ms == 65_000


@both
def test_a_lease_expires_and_can_be_released(owner: Owner) -> None:
    held = claim(owner, "ann", now=0)
    assert pair_of(claim(owner, "bob", now=59_999)) == SECOND.id
    assert pair_of(claim(owner, "cy", now=59_999)) is None
    assert pair_of(claim(owner, "cy", now=60_000)) == FIRST.id
    assert held is not None
    assert not owner.release(held.id)
    bobs = next(lease for lease in owner.leases(now=60_000) if lease.annotator == "bob")
    assert owner.release(bobs.id)
    assert pair_of(claim(owner, "dee", now=60_000)) == SECOND.id


@both
def test_a_vote_fills_the_slot_and_ends_the_lease(owner: Owner) -> None:
    claim(owner, "ann")
    owner.vote(vote(FIRST, "ann"))
    assert owner.leases(now=0) == []
    assert pair_of(claim(owner, "ann")) == SECOND.id
    assert pair_of(claim(owner, "bob")) is None  # one voted on, the other kept for ann
    assert pair_of(claim(owner, "bob", redundancy=2)) == FIRST.id


@both
def test_a_skip_fills_no_slot_but_is_not_asked_again(owner: Owner) -> None:
    owner.vote(vote(FIRST, "ann", outcome="skip", preferred=None))
    assert pair_of(claim(owner, "ann")) == SECOND.id
    assert pair_of(claim(owner, "bob")) == FIRST.id


@both
def test_an_undo_frees_the_slot(owner: Owner) -> None:
    cast = vote(FIRST, "ann")
    owner.vote(cast)
    assert pair_of(claim(owner, "bob")) == SECOND.id
    owner.vote(vote(FIRST, "ann", outcome="undo", preferred=None, revises=cast.id))
    assert pair_of(claim(owner, "cy")) == FIRST.id


@both
def test_a_changed_mind_fills_one_slot(owner: Owner) -> None:
    cast = vote(FIRST, "ann")
    owner.vote(cast)
    owner.vote(vote(FIRST, "ann", revises=cast.id))
    assert pair_of(claim(owner, "bob", redundancy=2)) == FIRST.id
    assert pair_of(claim(owner, "cy", redundancy=2)) == SECOND.id


def test_standing_votes_are_known_after_a_restart(owner: Owner) -> None:
    kept, undone = vote(FIRST, "ann"), vote(SECOND, "ann")
    undo = vote(SECOND, "ann", outcome="undo", preferred=None, revises=undone.id)
    owner.add([kept, undone, undo])
    slots = Slots()
    with owner._reading() as cursor:
        slots.load(reading.standing_votes(cursor))
    lease = slots.claim("bob", RANKED, redundancy=1, ms=1, now_ms=0)
    assert pair_of(lease) == SECOND.id
    assert pair_of(claim(owner, "bob")) == SECOND.id


def test_the_app_loads_them_as_it_starts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first person of the day does not wait for it, and no command that writes does it."""
    add(path, [vote(FIRST, "ann")])
    loads, real = [], reading.standing_votes
    monkeypatch.setattr(reading, "standing_votes", lambda it: loads.append(1) or real(it))
    add(path, [vote(FIRST, "bob")])
    assert loads == []
    with Store.own(path) as owner:
        owner.vote(vote(FIRST, "cy"))
        owner._do(lambda: None)  # takes its turn after the loading
        assert loads == [1]
        assert pair_of(claim(owner, "dee", redundancy=3)) == SECOND.id
        assert loads == [1]


@both
def test_no_more_of_the_ranking_is_read_than_needed(owner: Owner) -> None:
    def ranked() -> Iterator[str]:
        yield FIRST.id
        raise AssertionError("read on")

    assert pair_of(owner.claim("ann", ranked(), redundancy=1, seconds=1)) == FIRST.id


@both
def test_a_restart_keeps_no_lease_and_over_covering_is_allowed(owner: Owner) -> None:
    claim(owner, "ann", now=0)
    owner.vote(vote(FIRST, "bob"))  # no lease, and the slot was kept for ann: still stored
    assert owner.vote(vote(FIRST, "ann")).status == "stored"

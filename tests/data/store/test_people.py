"""Who may sign in, on both engines: kept apart from the votes, in a file for its owner only."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.errors import UserError
from data.store import Store, add
from data.store.__main__ import main
from data.store.entrances import Invitation
from data.store.people import Account, People, spelling
from data.store.people_schema import Role
from tests.data.store.test_erase import holding

from .engines import both
from .material import PAIRS, vote

HOUR = 3600 * 1000
DAY = 24 * HOUR


def account(name: str, role: Role = "annotator", **rest: Any) -> Account:
    values = {"id": f"p-{name.lower()}", "spelling": name.lower(), "since_ms": 5, **rest}
    return Account(name=name, role=role, **values)


ADA, BO = account("Ada", "admin", password="$hash"), account("Bo")


@pytest.fixture
def people(path: Any) -> Iterator[People]:
    register = People.of(path)
    yield register
    register.close()


@pytest.fixture
def crowd(people: People) -> People:
    for one in (ADA, BO):
        people.add(one)
    return people


def test_a_spelling_is_one_for_all_that_look_alike():
    assert spelling("  Ａda\u202e\tB\x00 ") == "ada b"
    assert spelling("\ud800") == ""


@both
def test_accounts_are_off_until_the_first_person_who_is_an_admin(people: People, path: Any):
    assert not people.on
    assert people.all() == []
    with pytest.raises(UserError, match="first person must be an admin"):
        people.add(BO)
    assert not People.of(path).on
    people.add(ADA)
    people.add(BO)
    assert people.on
    assert People.of(path).all() == [ADA, BO]


def test_nothing_is_made_by_looking(path: Path):
    register = People.of(path)
    assert not register.on
    assert register.named("ada") is None
    assert not path.with_name("prefs.duckdb.people").exists()


def test_the_files_are_for_their_owner_only(crowd: People, path: Path):
    crowd.sessions.begin("fingerprint", ADA.id, now_ms=0, until_ms=DAY)
    files = list(path.parent.glob("prefs.duckdb.people*"))
    assert {file.name[12:] for file in files} == {".people", ".people-wal", ".people-shm"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


@both
def test_a_name_and_an_id_belong_to_one_person(crowd: People):
    with pytest.raises(UserError, match="There is a Bo already"):
        crowd.add(account("Bo", id="p-other"))
    with pytest.raises(UserError, match="belong to somebody else"):
        crowd.add(account("Cy", id=BO.id))
    assert len(crowd.all()) == 2


@both
def test_somebody_can_always_let_the_others_in(crowd: People):
    for act in (
        lambda: crowd.set_role(ADA.id, "lead"),
        lambda: crowd.set_active(ADA.id, active=False),
    ):
        with pytest.raises(UserError, match="nobody with the role admin"):
            act()
    assert crowd.get(ADA.id) == ADA
    crowd.set_role(BO.id, "admin")
    crowd.set_active(ADA.id, active=False)
    assert crowd.get(ADA.id) == replace(ADA, active=False)


@both
def test_a_session_slides_and_ends(crowd: People):
    begin = {"now_ms": 0, "until_ms": 30 * DAY}
    crowd.sessions.begin("s", BO.id, **begin)
    assert crowd.signed_in("s", now_ms=1, until_ms=30 * DAY + 1) == BO
    assert crowd.signed_in("t", now_ms=1, until_ms=30 * DAY + 1) is None
    # used on day 20: good until day 50; then not used any more
    assert crowd.signed_in("s", now_ms=20 * DAY, until_ms=50 * DAY) == BO
    assert crowd.signed_in("s", now_ms=50 * DAY - 1, until_ms=50 * DAY) == BO
    assert crowd.signed_in("s", now_ms=50 * DAY, until_ms=80 * DAY) is None


@both
def test_sessions_end_on_the_server(crowd: People):
    def begun(*names: str) -> None:
        for name in names:
            crowd.sessions.begin(name, BO.id, now_ms=0, until_ms=DAY)

    def open_ones() -> list[str]:
        return [one for one in "abcd" if crowd.signed_in(one, now_ms=1, until_ms=DAY)]

    crowd.sessions.begin("ada", ADA.id, now_ms=0, until_ms=DAY)
    begun(*"abc")
    crowd.sessions.end("b")
    assert open_ones() == ["a", "c"]
    crowd.set_password(BO.id, "$new", keep="c")
    assert open_ones() == ["c"]
    begun("d")
    crowd.sessions.end_all(BO.id)
    assert open_ones() == []
    begun("a")
    crowd.set_active(BO.id, active=False)
    assert open_ones() == []
    crowd.set_active(BO.id, active=True)
    assert open_ones() == []
    assert crowd.signed_in("ada", now_ms=1, until_ms=DAY) == ADA


@both
def test_a_token_is_good_until_it_is_revoked_or_its_holder_is_shut_out(crowd: People):
    crowd.tokens.give("one", BO.id, now_ms=0)
    crowd.tokens.give("two", BO.id, now_ms=0)
    assert crowd.holding("one") == BO
    crowd.set_active(BO.id, active=False)
    assert crowd.holding("one") is None
    crowd.set_active(BO.id, active=True)
    assert crowd.tokens.count(BO.id) == 2
    assert crowd.tokens.revoke(BO.id) == 2
    assert crowd.holding("one") is None
    assert crowd.tokens.revoke(BO.id) == 0


@both
def test_an_invitation_works_once_and_not_for_ever(crowd: People):
    for key, expires_ms in (("aa1", 10), ("bb2", 20)):
        crowd.invitations.add(Invitation(hash=key, role="lead", name="", expires_ms=expires_ms))
    assert [one.hash for one in crowd.invitations.open(now_ms=9)] == ["aa1", "bb2"]
    assert [one.hash for one in crowd.invitations.open(now_ms=10)] == ["bb2"]
    assert not crowd.accept("aa1", account("Cy", "lead"), now_ms=10)
    with pytest.raises(UserError, match="already"):
        crowd.accept("bb2", account("Bo", id="p-x"), now_ms=11)
    assert crowd.accept("bb2", account("Cy", "lead"), now_ms=11)
    assert not crowd.accept("bb2", account("Di", "lead"), now_ms=11)
    assert [one.name for one in crowd.all()] == ["Ada", "Bo", "Cy"]
    crowd.invitations.add(Invitation(hash="cc3", role="lead", name="", expires_ms=20))
    assert crowd.invitations.withdraw("cc") == 1
    assert not crowd.accept("cc3", account("Di", "lead"), now_ms=11)


@both
def test_two_who_hold_the_same_invitation_do_not_both_come_in(crowd: People, path: Any):
    crowd.invitations.add(Invitation(hash="k", role="lead", name="", expires_ms=20))
    registers = [People.of(path) for _ in range(4)]
    came: list[bool] = []

    def come(number: int) -> None:
        came.append(registers[number].accept("k", account(f"G{number}"), now_ms=1))

    threads = [threading.Thread(target=come, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for register in registers:
        register.close()
    assert sorted(came) == [False, False, False, True]
    assert len(crowd.all()) == 3


@both
def test_tries_are_counted_per_subject_and_forgotten(people: People):
    people.add(ADA)

    def attempt(now_ms: int, name: str = "name a") -> int:
        return people.tries.allow({name: 2, "address": 3}, now_ms=now_ms, window_ms=100)

    assert [attempt(0), attempt(10)] == [0, 0]
    assert attempt(20) == 80  # the one at 0 is forgotten at 100
    assert attempt(99) == 1  # and refused ones did not count
    assert attempt(99, "name b") == 0  # the third of this address
    assert attempt(99, "name c") == 1
    assert attempt(101) == 0
    people.tries.right("name a", "address", time_ms=101)
    # of the address 10 and 99 are left, of "name a" nothing
    assert attempt(102) == 0
    assert attempt(103) == 7  # the address: 10 is forgotten at 110


@both
def test_a_removed_person_is_gone_and_accounts_stay_on(crowd: People, path: Any):
    crowd.sessions.begin("s", ADA.id, now_ms=0, until_ms=DAY)
    crowd.tokens.give("t", ADA.id, now_ms=0)
    assert crowd.remove(ADA.id)
    assert not crowd.remove(ADA.id)
    assert crowd.all() == [BO]
    assert crowd.signed_in("s", now_ms=1, until_ms=DAY) is None
    assert crowd.holding("t") is None
    crowd.remove(BO.id)
    assert People.of(path).on


def test_erasing_takes_name_and_password_out_of_every_file(crowd: People, path: Path, capsys):
    crowd.add(account("Zoë Quibble", id="p-0123456789", password="$argon2id$zoe"))
    crowd.sessions.begin("s", "p-0123456789", now_ms=0, until_ms=DAY)
    add(path, [vote(PAIRS[0], "p-0123456789", id="v1")])
    assert main(["erase", "zoë  quibble", "--db", str(path)]) == 0
    assert "nobody's account" in capsys.readouterr().out
    words = ("Zoë", "zoë", "Quibble", "p-0123456789", "$argon2id$zoe")
    assert path.with_name("prefs.duckdb.people-wal").exists()  # the app is still there
    assert holding(path.parent, *words) == []
    assert [one.name for one in People.of(path).all()] == ["Ada", "Bo"]
    with Store.open(path) as store:
        (left,) = store.all("votes")
    assert left.annotator.startswith("erased-")


def test_somebody_without_votes_is_erased_too(crowd: People, path: Path):
    assert main(["erase", "Bo", "--db", str(path)]) == 0
    assert [one.name for one in crowd.all()] == ["Ada"]
    assert main(["erase", "Bo", "--db", str(path)]) == 2


def test_a_file_that_is_none_of_ours_is_named(path: Path):
    file = path.with_name("prefs.duckdb.people")
    file.write_text("not a database at all, and longer than a header of one would be" * 4)
    with pytest.raises(UserError, match=r"prefs\.duckdb\.people cannot be used"):
        People.of(path).all()
    file.unlink()
    with sqlite3.connect(file) as newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(UserError, match="version 99"):
        People.of(path).all()

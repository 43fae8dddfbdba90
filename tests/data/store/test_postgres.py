"""What only PostgreSQL has: several replicas at once, a server that restarts, and its own ways."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from data.errors import UserError
from data.provenance import plain
from data.records import KINDS, Prompt, Record
from data.store import Store, add, postgres_schema
from data.store.journal import chained, genesis, salted
from data.store.replica import Replica
from data.store.rows import vote_payload

from .cluster import NoServerError, Server, programs
from .conftest import fresh_url
from .material import PAIRS, SCORES, WORLD, candidate, excluded, vote


def rows(place: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(place, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def test_one_person_on_two_replicas_gets_one_lease(url: str) -> None:
    with Store.own(url) as one, Store.own(url) as other:
        wanted = [pair.id for pair in PAIRS]
        with ThreadPoolExecutor(8) as pool:
            leases = list(
                pool.map(
                    lambda n: (one, other)[n % 2].claim("ann", wanted, redundancy=1, seconds=60),
                    range(8),
                )
            )
        assert len({lease.id for lease in leases if lease}) == 1
        assert len(other.leases()) == 1
        assert one.vote(vote(PAIRS[0], "ann")).status == "stored"
        assert other.leases() == []
        assert other.vote(vote(PAIRS[0], "bob")).sequence == 2


def test_nobody_is_turned_away_by_a_lock_alone(url: str) -> None:
    """A replica holds the pair's row but takes no lease: the others wait for it, then get it."""
    with Store.own(url) as owner, psycopg.connect(url) as other:
        other.execute("SELECT id FROM pairs WHERE id = %s FOR UPDATE", [PAIRS[0].id])
        threading.Timer(0.3, other.rollback).start()
        lease = owner.claim("ann", [PAIRS[0].id], redundancy=1, seconds=60)
        assert lease is not None
        other.execute("SELECT id FROM pairs WHERE id = %s FOR UPDATE", [PAIRS[1].id])
        ranked = [PAIRS[1].id, PAIRS[2].id]
        passed_over = owner.claim("bob", ranked, redundancy=1, seconds=60)
        assert passed_over is not None
        assert passed_over.pair == PAIRS[2].id


def test_a_server_that_restarts_is_waited_for(postgres: Server, url: str) -> None:
    with Store.own(url) as owner, Store.open(url) as view:
        owner.vote(vote(PAIRS[0]))
        postgres.stop("immediate")  # as a crash: recovers from its log
        back = threading.Timer(0.5, postgres.start)
        back.start()
        try:
            assert owner.vote(vote(PAIRS[1])).sequence == 2
        finally:
            back.join()
        assert view.count("votes") == 0
        assert owner.count("votes") == 2


def test_a_lost_answer_to_a_commit_is_no_second_vote(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.own(url) as owner:
        assert isinstance(owner, Replica)
        real, calls = owner._link._once, []

        def once(task: Callable[[Any], Any]) -> Any:
            calls.append(task)
            result = real(task)
            if len(calls) == 1:
                raise psycopg.OperationalError("server closed the connection unexpectedly")
            return result

        monkeypatch.setattr(owner._link, "_once", once)
        assert owner.vote(vote()).status == "stored"
        assert owner.count("votes") == 1


def test_equal_content_has_equal_digests_on_both_engines(url: str, tmp_path: Path) -> None:
    more = [
        vote(PAIRS[0], time_ms=5, reason='comma, "quote"\r\nline \\. \\N 🔴', seconds=0.1 + 0.2),
        vote(PAIRS[1], time_ms=6, outcome="skip", preferred=None),
        candidate(9, seed=None, model="", fps=1e-300),
        replace(SCORES[0], value=-0.0),
        replace(SCORES[1], value=1e22),
        Prompt(text="NA", source="null"),
    ]
    file = tmp_path / "p.duckdb"
    add(url, more)
    add(file, [*WORLD, *more])
    with Store.open(url) as there, Store.open(file) as here:
        for kind in KINDS:
            assert there.all(kind) == here.all(kind), kind
            assert there.digest(kind) == here.digest(kind), kind
            assert there.frame(kind).schema == here.frame(kind).schema, kind


def test_labels_are_those_of_a_file(url: str, tmp_path: Path) -> None:
    more: list[Record] = [excluded("a2"), replace(PAIRS[0], strategy="repeat:x")]
    more += [
        vote(PAIRS[n % 9], f"a{n % 4}", id=f"v{n}", time_ms=n + 1, unusable=n % 7 == 0)
        for n in range(40)
    ]
    file = tmp_path / "p.duckdb"
    add(url, more)
    add(file, [*WORLD, *more])
    with Store.open(url) as there, Store.open(file) as here:
        for source in ("auto", "human"):
            assert there.labels(source).equals(here.labels(source))
            assert there.left_out(source) == here.left_out(source)
        assert there.labels("human").height > 3


def test_the_chain_of_all_replicas_verifies(url: str) -> None:
    with Store.own(url) as one, Store.own(url) as other, ThreadPoolExecutor(4) as pool:
        owners = (one, other)
        list(pool.map(lambda n: owners[n % 2].vote(vote(PAIRS[n % 15], f"a{n}")).status, range(20)))
        votes = other.all("votes")
    links = rows(url, 'SELECT seq, salt, "chain" FROM votes ORDER BY seq')
    chain = genesis(rows(url, 'SELECT "value" FROM meta WHERE "key" = \'database\'')[0][0])
    for cast, (seq, salt, link) in zip(votes, links, strict=True):
        chain = chained(chain, seq, salted(salt, vote_payload(cast)))
        assert chain == link
    assert [one.time_ms for one in votes] == sorted(one.time_ms for one in votes)


def test_the_clock_never_steps_back_over_replicas(url: str) -> None:
    with Store.own(url, clock=lambda: 1000) as one, Store.own(url, clock=lambda: 900) as other:
        stamped = [owner.vote(vote(PAIRS[n])).time_ms for n, owner in enumerate((one, other, one))]
    assert stamped == [1000, 1000, 1000]


def test_replicas_that_start_at_once_make_the_tables_once(postgres: Server) -> None:
    place = fresh_url(postgres)
    with ThreadPoolExecutor(6) as pool:
        owners = list(pool.map(lambda _: Store.own(place), range(6)))
    for owner in owners:
        assert owner.count("pairs") == 0
        owner.close()
    assert rows(place, "SELECT count(*) FROM schema_version") == rows(
        place, "SELECT count(DISTINCT version) FROM schema_version"
    )
    assert rows(place, "SELECT count(*) FROM heads") == [(len(KINDS),)]


def test_a_newer_or_changed_schema_is_refused(url: str) -> None:
    rows(url, "INSERT INTO schema_version VALUES (99, 'later', 'x', 0) RETURNING 1")
    with pytest.raises(UserError, match=r"step 99.*update this one"):
        Store.own(url)
    with pytest.raises(UserError, match="update this one"):
        Store.open(url)
    rows(url, "DELETE FROM schema_version WHERE version = 99 RETURNING 1")
    rows(url, "UPDATE schema_version SET sha256 = 'edited' WHERE version = 1 RETURNING 1")
    with pytest.raises(UserError, match="changed copy"):
        add(url, WORLD)


def test_an_older_server_is_told_and_brought_up_to_date(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = fresh_url(postgres)
    with monkeypatch.context() as older:
        lists = {name: steps[:1] for name, steps in postgres_schema._LISTS.items()}
        older.setattr(postgres_schema, "_LISTS", lists)
        with Store.own(place) as owner:
            owner.add(WORLD)
    rows(place, "DELETE FROM heads WHERE kind = 'decisions' RETURNING 1")
    with (
        Store.open(place) as store,
        pytest.raises(UserError, match=r"older program.*Start the app"),
    ):
        store.all("pairs")
    with Store.own(place) as owner:
        assert owner.add([excluded("ann"), vote()]) == 2
        assert owner.count("pairs") == len(PAIRS)
    assert rows(place, "SELECT newest FROM heads WHERE kind = 'decisions'") == [(1,)]
    done = rows(place, "SELECT count(*) FROM postgres_version")
    assert done == [(len(postgres_schema.STEPS),)]


def test_an_empty_database_says_what_to_run(postgres: Server) -> None:
    place = fresh_url(postgres)
    with Store.open(place) as store:
        with pytest.raises(UserError, match=r"no tables yet.*train\.sample"):
            store.all("pairs")
        assert store.add(WORLD) == len(WORLD)
        assert store.count("pairs") == len(PAIRS)
    with pytest.raises(UserError, match="closed"):
        store.count("pairs")


def test_a_server_that_loses_commits_is_refused(postgres: Server, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf(), pg_sleep(0.2)")
            with pytest.raises(UserError, match="fsync = on"):
                Store.own(url)
        finally:
            connection.execute("ALTER SYSTEM RESET fsync")
            connection.execute("SELECT pg_reload_conf(), pg_sleep(0.2)")
    weak = url.replace("options=", "options=-c%20synchronous_commit%3Doff%20")
    with Store.own(weak) as owner:
        assert isinstance(owner, Replica)
        setting = "SELECT current_setting('synchronous_commit')"
        assert owner._link.attempt(lambda cursor: cursor.execute(setting).fetchall()) == [("on",)]


def test_messages_name_the_server_and_not_the_password() -> None:
    with pytest.raises(UserError, match=r"postgresql://ann@127\.0\.0\.1:1/prefs cannot be") as told:
        Store.own("postgresql://ann:secret@127.0.0.1:1/prefs?connect_timeout=2")
    assert "secret" not in str(told.value)
    assert plain({"db": "postgresql://ann:secret@h:5/p?sslmode=require"}) == {
        "db": "postgresql://ann@h:5/p"
    }
    assert plain({"db": "prefs.duckdb"}) == {"db": "prefs.duckdb"}


def test_what_it_cannot_hold_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="NUL"):
        add(url, [Prompt(text="a\0b")])
    with Store.own(url) as owner:
        with pytest.raises(UserError, match="NUL"):
            owner.vote(vote(reason="a\0b"))
        assert owner.vote(vote(watched={"a\0b": 1})).status == "stored"  # JSON escapes it
        with pytest.raises(UserError, match=r"data\.pull"):
            owner.publish_snapshot()


def test_without_a_server_the_reason_and_the_command_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    with pytest.raises(NoServerError, match="apt-get install postgresql"):
        programs()


def test_every_method_of_an_owner_is_one_of_a_replica() -> None:
    """Nothing of the file's engine is reached: what is inherited only calls what is replaced."""
    from data.store.owner import Owner
    from data.store.postgres import PostgresStore

    inherited = {
        name
        for name in dir(Owner)
        if not name.startswith("_")
        and name not in vars(Replica)
        and name not in vars(PostgresStore)
    }
    assert inherited <= {"all", "pair", "open", "own"}, inherited

"""Real databases with real clips; the clips are made once and shared."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from annotate import people, server
from annotate.desk import Desk
from annotate.protocol import Protocol
from data.records import Record
from data.store import Store, add
from tests.annotate.browsing import Profiles, Visit, served
from tests.annotate.site import PASSWORD, Site, besieged, sign_in
from tests.annotate.world import fill

PAIRS = 8


@dataclass(frozen=True)
class World:
    """Records of scored pairs, and the folder with their clips."""

    records: list[Record]
    clips: Path


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    return World(fill(folder / "prefs.duckdb", PAIRS), folder / "prefs.clips")


@pytest.fixture(scope="session")
def make_db(world: World) -> Callable[..., Path]:
    """Makes a database in a folder, with the shared clips beside it."""

    def made(folder: Path, records: list[Record] | None = None) -> Path:
        (folder / "prefs.clips").symlink_to(world.clips)
        add(folder / "prefs.duckdb", world.records if records is None else records)
        return folder / "prefs.duckdb"

    return made


@pytest.fixture
def db(make_db: Callable[..., Path], tmp_path: Path) -> Path:
    return make_db(tmp_path)


@pytest.fixture
def open_desk() -> Iterator[Callable[..., Desk]]:
    """Opens desks as the app does; they are closed after the test."""
    with ExitStack() as stack:

        def opened(db: Path, **protocol: object) -> Desk:
            return Desk(db, stack.enter_context(Store.own(db)), Protocol(**protocol))

        yield opened


@pytest.fixture(scope="session")
def shown(make_db, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """A site that never hides the score."""
    db = make_db(tmp_path_factory.mktemp("shown"))
    with served(db, blind=0.0, redundancy=99) as address:
        yield address, db


@pytest.fixture(scope="session")
def blind(make_db, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """A site where every pair is answered blind first."""
    db = make_db(tmp_path_factory.mktemp("blind"))
    with served(db, blind=1.0, redundancy=99) as address:
        yield address, db


@pytest.fixture(scope="session")
def profiles(browser) -> Profiles:
    """Browser profiles for all tests of a process."""
    return Profiles(browser)


@pytest.fixture
def visit(profiles) -> Iterator:
    visits: list[Visit] = []

    def opened(address: str, name: str | None = None, **context) -> Visit:
        visits.append(Visit(profiles, address, **context))
        return visits[-1].enter(name) if name else visits[-1]

    yield opened
    for one in visits:
        one.close()


@pytest.fixture
def enter(open_desk, db) -> Iterator[Callable[..., TestClient]]:
    """Makes a client of one app over `db`; it signs in if a name is given."""
    app = server.interface(open_desk(db, blind=0.0, redundancy=1))
    with ExitStack() as stack:

        def entered(name: str = "", password: str = PASSWORD) -> TestClient:
            client = TestClient(app, base_url="http://127.0.0.1:7860")
            stack.callback(client.close)
            if name:
                answer = client.post("/api/signin", json={"name": name, "password": password})
                assert answer.status_code == 200, answer.text
            return client

        yield entered


@pytest.fixture
def command(db, monkeypatch, capsys) -> Callable[..., str]:
    """Runs `python -m annotate.people`; what it says."""

    def ran(*arguments: str, stdin: str = "", code: int = 0) -> str:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        assert people.main([*arguments, "--db", str(db)]) == code
        said = capsys.readouterr()
        return said.out if code == 0 else said.err

    return ran


@pytest.fixture(scope="module")
def attacked(make_db, tmp_path_factory) -> Iterator[Site]:
    """A running app with accounts, for attacks."""
    with besieged(make_db(tmp_path_factory.mktemp("attacked"))) as site:
        yield site


@pytest.fixture
def ann(attacked: Site) -> Iterator[httpx.Client]:
    """An annotator of the attacked app."""
    with sign_in(attacked.address, "Ann") as client:
        yield client


@pytest.fixture
def bob(attacked: Site) -> Iterator[httpx.Client]:
    """Another one."""
    with sign_in(attacked.address, "Bob") as client:
        yield client

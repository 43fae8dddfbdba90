"""Accounts on PostgreSQL: two replicas of the app know the same people and the same sessions."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from fastapi.testclient import TestClient

from annotate import people, server
from annotate.desk import Desk
from annotate.protocol import Protocol
from data.store import Store
from tests.annotate.site import PASSWORD
from tests.data.store import cluster

BODY = {"name": "ada", "password": PASSWORD}


@pytest.fixture
def url() -> Iterator[str]:
    try:
        with cluster.server() as running:
            yield running.url()
    except cluster.NoServerError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_replicas_share_people_sessions_and_tries(url: str, monkeypatch):
    with ExitStack() as stack:

        def replica() -> TestClient:
            owner = stack.enter_context(Store.own(url))
            app = server.interface(Desk(url, owner, Protocol()))
            return stack.enter_context(TestClient(app, base_url="http://127.0.0.1:7860"))

        one, other = replica(), replica()
        assert one.get("/api/me").json()["accounts"] is False
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))
        command = ["add", "Ada", "--role", "admin", "--password-stdin", "--db", url]
        assert people.main(command) == 0
        time.sleep(1.1)  # a replica asks its server once a second whether accounts are on
        assert one.post("/api/signin", json=BODY).json()["role"] == "admin"
        other.cookies.update(one.cookies)
        assert other.get("/api/next").json()["annotator"] == "Ada"
        other.post("/api/signout", json={})
        assert one.get("/api/next").status_code == 401
        wrong = {"name": "ada", "password": "wrong guess"}
        for number in range(10):
            assert (one, other)[number % 2].post("/api/signin", json=wrong).status_code == 401
        assert one.post("/api/signin", json=BODY).status_code == 429
        assert other.post("/api/signin", json=BODY).status_code == 429

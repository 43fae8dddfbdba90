"""The Python client on a running app, with and without accounts, over a line that breaks."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from annotate.client import Client
from annotate.identity import fingerprint
from data.errors import UserError
from data.store import Store
from data.store.people import People
from tests.annotate.conftest import PAIRS
from tests.annotate.site import CROWD, PASSWORD, admit, opened


@pytest.fixture
def site(db: Path) -> Iterator[str]:
    with opened(db, blind=1.0, redundancy=99) as address:
        yield address


def votes(db: Path) -> list:
    with Store.open(db) as store:
        return store.all("votes")


def test_a_script_answers_every_pair_and_keeps_or_changes(site: str, db: Path):
    answers = itertools.cycle(["left", "right", "tie"])
    with Client(site, name="Ada") as client:
        for number, pair in enumerate(client.pairs()):
            assert pair.opinion is None
            assert client.clip(pair.left)[4:8] == b"ftyp"  # MP4
            taken = client.vote(pair, next(answers), strength="clearly", comment=f"№ {number}")
            assert taken.status == "stored"
            assert taken.reveal is not None
            if number % 2:
                client.keep(taken.reveal)
            else:
                client.change(taken.reveal, "tie")
        progress = client.progress()
        first = client.history()[-1]
        lines = [json.loads(line) for line in client.export()]
        table = list(client.export("csv"))
    assert (progress.done, progress.left) == (PAIRS, 0)
    assert (first.answer, first.comment, first.revisions[0].answer) == ("tie", "", "left")
    assert len(lines) == len(table) - 1 == 2 * PAIRS
    assert {line["annotator"] for line in lines} == {"ada"}
    stored = votes(db)
    assert len(stored) == 2 * PAIRS
    assert [vote.reason for vote in stored[:2]] == ["№ 0", "change"]
    assert stored[0].strength == "clearly"
    assert 0 < stored[0].seconds < 60


def test_undo_brings_the_pair_back(site: str):
    with Client(site, name="Ada") as client:
        pair = next(client.pairs())
        client.vote(pair, "left")
        newest = client.progress().newest
        assert newest is not None
        back = client.undo(newest).pair
        assert back is not None
        assert back.prompt == pair.prompt
        assert client.progress().done == 0


def test_a_pair_that_is_passed_over_is_said(site: str):
    with Client(site, name="Ada") as client, pytest.raises(UserError, match="was not answered"):
        for _ in client.pairs():
            pass


class _BrokenLine(httpx.BaseTransport):
    """Delivers every request; loses the first answers, or says that the server is busy."""

    def __init__(self, losses: int, *, busy: bool) -> None:
        self._line, self._losses, self._busy = httpx.HTTPTransport(), losses, busy

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._line.handle_request(request)
        if self._losses and request.url.path == "/api/vote":
            self._losses -= 1
            answer.read()
            if self._busy:
                return httpx.Response(503, text="busy", request=request)
            raise httpx.ReadError("the line broke", request=request)
        return answer


@pytest.mark.parametrize("busy", [False, True])
def test_an_answer_that_was_lost_is_asked_for_again_and_counts_once(site, db, monkeypatch, busy):
    line = _BrokenLine(2, busy=busy)
    monkeypatch.setattr(httpx.Client, "_init_transport", lambda *_, **__: line)
    with Client(site, name="Ada") as client:
        taken = client.vote(next(client.pairs()), "left")
    assert taken.status == "duplicate"  # the first one had arrived
    assert len(votes(db)) == 1


def test_patience_ends_and_the_same_pair_may_be_tried_again(site, db, monkeypatch):
    line = _BrokenLine(99, busy=False)
    monkeypatch.setattr(httpx.Client, "_init_transport", lambda *_, **__: line)
    with Client(site, name="Ada", patience=0.5) as client:
        pair = next(client.pairs())
        with pytest.raises(UserError, match="voting again on the same pair is safe"):
            client.vote(pair, "left")
        line._losses = 0
        assert client.vote(pair, "left").status == "duplicate"
    assert len(votes(db)) == 1


def test_nobody_there_is_one_sentence():
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1 does not answer"):
        Client("http://127.0.0.1:1", name="Ada", patience=0.1)


def test_with_accounts_it_takes_a_token_or_a_password(db: Path):
    ids = admit(db, CROWD)
    People.of(db).tokens.give(fingerprint("sl_x"), ids["Bob"], now_ms=1)
    with opened(db, redundancy=99) as site:
        with pytest.raises(UserError, match=r"sign in with your name and password.*403"):
            Client(site, name="Bob")
        with pytest.raises(UserError, match=r"wrong\. \(HTTP 401\)"):
            Client(site, name="Bob", password="not it, not it")
        with Client(site, token="sl_x") as client:
            client.vote(next(client.pairs()), "skip", skip="unsure")
            with pytest.raises(UserError, match=r"leads and admins.*403"):
                list(client.export())
        with Client(site, name="Lea", password=PASSWORD) as lead:
            (line,) = lead.export()
    assert json.loads(line)["annotator"] == ids["Bob"]


def test_a_malformed_answer_is_refused_with_the_field(site: str):
    with Client(site, name="Ada") as client:
        pair = next(client.pairs())
        with pytest.raises(UserError, match=r"body\.comment: .*2000 characters.*422"):
            client.vote(pair, "left", comment="x" * 2001)

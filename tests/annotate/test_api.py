"""The REST interface: who may do what, and what leaves the server before a blind vote."""

from __future__ import annotations

import json
import uuid

import pytest
from fastapi.testclient import TestClient

from annotate import server
from annotate.desk import Desk
from data.records import Candidate
from data.store import Store
from tests.annotate import world as made


@pytest.fixture
def visit(open_desk, db):
    """Makes a browser that has said its name, on one app per test."""
    clients: list[TestClient] = []
    apps = {}

    def visitor(name: str | None, *, build=server.interface, **protocol) -> TestClient:
        if not apps:
            apps["app"] = build(open_desk(db, **protocol))
        client = TestClient(apps["app"], base_url="http://127.0.0.1:7860")
        clients.append(client)
        if name is not None:
            assert client.post("/api/me", json={"name": name}).status_code == 200
        return client

    yield visitor
    for client in clients:
        client.close()


def cast(client: TestClient, ticket: str, answer: str = "left", **rest):
    body = {"id": str(uuid.uuid4()), "ticket": ticket, "answer": answer, **rest}
    return client.post("/api/vote", json=body)


def test_nobody_is_known_until_they_say_their_name(visit):
    client = visit(None)
    assert client.get("/api/me").json() == {"annotator": None, "role": None, "accounts": False}
    assert client.get("/api/next").status_code == 401
    assert cast(client, "x").status_code == 401
    answer = client.post("/api/me", json={"name": "  Anna "})
    assert answer.json()["annotator"] == "anna"
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "samesite=lax" in answer.headers["set-cookie"].lower()
    me = {"annotator": "anna", "role": "admin", "accounts": False}
    assert client.get("/api/me").json() == me


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, 7, None])
def test_a_name_that_is_none_is_refused(visit, name):
    answer = visit(None).post("/api/me", json={"name": name})
    assert answer.status_code == 422
    assert "set-cookie" not in answer.headers


def test_a_forged_cookie_is_nobody(visit):
    client = visit(None)
    client.cookies.set("second_look", '"anna".forged')
    assert client.get("/api/next").status_code == 401


def test_a_vote_is_stored_and_the_next_pair_comes_with_the_answer(visit, db):
    client = visit("anna", blind=0.0)
    first = client.get("/api/next").json()
    taken = cast(
        client, first["pair"]["ticket"], seconds=3.5, watched={"left": 1.0, "replays": 2}
    ).json()
    assert taken["status"] == "stored"
    assert taken["reveal"] is None
    assert taken["page"]["pair"]["ticket"] != first["pair"]["ticket"]
    assert taken["page"]["progress"]["done"] == 1
    with Store.open(db) as store:
        (vote,) = store.all("votes")
    assert (vote.seconds, vote.watched, vote.exposure) == (
        3.5,
        {"left": 1.0, "replays": 2},
        "shown",
    )


def test_a_repeated_vote_counts_once_and_is_answered_alike(visit, db):
    client = visit("anna", blind=1.0)
    ticket = client.get("/api/next").json()["pair"]["ticket"]
    body = {"id": str(uuid.uuid4()), "ticket": ticket, "answer": "left"}
    one, other = (client.post("/api/vote", json=body).json() for _ in range(2))
    assert (one.pop("status"), other.pop("status")) == ("stored", "duplicate")
    assert one == other
    with Store.open(db) as store:
        assert len(store.all("votes")) == 1


def test_another_persons_pair_and_anothers_vote_are_refused(visit, db):
    anna, bob = visit("anna", blind=0.0), visit("bob")
    ticket = anna.get("/api/next").json()["pair"]["ticket"]
    assert cast(bob, ticket).status_code == 403
    assert cast(anna, ticket + "x").status_code == 403
    page = cast(anna, ticket).json()["page"]
    theft = {"id": str(uuid.uuid4()), "vote": page["progress"]["newest"]}
    assert bob.post("/api/undo", json=theft).status_code == 409
    with Store.open(db) as store:
        assert len(store.all("votes")) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"id": "not a uuid"},
        {"answer": "both"},
        {"seconds": -1},
        {"answers": {"motion": "up"}},
        {"watched": {"left": "a" * 9}},
    ],
)
def test_a_malformed_vote_is_refused_and_nothing_stored(visit, db, change):
    client = visit("anna", blind=0.0)
    ticket = client.get("/api/next").json()["pair"]["ticket"]
    body = {"id": str(uuid.uuid4()), "ticket": ticket, "answer": "left", **change}
    assert client.post("/api/vote", json=body).status_code == 422
    with Store.open(db) as store:
        assert store.all("votes") == []


def test_a_form_of_another_site_cannot_vote(visit):
    client = visit("anna", blind=0.0)
    ticket = client.get("/api/next").json()["pair"]["ticket"]
    body = json.dumps({"id": str(uuid.uuid4()), "ticket": ticket, "answer": "left"})
    answer = client.post("/api/vote", content=body, headers={"content-type": "text/plain"})
    assert answer.status_code == 422


def test_clips_come_whole_and_by_ranges_and_only_to_their_viewer(visit):
    anna, bob = visit("anna"), visit("bob")
    address = anna.get("/api/next").json()["pair"]["left"]
    whole = anna.get(address)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")
    assert "last-modified" not in whole.headers
    part = anna.get(address, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert anna.get(address, headers={"range": "bytes=-5"}).content == whole.content[-5:]
    assert anna.get(address, headers={"range": "bytes=99999999-"}).status_code == 416
    assert anna.get(address, headers={"range": "bytes=0-1,5-6"}).status_code == 206
    assert bob.get(address).status_code == 404
    assert visit(None).get(address).status_code == 401


def test_guessed_names_and_paths_lead_to_no_file(visit, world):
    anna = visit("anna")
    candidate = next(record for record in world.records if isinstance(record, Candidate))
    for guess in (
        "0" * 32,
        candidate.sha256,
        f"{candidate.sha256}.mp4",
        "..%2f..%2fprefs.duckdb",
        "%2e%2e/%2e%2e/prefs.duckdb",
    ):
        assert anna.get(f"/clip/{guess}").status_code in (404, 405)
    for address in ("/page/../session.py", "/page/%2e%2e/session.py", "/prefs.duckdb.secret"):
        assert b"class Session" not in anna.get(address).content
        assert anna.get(address).status_code != 200


def secrets_of(world) -> list[str]:
    """Strings that must not reach the browser before a blind answer."""
    hashes = [record.sha256 for record in world.records if isinstance(record, Candidate)]
    return [made.MODEL, made.ADAPTER, str(made.SEED)[:6], "secret-file", "prefs.clips", *hashes]


def test_a_blind_page_is_blind_down_to_the_network(visit, world):
    client = visit("anna", build=server.build, blind=1.0)
    page = client.get("/api/next").json()
    clip = client.get(page["pair"]["left"])
    answers = [client.get(path) for path in ("/", "/config", "/gradio_api/info", "/api/next")]
    sent = "".join(answer.text + str(answer.headers) for answer in answers) + str(clip.headers)
    for secret in secrets_of(world):
        assert secret not in sent
    assert page["pair"]["opinion"] is None
    assert "margin" not in json.dumps(page)
    taken = cast(client, page["pair"]["ticket"])
    assert taken.json()["reveal"]["opinion"]["margin"] == pytest.approx(0.2)
    assert not any(secret in taken.text for secret in secrets_of(world))


def test_the_reveals_ticket_revises_and_undo_returns_the_pair(visit, db):
    client = visit("anna", blind=1.0)
    pair = client.get("/api/next").json()["pair"]
    reveal = cast(client, pair["ticket"]).json()["reveal"]
    page = cast(client, reveal["ticket"], "right", reason="change").json()["page"]
    with Store.open(db) as store:
        blind, changed = store.all("votes")
    assert (changed.revises, changed.exposure, changed.reason) == (blind.id, "shown", "change")
    undo = {"id": str(uuid.uuid4()), "vote": page["progress"]["newest"]}
    back = client.post("/api/undo", json=undo).json()
    assert back["pair"]["prompt"] == pair["prompt"]
    assert back["pair"]["opinion"] is not None
    assert client.post("/api/undo", json=undo).status_code == 200  # a retry


def test_an_empty_database_says_what_to_run(open_desk, tmp_path):
    app = server.interface(open_desk(tmp_path / "prefs.duckdb"))
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        page = client.post("/api/me", json={"name": "anna"}).json()
    assert page["pair"] is None
    assert page["idle"]["title"] == "No clips yet"
    assert str(tmp_path / "prefs.duckdb") in page["idle"]["steps"][0]["command"]


def test_every_answer_keeps_its_traffic_at_home(visit):
    client = visit("anna", build=server.build)
    policy = client.get("/").headers["content-security-policy"]
    assert "http" not in policy
    assert client.get("/api/next").headers["cache-control"] == "no-store"


def test_a_failing_store_is_a_server_error_that_may_be_retried(visit, monkeypatch):
    client = visit("anna", blind=0.0)
    desk: Desk = client.app.state.desk  # pyright: ignore
    ticket = client.get("/api/next").json()["pair"]["ticket"]

    def full(_vote):
        raise OSError("No space left on device")

    monkeypatch.setattr(desk._owner, "vote", full)
    with pytest.raises(OSError, match="No space"):
        cast(client, ticket)
    monkeypatch.undo()
    assert cast(client, ticket).json()["status"] == "stored"

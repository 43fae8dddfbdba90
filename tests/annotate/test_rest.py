"""The REST interface for scripts: every route, its refusals, the export, what OpenAPI says."""

from __future__ import annotations

import csv
import io
import json
import uuid

import pytest
from fastapi.testclient import TestClient

from annotate import server
from data.records import Pair, Prompt
from tests.annotate.conftest import PAIRS
from tests.annotate.working import one_pair, open_site, with_known

__all__ = ["open_site"]


@pytest.fixture
def visit():
    """Makes a browser at a site, of somebody who has said their name."""
    clients = []

    def visitor(site, name: str | None = "anna", build=server.interface) -> TestClient:
        client = TestClient(build(site.desk), base_url="http://127.0.0.1:7860")
        clients.append(client)
        if name is not None:
            assert client.post("/api/me", json={"name": name}).status_code == 200
        return client

    yield visitor
    for client in clients:
        client.close()


def cast(client: TestClient, page: dict, answer: str = "left", **rest):
    ticket = page["pair"]["ticket"] if page.get("pair") else page["ticket"]
    body = {"id": str(uuid.uuid4()), "ticket": ticket, "answer": answer, **rest}
    return client.post("/api/vote", json=body)


def test_a_script_answers_everything_in_a_few_lines(db, open_site, visit):
    client = visit(open_site(db, blind=0.0))
    page = client.get("/api/next").json()
    answered = 0
    while page["pair"]:
        page = cast(client, page, "tie", seconds=1.5).json()["page"]
        answered += 1
    assert answered == PAIRS
    assert page["idle"]["title"] == "All done"
    progress = client.get("/api/progress").json()
    assert (progress["done"], progress["left"], progress["today"]) == (PAIRS, 0, PAIRS)


def test_the_page_says_how_the_campaign_is_asked(db, open_site, visit, world):
    pair = next(one for one in world.records if isinstance(one, Pair))
    example = {"prompt": "a cat", "better": "left", "why": "it is one"}
    site = open_site(
        db, title="Pilot", guideline="Look.\n\n- twice", questions=("motion", "overall"),
        strength=True, flags=("nsfw",), gate=True,
        examples=[example, {**example, "left": pair.a, "right": pair.b}],
    )  # fmt: skip
    client = visit(site)
    campaign = client.get("/api/next").json()["campaign"]
    assert [one["key"] for one in campaign["questions"]] == ["motion", "overall"]
    assert campaign["questions"][0]["rule"].startswith("Consistency")
    assert campaign["flags"] == [{"key": "nsfw", "text": "Offensive or disturbing"}]
    assert campaign["skips"][0]["key"] == "broken"
    assert (campaign["title"], campaign["strength"], campaign["gate"]) == ("Pilot", True, True)
    words, clips = campaign["examples"]
    assert (words["left"], words["why"]) == (None, "it is one")
    assert client.get(clips["left"]).status_code == 200
    assert pair.a not in json.dumps(campaign)
    german = client.get("/api/next", headers={"accept-language": "de"}).json()["campaign"]
    assert german["flags"][0]["text"] != "Offensive or disturbing"


def test_a_held_score_comes_by_a_second_request_and_undo_before_it_leaves_nothing_seen(
    db, open_site, visit
):
    client = visit(open_site(db, blind=1.0))
    page = client.get("/api/next").json()
    taken = cast(client, page, hold=True)
    assert "margin" not in taken.text
    due = taken.json()["page"]["due"]
    assert (due["answer"], taken.json()["reveal"]) == ("left", None)
    undo = {"id": str(uuid.uuid4()), "vote": due["vote"]}
    again = client.post("/api/undo", json=undo)
    assert "margin" not in again.text
    assert again.json()["pair"]["prompt"] == page["pair"]["prompt"]
    due = cast(client, again.json(), "right", hold=True).json()["page"]["due"]
    reloaded = client.get("/api/next").json()
    assert reloaded["due"] == due
    reveal = client.post("/api/reveal", json={"vote": due["vote"]}).json()
    assert reveal["opinion"]["margin"] == pytest.approx(0.2)
    assert reveal["pair"]["prompt"] == page["pair"]["prompt"]
    kept = cast(client, reveal, "right", reason="keep").json()
    assert kept["page"]["due"] is None
    assert client.post("/api/reveal", json={"vote": due["vote"]}).status_code == 409


def test_history_reopen_and_edit(db, open_site, visit):
    client = visit(open_site(db, blind=0.0))
    page = client.get("/api/next").json()
    cast(client, page, "left", comment="hm")
    (past,) = client.get("/api/history").json()
    opened = client.post("/api/reopen", json={"vote": past["vote"]}).json()
    assert opened["pair"]["previous"]["comment"] == "hm"
    cast(client, opened, "right")
    (past,) = client.get("/api/history").json()
    assert (past["answer"], [one["answer"] for one in past["revisions"]]) == ("right", ["left"])
    refused = client.post("/api/reopen", json={"vote": str(uuid.uuid4())})
    assert (refused.status_code, "not yours" in refused.json()["detail"]) == (409, True)


def test_a_refusal_is_said_in_the_language_of_the_request(db, open_site, visit):
    client = visit(open_site(db, gate=True, blind=0.0))
    page = client.get("/api/next").json()
    assert "played through once" in cast(client, page).json()["detail"]
    body = {"id": str(uuid.uuid4()), "ticket": page["pair"]["ticket"], "answer": "left"}
    said = client.post("/api/vote", json=body, headers={"accept-language": "de"}).json()["detail"]
    assert "durchgelaufen" in said


def test_leaving_frees_the_last_slot(world, make_db, tmp_path, open_site, visit):
    site = open_site(make_db(tmp_path, one_pair(world.records)))
    anna, bob = visit(site), visit(site, "bob")
    assert anna.get("/api/next").json()["pair"]
    assert bob.get("/api/next").json()["pair"] is None
    assert anna.post("/api/leave").json() == {"released": True}  # no body: sendBeacon
    assert bob.get("/api/next").json()["pair"]


def test_switching_campaigns_is_remembered_and_a_ticket_keeps_its_own(
    world, make_db, tmp_path, open_site, visit
):
    first = next(one for one in world.records if isinstance(one, Pair))
    other = Pair.of(first.a, first.b, prompt=first.prompt, campaign="söcond")
    site = open_site(make_db(tmp_path, [*world.records, other]), blind=0.0)
    client = visit(site)
    page = client.get("/api/next").json()
    names = {one["name"]: one["left"] for one in page["campaign"]["campaigns"]}
    assert names == {"default": PAIRS, "söcond": None}
    there = client.post("/api/campaign", json={"name": "söcond"}).json()
    assert (there["campaign"]["name"], there["progress"]["left"]) == ("söcond", 1)
    assert client.get("/api/next").json()["campaign"]["name"] == "söcond"
    late = cast(client, page).json()["page"]  # the tab that still shows the first campaign
    assert (late["campaign"]["name"], late["progress"]["done"]) == ("default", 1)
    here = client.get("/api/progress", params={"campaign": "default"}).json()
    assert here["done"] == 1
    wrong = client.get("/api/next", params={"campaign": "nowhere"})
    assert (wrong.status_code, "default, söcond" in wrong.json()["detail"]) == (404, True)


def test_practice_is_told_about_and_ends_with_the_round(world, make_db, tmp_path, open_site, visit):
    db = make_db(tmp_path, with_known(world.records, "practice", 2))
    site = open_site(db, practice=2, practice_pass=1.0, blind=0.0)
    client = visit(site)
    page = client.get("/api/next").json()
    assert page["pair"]["practice"]
    assert page["progress"]["practice"] == {
        "done": 0, "of": 2, "right": 0, "needed": 2, "tries_left": 2,
    }  # fmt: skip
    one = cast(client, page, "unusable").json()
    two = cast(client, one["page"], "unusable").json()
    assert [told["feedback"]["right"] for told in (one, two)].count(False) >= 1
    assert one["feedback"]["round"] is None
    ended = two["feedback"]["round"]
    assert (ended["passed"], ended["of"], ended["tries_left"]) == (False, 2, 1)
    assert two["page"]["pair"]["practice"]


def test_gold_is_not_told_from_others_by_anything_that_is_sent(
    world, make_db, tmp_path, open_site, visit
):
    db = make_db(tmp_path, with_known(world.records, "gold", 3))
    client = visit(open_site(db, gold=0.9, blind=0.0, redundancy=9))
    page, kinds = client.get("/api/next"), []
    for _ in range(5):
        sent = page.json()
        sent = sent.get("page", sent)
        kinds.append(set(sent["pair"]) | set(sent) | set(sent["progress"]))
        for word in ("gold", "frozen", "strategy", "expected", "repeat"):
            assert word not in page.text.lower()
        whole = client.get("/api/next").json()
        choice = {one["name"]: one["left"] for one in whole["campaign"]["campaigns"]}
        assert choice == {"default": whole["progress"]["left"]}  # two counters would tell them
        page = cast(client, sent)
    assert all(kind == kinds[0] for kind in kinds)


def test_the_export_names_every_vote_and_whether_it_stands_and_counts(
    world, make_db, tmp_path, open_site, visit
):
    db = make_db(tmp_path, with_known(world.records, "gold", 3))
    site = open_site(db, gold=0.9, blind=0.0, redundancy=9, flags=("text",))
    client = visit(site)
    page = client.get("/api/next").json()
    for comment in ("=1+1", "plain", ""):
        page = cast(client, page, "left", comment=comment, flags=["text"]).json()["page"]
    client.post("/api/undo", json={"id": str(uuid.uuid4()), "vote": page["progress"]["newest"]})
    lines = client.get("/api/export", params={"format": "jsonl"}).text.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["stands"] for row in rows] == [True, True, False, False]
    assert [row["outcome"] for row in rows][-1] == "undo"
    assert all(row["flags"] == ["text"] and row["counts"] for row in rows[:3])
    gold = [row for row in rows if row["check"] == "gold"]
    assert gold
    assert all(row["right_answer"] in (True, False) for row in gold)
    assert all(row["prompt"].startswith("A disc") for row in rows)
    answer = client.get("/api/export", params={"format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["comment"] for row in table[:2]] == ["'=1+1", "plain"]  # no formula
    assert [row["vote"] for row in table] == [row["vote"] for row in rows]
    assert client.get("/api/export", params={"format": "xls"}).status_code == 422


def test_the_export_is_for_leads(db, open_site, visit):
    site = open_site(db)
    site.desk.local = False  # the network is let in, and there are no accounts
    client = visit(site)
    assert client.get("/api/export").status_code == 403
    assert visit(site, None).get("/api/export").status_code == 401
    page = client.get("/api/next").json()
    assert page["role"] == "annotator"


def test_an_annotator_is_shown_no_commands(make_db, tmp_path, open_site, visit):
    site = open_site(make_db(tmp_path, [Prompt(text="a cat")]))
    assert visit(site).get("/api/next").json()["idle"]["steps"]
    site.desk.local = False
    assert visit(site).get("/api/next").json()["idle"]["steps"] == []


def test_openapi_lists_our_routes_alone_and_describes_each(db, open_site, visit):
    client = visit(open_site(db), build=server.build)
    spec = client.get("/openapi.json").json()
    assert {"/api/next", "/api/vote", "/api/export", "/api/progress"} <= set(spec["paths"])
    assert all(path.startswith(("/api/", "/clip/", "/image/")) for path in spec["paths"])
    for path, methods in spec["paths"].items():
        for method, route in methods.items():
            assert len(route.get("description", "")) > 20, (method, path)
    assert "409" in spec["paths"]["/api/vote"]["post"]["responses"]
    cast_fields = spec["components"]["schemas"]["Cast"]["properties"]
    assert "answer" in cast_fields
    assert "Keep the score" in json.dumps(spec)

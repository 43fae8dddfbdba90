"""Attacks on a running app with accounts, by name: on the disk, on others' work, by roles, by
other sites. Each of them succeeds without its guard. More: `test_attacks_entrance`, `..._form`.
"""

from __future__ import annotations

import json
import uuid

import pytest

from tests.annotate.site import CANARY, call_gradio, cast, raw, sign_in

EVIL = "https://evil.example"

# The disk

DISK = [
    "/page/../api.py",
    "/page/%2e%2e/api.py",
    "/page/..%2fapi.py",
    "/page/..%5capi.py",
    "/page//etc/passwd",
    "/page/page.js%00.css/../../api.py",
    "/clip/../{db}",
    "/clip/%2e%2e%2f%2e%2e%2fcanary.txt",
    "/clip/{canary}",
    "/clip//{canary}",
    "/..%2f..%2f{canary}",
    "//etc/passwd",
    "/static/../../../../../../etc/passwd",
    "/static//etc/passwd",
    "/assets/..%2f..%2f..%2fetc%2fpasswd",
    "/svelte/..%2f..%2fetc%2fpasswd",
    "/file={canary}",
    "/file=/etc/passwd",
    "/gradio_api/file={canary}",
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/file=app.py",
    "/gradio_api/file=%2e%2e%2f{canary}",
    "/gradio_api/file/{canary}",
    "/gradio_api//file={canary}",
    "/lead/gradio_api/file={canary}",
    "/lead//gradio_api/file={canary}",
    "/lead/../gradio_api/file={canary}",
    "/lead/lead/gradio_api/file={canary}",
    "/lead/file={canary}",
    "/gradio_api/./file={canary}",
    "/gradio_api/heartbeat/../file={canary}",
    "/gradio_api/proxy=file://{canary}",
    "/gradio_api/proxy=http://169.254.169.254/latest",
    "/proxy=http://169.254.169.254/latest",
    "/gradio_api/stream/x/0/0/playlist-file",
    "/gradio_api/custom_component/x/client/component/..%2f..%2fapp.py",
    "/gradio_api/deep_link",
    "/gradio_api/upload_progress?upload_id=x",
    "/monitoring",
    "/monitoring/summary",
    "/{db}",
    "/prefs.duckdb",
    "/prefs.duckdb.people",
    "/prefs.duckdb.secret",
]


@pytest.mark.parametrize("path", DISK)
def test_nothing_of_the_disk_is_reachable(attacked, ann, path):
    path = path.format(canary=attacked.db.parent / "canary.txt", db=attacked.db)
    cookie = {"cookie": f"second_look={ann.cookies['second_look']}"}
    status, _, text = raw(attacked.address, "GET", path, headers=cookie)
    assert 400 <= status < 500, text[:200]
    for telling in (CANARY, "root:", "def ", "SQLite format"):
        assert telling not in text


UPLOADS = [
    "/gradio_api/upload",
    "/lead/gradio_api/upload",
    "/upload",
    "/gradio_api/process_recording",
]


@pytest.mark.parametrize("path", UPLOADS)
def test_nothing_can_be_uploaded(attacked, path):
    with sign_in(attacked.address, "Ada") as ada:
        answer = ada.post(path, files={"files": ("x.txt", CANARY)})
    assert answer.status_code in (404, 405)
    assert CANARY not in answer.text


# Clips and pairs of others


def test_a_clip_is_nobodys_but_its_viewers(attacked, ann, bob):
    address = ann.get("/api/next").json()["pair"]["left"]
    assert ann.get(address).status_code == 200
    assert bob.get(address).status_code == 404
    with attacked.nobody() as nobody:
        assert nobody.get(address).status_code == 401
    for guess in ("0" * 32, uuid.uuid4().hex, address[5:-1] + "g"):
        assert ann.get(f"clip/{guess}").status_code == 404
    ann.post("/api/signout", json={})
    assert ann.get(address).status_code == 401


def test_anothers_ticket_and_vote_are_of_no_use(ann, bob):
    ticket = ann.get("/api/next").json()["pair"]["ticket"]
    assert cast(bob, ticket).status_code == 403
    newest = cast(ann, ticket).json()["page"]["progress"]["newest"]
    undo = {"id": str(uuid.uuid4()), "vote": newest}
    assert bob.post("/api/undo", json=undo).status_code == 409
    assert ann.post("/api/undo", json=undo).status_code == 200


# Roles


def test_a_raw_call_of_gradios_private_function_needs_the_role(attacked, ann):
    with attacked.nobody() as nobody:
        assert call_gradio(nobody, 0).startswith("401")
    refused = call_gradio(ann, 0)
    assert '"success":false' in refused
    assert CANARY not in refused
    with sign_in(attacked.address, "Lea") as lea:
        assert CANARY in call_gradio(lea, 0)


@pytest.mark.parametrize("route", ["run/predict", "run/_leads_page", "api/predict", "call/load"])
def test_gradios_other_ways_to_call_a_function_need_the_role_too(attacked, ann, route):
    body = {"data": [], "fn_index": 0, "session_hash": "x"}
    answer = ann.post(f"/gradio_api/{route}", json=body)
    assert CANARY not in answer.text
    assert answer.status_code >= 400
    with attacked.nobody() as nobody:
        assert nobody.post(f"/gradio_api/{route}", json=body).status_code in (401, 404)


def test_every_function_of_the_leads_pages_needs_the_role(attacked, ann):
    with attacked.nobody() as nobody, sign_in(attacked.address, "Lea") as lea:
        assert nobody.get("/lead/config").status_code == 401
        assert ann.get("/lead/config").status_code == 403
        functions = lea.get("/lead/config").json()["dependencies"]
        assert functions
        for one in functions:
            assert call_gradio(nobody, one["id"], "/lead").startswith("401")
            assert call_gradio(ann, one["id"], "/lead").startswith("403")
        assert call_gradio(lea, functions[0]["id"], "/lead").startswith("data:")


def test_everybodys_votes_are_for_leads(attacked, ann):
    with attacked.nobody() as nobody, sign_in(attacked.address, "Lea") as lea:
        answers = [one.get("/api/export").status_code for one in (nobody, ann, lea)]
    assert answers == [401, 403, 200]


# Other sites


CROSS = [
    {"origin": EVIL},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:1"},
    {"origin": EVIL, "sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
]


@pytest.mark.parametrize("headers", CROSS)
@pytest.mark.parametrize("path", ["/api/signout", "/api/vote", "/gradio_api/queue/join"])
def test_another_site_cannot_act_for_a_person(attacked, ann, headers, path):
    answer = ann.post(path, json={}, headers=headers)
    assert answer.status_code == 403
    assert ann.get("/api/next").status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_form_cannot_vote(ann, kind):
    ticket = ann.get("/api/next").json()["pair"]["ticket"]
    body = json.dumps({"id": str(uuid.uuid4()), "ticket": ticket, "answer": "left"})
    answer = ann.post("/api/vote", content=body, headers={"content-type": kind})
    assert answer.status_code == 422


def test_another_site_reads_and_embeds_nothing(ann):
    embedded = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "origin": EVIL}
    for path in ("/api/next", ann.get("/api/next").json()["pair"]["left"], "/"):
        assert ann.get(path, headers=embedded).status_code == 403
    framed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert ann.get("/", headers={**framed, "sec-fetch-dest": "iframe"}).status_code == 403
    followed = ann.get("/", headers={**framed, "sec-fetch-dest": "document"})
    assert followed.status_code == 200  # a link in a mail
    assert "frame-ancestors 'self'" in followed.headers["content-security-policy"]
    allowed = ann.get("/api/me", headers={"origin": EVIL}).headers
    assert "access-control-allow-origin" not in allowed


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "localhost.evil.example", ""]
)
def test_a_name_that_leads_to_this_machine_is_not_this_site(attacked, host):
    status, _, text = raw(attacked.address, "GET", "/api/me", headers={"host": host})
    assert status in (400, 421)
    assert "annotator" not in text


def test_a_proxy_nobody_spoke_of_makes_nobody_local(attacked):
    forwarded = {"x-forwarded-for": "203.0.113.9"}
    assert raw(attacked.address, "GET", "/api/me", headers=forwarded)[0] == 421

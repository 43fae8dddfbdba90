"""Attacks by the form of a request: sizes, odd texts, redirects, headers; in a running app."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from annotate.guard import LARGEST_BODY
from data.records import Pair, Prompt, Record
from tests.annotate.site import CROWD, PASSWORD, admit, opened, raw, sign_in

ODD = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "${7*7}{{7*7}}",
    "\u202egpj.exe",
    "\U0001f600\u200d\U0001f680 שלום مرحبا",
    "a\x00b",
    "x\r\nSet-Cookie: planted=1",
    "; Domain=evil.example",
]


@pytest.fixture(scope="module")
def plain(make_db, tmp_path_factory) -> Iterator[str]:
    """Without accounts."""
    with opened(make_db(tmp_path_factory.mktemp("plain")), redundancy=99) as address:
        yield address


@pytest.fixture(scope="module")
def guarded(make_db, tmp_path_factory) -> Iterator[str]:
    """With accounts."""
    db = make_db(tmp_path_factory.mktemp("guarded"))
    admit(db, CROWD)
    with opened(db) as address:
        yield address


@pytest.mark.parametrize("path", ["/api/signin", "/api/vote", "/gradio_api/queue/join", "/"])
def test_a_body_that_is_too_large_is_refused_before_it_is_read(guarded, path):
    headers = {"content-type": "application/json", "content-length": str(LARGEST_BODY + 1)}
    assert raw(guarded, "POST", path, body=b"{", headers=headers)[0] == 413


def test_a_body_that_hides_its_size_is_cut_off(guarded):
    def endless() -> Iterator[bytes]:
        yield b'{"name": "'
        for _ in range(LARGEST_BODY // 4096 + 10):
            yield b"x" * 4096
        yield b'", "password": ""}'

    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{guarded}/api/signin", content=endless(), headers=headers, timeout=60)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "body", ["[" * 100_000, '{"name":' * 20_000, "{", "\ufeff{}", "null", "[]", '{"name": NaN}']
)
def test_a_body_that_is_no_json_of_ours_is_a_client_error(guarded, body):
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{guarded}/api/signin", content=body, headers=headers, timeout=60)
    assert 400 <= answer.status_code < 500
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_is_text_and_nothing_else(plain, name):
    body = json.dumps({"name": name}).encode()
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{plain}/api/me", content=body, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.headers.get_list("set-cookie")) == 1
    cookie = answer.headers["set-cookie"]
    assert "planted" not in cookie
    assert "evil" not in cookie
    shown = answer.json()["annotator"]
    assert all(letter.isprintable() for letter in shown)
    back = httpx.get(f"{plain}/api/me", cookies=dict(answer.cookies), timeout=60)
    assert back.json()["annotator"] == shown


@pytest.mark.parametrize("name", ["x" * 5000, "\u202e" * 64, "\x00", "a" * 65, "a\ud800"])
def test_a_name_that_is_too_long_or_empty_is_refused(plain, name):
    body = json.dumps({"name": name}).encode()
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{plain}/api/me", content=body, headers=headers, timeout=60)
    assert answer.status_code == 422
    assert name not in answer.text
    assert "set-cookie" not in answer.headers


def test_odd_names_and_passwords_do_not_break_the_sign_in(guarded):
    for text in (*ODD[:6], "x" * 1000):
        body = json.dumps({"name": text, "password": text}).encode()
        headers = {"content-type": "application/json"}
        answer = httpx.post(f"{guarded}/api/signin", content=body, headers=headers, timeout=60)
        assert answer.status_code == 401


def test_an_odd_prompt_arrives_as_it_is(world, make_db, tmp_path: Path):
    texts = ["<script>alert(1)</script>", "\u202eabc", "\U0001f600 " * 10, "wide " * 1000]
    clips = [one for one in world.records if hasattr(one, "sha256")]
    records: list[Record] = list(clips)
    for number, text in enumerate(texts):
        prompt, two = Prompt(text=text), clips[2 * number : 2 * number + 2]
        records += [prompt, Pair.of(two[0].sha256, two[1].sha256, prompt=prompt.id)]
    with opened(make_db(tmp_path, records), redundancy=99) as address:
        client = httpx.Client(base_url=address, timeout=60)
        page = client.post("/api/me", json={"name": "ann"}).json()
        seen = set()
        while page["pair"]:
            seen.add(page["pair"]["prompt"])
            body = {"ticket": page["pair"]["ticket"], "answer": "tie"}
            body["id"] = f"{len(seen):08d}-0000-4000-8000-000000000000"
            page = client.post("/api/vote", json=body).json()["page"]
        client.close()
    assert seen == set(texts)


@pytest.mark.parametrize(
    "path",
    [
        "/?next=https://evil.example",
        "//evil.example/",
        "/\\evil.example",
        "/login?next=//evil.example",
        "/logout?next=//evil.example",
        "/gradio_api/file=https://evil.example",
        "/page/?next=//evil.example",
        "/%0d%0alocation:https://evil.example",
    ],
)
def test_nothing_leads_to_another_site(guarded, path):
    _, headers, _ = raw(guarded, "GET", path)
    assert "evil" not in headers.get("location", "")


def test_signing_in_leads_nowhere(guarded):
    body = {"name": "Ann", "password": PASSWORD, "next": "https://evil.example"}
    answer = httpx.post(f"{guarded}/api/signin?next=https://evil.example", json=body, timeout=60)
    assert answer.status_code == 200
    assert "location" not in answer.headers
    assert "evil" not in answer.text


@pytest.mark.parametrize("path", ["/api/signout", "/api/signin", "/api/password", "/api/vote"])
def test_a_link_or_an_image_does_nothing(guarded, path):
    with sign_in(guarded, "Ann") as ann:
        assert ann.get(path).status_code in (404, 405)
        assert ann.get("/api/next").status_code == 200


def test_the_description_of_the_interface_has_our_routes_only(guarded):
    paths = httpx.get(f"{guarded}/openapi.json", timeout=60).json()["paths"]
    assert "/api/vote" in paths
    assert all(path.startswith(("/api/", "/clip/", "/image/")) for path in paths)
    for path in ("/docs", "/redoc", "/gradio_api/openapi.json"):
        assert httpx.get(guarded + path, timeout=60).status_code == 404


def test_the_public_page_holds_nothing_about_the_database(guarded):
    from tests.annotate.world import ADAPTER, MODEL, SEED

    told = (MODEL, ADAPTER, str(SEED), "A disc numbered", "prefs.duckdb", '"Ann', '"p-')
    with sign_in(guarded, "Ann") as ann:
        for path in ("/", "/config", "/gradio_api/info"):
            public = httpx.get(guarded + path, timeout=60).text
            assert [telling for telling in told if telling in public] == []
            assert len(ann.get(path).text) == len(public)


def test_a_refusal_shows_no_insides(guarded):
    for path in ("/api/next", "/nothing/here", "/gradio_api/queue/data?session_hash=x"):
        answer = httpx.get(guarded + path, timeout=60)
        assert 400 <= answer.status_code < 500
        assert "Traceback" not in answer.text
        assert "/work" not in answer.text
        assert "uvicorn" not in answer.headers.get("server", "")

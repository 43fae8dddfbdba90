"""Who may see the lead's pages: every function, every file, asked for with others' cookies."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI, Request

from annotate import rights
from annotate.lead.frame import Site
from annotate.lead.reading import Readings
from annotate.lead.reports import Reports
from data.store import Store, add
from tests.annotate.crowd import pairs_of, run_folder, votes
from tests.annotate.site import CROWD, admit, opened, raw, sign_in

FILES = ("export/votes.csv", "export/labels-human.parquet", "export/agreement.json")


@pytest.fixture(scope="module")
def place(tmp_path_factory, world) -> Path:
    """A database with votes, a run and four people, two of whom lead."""
    folder = tmp_path_factory.mktemp("rights")
    (folder / "prefs.clips").symlink_to(world.clips)
    db = folder / "prefs.duckdb"
    add(db, world.records)
    add(db, votes(pairs_of(world.records), 40))
    clips = sorted(world.clips.glob("*.mp4"))[:2]
    add(db, [run_folder(folder / "run", clips=clips)])
    ann = admit(db, CROWD)["Ann"]
    cast = next(votes(pairs_of(world.records), 1, seed=1))
    add(db, [replace(cast, id=str(uuid.uuid4()), annotator=ann)])
    return db


@pytest.fixture(scope="module")
def address(place) -> Iterator[str]:
    with opened(place) as found:
        yield found


def call(client: httpx.Client, function: int, data: list | None = None, query: str = "") -> str:
    """Everything that Gradio says to a raw call of one of the lead's functions."""
    session = uuid.uuid4().hex
    body = {"data": data or [], "fn_index": function, "session_hash": session}
    joined = client.post(f"/lead/gradio_api/queue/join{query}", json=body)
    if joined.status_code != 200:
        return f"{joined.status_code} {joined.text}"
    said, address = "", f"/lead/gradio_api/queue/data?session_hash={session}"
    with client.stream("GET", address) as events:
        for line in events.iter_lines():
            said += line
            if line.startswith("data:") and json.loads(line[5:])["msg"] in (
                "process_completed", "close_stream",
            ):  # fmt: skip
                break
    return said


def functions(client: httpx.Client) -> list[dict]:
    """Every function of the pages, as Gradio's configuration names it."""
    return client.get("/lead/config").json()["dependencies"]


def test_a_lead_sees_the_pages(address):
    with sign_in(address, "Lea") as lea:
        found = functions(lea)
        assert len(found) == len({one["id"] for one in found}) >= 18
        assert {one["api_visibility"] for one in found} == {"private"}
        said = call(lea, found[0]["id"])
        assert "hasty harry" in said
        assert re.search(r">Ann<", said)  # the name, where votes have the id
        assert lea.get("/lead/").status_code == 200
        assert lea.get("/lead").status_code == 307


@pytest.mark.parametrize("name", ["Ann", None])
def test_nobody_else_can_run_any_of_their_functions(address, name):
    """A raw POST to every function, with an annotator's cookie and with none."""
    with sign_in(address, "Lea") as lea:
        every = functions(lea)
    if name is None:
        with httpx.Client(base_url=address, timeout=60) as client:
            refusals = [call(client, one["id"]) for one in every]
    else:
        with sign_in(address, name) as client:
            refusals = [call(client, one["id"]) for one in every]
    assert len(refusals) >= 18
    status = "401" if name is None else "403"
    for said in refusals:
        assert said.startswith(status), said
        assert "harry" not in said


@pytest.mark.parametrize(
    "path", ["/lead/", "/lead/pair?id=1", "/lead/config", "/lead/gradio_api/info"]
)
def test_not_even_the_empty_pages_are_anybody_elses(address, path):
    with sign_in(address, "Ann") as ann:
        assert ann.get(path).status_code == 403
        page = ann.get(path, headers={"accept": "text/html", "accept-language": "de"})
        assert (page.status_code, page.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert httpx.get(f"{address}{path}").status_code == 401


def test_an_annotator_cannot_decide_anything(address, place):
    with sign_in(address, "Lea") as lea:
        every = functions(lea)
    with Store.open(place) as store:
        before = store.digest("decisions")
    with sign_in(address, "Bob") as bob:
        for one in every:
            call(bob, one["id"], ["ada"] * len(one["inputs"]))
    with Store.open(place) as store:
        assert store.digest("decisions") == before


@pytest.mark.parametrize("path", FILES)
def test_files_are_for_leads(address, path):
    with sign_in(address, "Lea") as lea, sign_in(address, "Ann") as ann:
        assert lea.get(f"/lead/{path}").status_code == 200
        refused = ann.get(f"/lead/{path}")
        assert refused.status_code == 403
        assert "harry" not in refused.text
    assert httpx.get(f"{address}/lead/{path}").status_code == 401


def test_a_runs_files_need_a_token_of_ones_own(address, place):
    with Store.open(place) as store:
        run = store.all("runs")[0]
    with sign_in(address, "Lea") as lea:
        page = next(one["id"] for one in functions(lea) if _is_run(lea, one["id"], run.id))
        said = call(lea, page, query=f"?id={run.id}")
        links = re.findall(r"\./(run/[0-9a-f]+/[0-9a-f]+)", said)
        assert len(links) >= 4  # two clips, config.json, metrics.jsonl
        for link in links:
            assert lea.get(f"/lead/{link}").status_code == 200
        ranged = lea.get(f"/lead/{links[0]}", headers={"range": "bytes=0-9"})
        assert (ranged.status_code, len(ranged.content)) == (206, 10)
        other = links[0].rsplit("/", 1)[0]
        for guess in ("0" * 96, "metrics.jsonl", "..%2Fprefs.duckdb", "samples"):
            assert lea.get(f"/lead/{other}/{guess}").status_code == 404
    with sign_in(address, "Ada") as ada:
        assert ada.get(f"/lead/{links[0]}").status_code == 404  # Lea's token, not hers
    with sign_in(address, "Ann") as ann:
        assert ann.get(f"/lead/{links[0]}").status_code == 403


def _is_run(client: httpx.Client, function: int, run: str) -> bool:
    said = call(client, function, query=f"?id={run}")
    return f"dpo {run}" in said


@pytest.mark.parametrize(
    "path",
    [
        "/lead/../prefs.duckdb",
        "/lead/run/../../etc/passwd",
        "/lead/export/..%2f..%2fprefs.duckdb",
        "/lead/gradio_api/file=/etc/passwd",
        "/lead/file=/etc/passwd",
        "/lead/gradio_api/upload",
        "/lead/gradio_api/proxy=http://127.0.0.1/",
        "/lead/gradio_api/component_server",
        "/lead/login",
        "/lead/monitoring",
    ],
)
def test_nothing_of_the_disk_is_behind_any_address(address, path):
    with sign_in(address, "Lea") as lea:
        cookie = "; ".join(f"{name}={value}" for name, value in lea.cookies.items())
    status, _, text = raw(address, "GET", path, headers={"cookie": cookie})
    assert status in (404, 405), (status, text[:200])
    assert "root:" not in text


def test_without_accounts_on_the_network_it_says_how_to_turn_them_on(make_db, tmp_path):
    db = make_db(tmp_path)
    with opened(db, local=False) as address, httpx.Client(base_url=address) as client:
        assert client.post("/api/me", json={"name": "ann"}).status_code == 200
        assert client.get("/lead/export/votes.csv").status_code == 403
        said = client.get("/lead/export/votes.csv").json()["detail"]
        assert "annotate.people" in said


def test_the_function_asks_for_the_right_itself(open_desk, db):
    """Behind Gradio's own door, which `auth_dependency` shuts, there is a second one."""
    desk = open_desk(db)
    pages = Site(desk, Readings(desk), Reports(desk))
    called: list[object] = []
    scope = {"type": "http", "headers": [], "query_string": b"", "app": FastAPI()}
    rights.note(scope, desk)
    guarded = pages.event(lambda visit: called.append(visit), [object(), object()])
    said = guarded(gr.Request(Request(scope)))
    assert called == []
    assert "ll-refused" in said[0]


def test_no_vote_waits_for_a_lead(open_desk, make_db, tmp_path):
    """The pages are read while the desk is held, as it is by every vote."""
    desk = open_desk(make_db(tmp_path))
    with desk._gate:  # another thread's request, for as long as it likes
        readings, reports = Readings(desk), Reports(desk)
        done: list[int] = []

        def read() -> None:
            done.append(len(readings.newest().pairs))
            done.append(reports.newest().counts.pairs)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        thread.join(30)
    assert done == [8, 8]


def test_a_reading_is_shared_for_some_seconds(open_desk, make_db, tmp_path):
    desk = open_desk(make_db(tmp_path))
    readings = Readings(desk)
    first = readings.newest()
    pair = pairs_of(desk.store.all("pairs"))[0]
    desk.store.add(list(votes([pair], 1)))
    assert readings.newest() is first
    again = readings.newest(now=True)
    assert (len(first.votes), len(again.votes)) == (0, 1)
    began = time.monotonic()
    assert readings.newest(now=True) is again  # nothing is new: nothing is read
    assert time.monotonic() - began < 1

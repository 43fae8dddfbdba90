"""The whole app on a real socket with people in it, and plain HTTP to talk to it."""

from __future__ import annotations

import functools
import http.client
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
from fastapi import FastAPI

from annotate import accounts, rights, server, ui
from annotate.desk import Desk
from annotate.identity import fingerprint, new_account
from annotate.passwords import hashed
from annotate.protocol import Protocol
from data.store import Store
from data.store.entrances import Invitation
from data.store.people import People
from data.store.people_schema import Role

PASSWORD = "correct horse battery"
CROWD: dict[str, Role] = {"Ada": "admin", "Lea": "lead", "Ann": "annotator", "Bob": "annotator"}


@functools.cache
def stored(password: str) -> str:
    """Its hash, made once: it is slow on purpose."""
    return hashed(password)


def admit(db: Path | str, people: dict[str, Role], password: str = PASSWORD) -> dict[str, str]:
    """Add people with that password; name to id."""
    register, ids = People.of(db), {}
    for name, role in people.items():
        account = new_account(
            name, role, password=stored(password), since_ms=time.time_ns() // 10**6
        )
        register.add(account)
        ids[name] = account.id
    register.close()
    return ids


def invite(db: Path | str, key: str) -> None:
    """An invitation of annotators that is open for an hour."""
    register, later = People.of(db), time.time_ns() // 10**6 + 3_600_000
    register.invitations.add(
        Invitation(hash=fingerprint(key), role="annotator", name="", expires_ms=later)
    )
    register.close()


@contextmanager
def running(app: FastAPI, *, proxy: str = "") -> Iterator[str]:
    """The application on a free port of this machine; gives its address."""
    with server.listen("127.0.0.1", 0) as bound:
        site = server.server(app, proxy=proxy)
        site.config.log_level, site.config.timeout_graceful_shutdown = "critical", 1
        thread = threading.Thread(target=site.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not site.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            site.should_exit = True
            thread.join(10)


@contextmanager
def opened(db: Path, *, local: bool = True, proxy: str = "", **protocol: Any) -> Iterator[str]:
    """The app over `db`, as `app.py` starts it."""
    with Store.own(db) as owner:
        app = server.build(Desk(db, owner, Protocol(**protocol), local=local))
        with running(app, proxy=proxy) as address:
            yield address


@contextmanager
def sign_in(address: str, name: str, password: str = PASSWORD) -> Iterator[httpx.Client]:
    """A client that has signed in."""
    with httpx.Client(base_url=address, timeout=60) as client:
        answer = client.post("/api/signin", json={"name": name, "password": password})
        assert answer.status_code == 200, answer.text
        yield client


def cast(client: httpx.Client, ticket: str, answer: str = "left") -> httpx.Response:
    """Vote."""
    body = {"id": str(uuid.uuid4()), "ticket": ticket, "answer": answer}
    return client.post("/api/vote", json=body)


def raw(
    address: str, method: str, path: str, *, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], str]:
    """A request whose path no client tidies up: status, headers, text."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, text
    finally:
        connection.close()


def call_gradio(client: httpx.Client, function: int, mount: str = "") -> str:
    """Everything that Gradio says to a raw call of one of its functions."""
    session = uuid.uuid4().hex
    body = {"data": [], "fn_index": function, "session_hash": session}
    joined = client.post(f"{mount}/gradio_api/queue/join", json=body)
    if joined.status_code != 200:
        return f"{joined.status_code} {joined.text}"
    said = ""
    address = f"{mount}/gradio_api/queue/data?session_hash={session}"
    with client.stream("GET", address) as events:
        for line in events.iter_lines():
            said += line
            if not line.startswith("data:"):
                continue
            if json.loads(line[5:])["msg"] in ("process_completed", "close_stream"):
                break
    return said


CANARY = "the canary sings"


@dataclass(frozen=True)
class Site:
    address: str
    db: Path
    ids: dict[str, str]

    def nobody(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.address, timeout=60, headers=headers)


def _leads_page(request: gr.Request) -> str:
    rights.lead_only(request)
    return CANARY


def _with_a_page_for_leads(*_: str) -> gr.Blocks:
    with gr.Blocks() as demo:
        box = gr.Textbox(visible=False)
        demo.load(_leads_page, None, box, api_visibility="private")
    return demo


@contextmanager
def besieged(db: Path) -> Iterator[Site]:
    """The app with a crowd, a file beside its database, and a page of Gradio's for leads."""
    (db.parent / "canary.txt").write_text(CANARY)
    ids = admit(db, CROWD)
    build, ui.build = ui.build, _with_a_page_for_leads
    try:
        with opened(db, blind=0.0, redundancy=99) as address:
            yield Site(address, db, ids)
    finally:
        ui.build = build


def forgive(site: Site) -> None:
    """A quarter of an hour later."""
    later = (time.time_ns() // 10**6) + accounts.WINDOW_MS
    People.of(site.db).tries.allow({}, now_ms=later, window_ms=accounts.WINDOW_MS)

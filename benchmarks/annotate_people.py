"""Simulated annotators over HTTP, for `benchmarks/annotate.py`: they ask, think, answer, keep.

One process, one event loop, one connection per person; each person has at most one request under
way. After a blind answer they keep it, as the page does it: with the ticket of the reveal.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

Times = dict[str, list[float]]


@dataclass
class Office:
    """Where people work, and how long everything took, milliseconds."""

    address: str
    think: float
    """Seconds from one answer to the next; 0: as fast as they can."""
    times: Times = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def client(self) -> httpx.AsyncClient:
        """A browser of one person; without TLS, whose set-up would be all that is measured."""
        return httpx.AsyncClient(
            base_url=self.address,
            timeout=60.0,
            verify=False,
            trust_env=False,
        )

    async def timed(self, what: str, request: Awaitable[httpx.Response]) -> Any:
        """The JSON of an answer; its time is noted, and a refusal as a failure."""
        began = time.perf_counter()
        response = await request
        self.times.setdefault(what, []).append(1e3 * (time.perf_counter() - began))
        if response.status_code != httpx.codes.OK:
            self.failures.append(f"{what}: {response.status_code} {response.text[:200]}")
            return None
        return response.json()


async def annotator(office: Office, number: int, until: float) -> None:
    """One person: says a name, then asks for a pair and answers it, at a steady pace."""
    draw = random.Random(number)
    async with office.client() as client:
        await asyncio.sleep(draw.uniform(0, office.think))
        name = f"person {number} of {office.think}"
        page = await office.timed("enter", client.post("/api/me", json={"name": name}))
        due = time.perf_counter() + draw.uniform(0, office.think)
        while page is not None and due < until:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            page = await office.timed("next pair", client.get("/api/next"))
            if page is None or page["pair"] is None:
                office.failures.append(f"no pair: {page and page['idle']}")
                return
            await _answer(office, client, page["pair"]["ticket"], draw)
            due = max(due, time.perf_counter() - office.think) + office.think


async def _answer(
    office: Office, client: httpx.AsyncClient, ticket: str, draw: random.Random
) -> None:
    cast = {"id": str(uuid.uuid4()), "ticket": ticket, "answer": draw.choice(["left", "right"]),
            "seconds": 4.5, "watched": {"left": 1.0, "right": 1.0}}  # fmt: skip
    taken = await office.timed("vote", client.post("/api/vote", json=cast))
    if taken is not None and taken.get("reveal"):
        keep = {**cast, "id": str(uuid.uuid4()), "reason": "keep"}
        keep["ticket"] = taken["reveal"]["ticket"]
        await office.timed("keep", client.post("/api/vote", json=keep))


async def nobody(office: Office, number: int, until: float) -> None:
    """The floor: the same pace, and a route that does nothing."""
    draw = random.Random(number)
    async with office.client() as client:
        due = time.perf_counter() + draw.uniform(0, office.think)
        while due < until:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await office.timed("floor", client.get("/nothing"))
            due = max(due, time.perf_counter() - office.think) + office.think


Person = Callable[[Office, int, float], Awaitable[None]]


def work(address: str, person: Person, *, people: int, think: float, seconds: float) -> Office:
    """`people` of them at work for so many seconds."""
    office = Office(address, think)

    async def everybody() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(person(office, number, until) for number in range(people)))

    asyncio.run(everybody())
    return office

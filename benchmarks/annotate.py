"""The app under many annotators: real HTTP, a real app process, real votes on the disk.

    python -m benchmarks.annotate                       # 200 people on 100,000 pairs; a million
    python -m benchmarks.annotate --pairs 4000 --million 0 --people 20 --seconds 10

People ask for a pair, think, answer, and keep a blind answer after its reveal, each at one vote per
`--think` seconds; then a few of them as fast as they can. Every request goes over loopback to
`python app.py` in a process of its own; an empty FastAPI route over the same client is the floor.
Then, in this process and without HTTP, the next pair out of `--million` pairs. Left out: the page's
own files and the clips, which the browser fetches ahead of time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.annotate_material import fill
from benchmarks.annotate_people import Office, annotator, nobody, work
from data.console import say, table

Figures = dict[str, float]
SHARES = (50, 95, 99)
_FLOOR = """
import fastapi, uvicorn
app = fastapi.FastAPI()
@app.get("/nothing")
def nothing():
    return {}
uvicorn.run(app, port=%d, log_level="warning", timeout_keep_alive=75)
"""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is measured."""

    pairs: int = 100_000
    million: int = 1_000_000
    """Pairs of the part without HTTP; 0 leaves it out."""
    votes: int = 5
    """Per pair, from earlier."""
    scores: int = 32
    """Per clip."""
    people: int = 200
    think: float = 5.0
    """Seconds per vote of one person."""
    seconds: float = 60.0
    rush: int = 8
    """People of the part that goes as fast as it can."""
    folder: str = ""
    out: str = ""


def run(config: Config) -> Figures:
    """Measure; print the table and write it."""
    figures: Figures = {"load average before": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(config.folder or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        over_http(made(folder, config.pairs, config, figures), config, figures)
        if config.million:
            in_process(made(folder, config.million, config, figures), config, figures)
    figures = {name: round(value, 3) for name, value in figures.items()}
    say(table(["figure", "value"], [[name, f"{value:,.4g}"] for name, value in figures.items()]))
    if config.out:
        Path(config.out).write_text(json.dumps(figures, indent=1) + "\n")
    return figures


def made(folder: Path, pairs: int, config: Config, figures: Figures) -> Path:
    """The database of that size; made unless it is there already."""
    file = folder / f"annotate-{pairs}.duckdb"
    began = time.perf_counter()
    if not file.exists():
        fill(file, pairs=pairs, votes=config.votes, scores=config.scores)
    figures[f"{pairs:,} pairs: made in, s"] = time.perf_counter() - began
    return file


# Over HTTP


def over_http(file: Path, config: Config, figures: Figures) -> None:
    """The floor, everybody at their pace, and a few as fast as they can."""
    pace = {"people": config.people, "think": config.think, "seconds": config.seconds}
    port = 7000 + os.getpid() % 1000
    with started([sys.executable, "-c", _FLOOR % port], None, port):
        floor = work(f"http://127.0.0.1:{port}", nobody, **{**pace, "seconds": config.seconds / 3})
    note(figures, "empty route", floor)
    command = [sys.executable, "app.py", "--db", str(file), "--port", str(port),
               "--redundancy", str(config.votes + 1)]  # fmt: skip
    began = time.perf_counter()
    with started(command, "Second Look is at", port) as process:
        figures["app: ready after, s"] = time.perf_counter() - began
        figures["app: memory at the start, MB"] = memory(process.pid)
        office = work(f"http://127.0.0.1:{port}", annotator, **pace)
        note(figures, "at work", office)
        answered = len(office.times["vote"]) + len(office.times.get("keep", []))
        figures["at work: votes per s"] = answered / config.seconds
        figures["app: memory at work, MB"] = memory(process.pid)
        seconds = config.seconds / 3
        office = work(f"http://127.0.0.1:{port}", annotator, people=config.rush, think=0.0,
                      seconds=seconds)  # fmt: skip
        note(figures, "flat out", office)
        answered = len(office.times["vote"]) + len(office.times.get("keep", []))
        figures["flat out: votes per s"] = answered / seconds
        figures["app: most memory, MB"] = memory(process.pid, "VmHWM")


def note(figures: Figures, phase: str, office: Office) -> None:
    """Quantiles of every kind of request; whatever failed ends the benchmark."""
    if office.failures:
        raise RuntimeError(f"{phase}: {len(office.failures)} failed, such as {office.failures[0]}")
    for what, times in office.times.items():
        spread(figures, f"{phase}: {what}", times)


def spread(figures: Figures, what: str, times: list[float]) -> None:
    """Quantiles and the longest of some times in milliseconds."""
    for share in SHARES:
        figures[f"{what} p{share}, ms"] = float(np.percentile(times, share))
    figures[f"{what} longest, ms"] = max(times)


@contextlib.contextmanager
def started(command: list[str], ready: str | None, port: int) -> Iterator[subprocess.Popen[str]]:
    """A server in a process of its own, ended at the end; waits until it says that it is ready."""
    root = Path(__file__).parent.parent
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
    try:
        if ready is None:
            answering(port)
        else:
            assert process.stdout is not None
            line = next((one for one in process.stdout if ready in one), "")
            if not re.search(rf":{port}\b", line):
                raise RuntimeError(f"{command} is not at port {port}: {line!r}")
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
        process.kill()


def answering(port: int) -> None:
    """Wait until something listens there."""
    import socket

    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise RuntimeError(f"nothing listens at port {port}")


def memory(pid: int, which: str = "VmRSS") -> float:
    """Memory of a process now (`VmRSS`) or at most so far (`VmHWM`), MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) * 1024 / 1e6


# Without HTTP


def in_process(file: Path, config: Config, figures: Figures) -> None:
    """The next pair out of a million, while people answer in every order that there is."""
    from annotate.campaigns import Campaign, decided
    from annotate.desk import Desk
    from annotate.order import STAGES
    from annotate.protocol import Protocol
    from data.provenance import now_ms
    from data.store import Store

    size = f"{config.million:,} pairs"
    with Store.own(file) as owner:
        for order in STAGES:
            began = time.perf_counter()
            campaign = Campaign(order=order, redundancy=config.votes + 2)
            owner.add([decided(campaign, by="benchmarks.annotate", now_ms=now_ms())])
            desk = Desk(file, owner, Protocol())
            if order == next(iter(STAGES)):
                figures[f"{size}: app ready after, s"] = time.perf_counter() - began
                first = timed_next(desk, "annotator-1")
                figures[f"{size}: first pair after a start, with 1/200 of all votes, ms"] = first
            times = answers(desk, order, people=config.people)
            figures[f"{size}: {order}: first pair of a person p99, ms"] = float(
                np.percentile(times["first"], 99)
            )
            spread(figures, f"{size}: {order}: next pair", times["next"])
            if f"{size}: memory, MB" not in figures:  # of one app, not of all that were here
                figures[f"{size}: memory, MB"] = memory(os.getpid())
                figures[f"{size}: most memory, MB"] = memory(os.getpid(), "VmHWM")


def timed_next(desk: object, who: str) -> float:
    """How long one person waits for a pair, milliseconds."""
    began = time.perf_counter()
    with desk.session(who) as session:  # type: ignore[attr-defined]
        session.next()
    return 1e3 * (time.perf_counter() - began)


def answers(desk: object, order: str, *, people: int, rounds: int = 10) -> dict[str, list[float]]:
    """Everybody answers so many pairs in turn; how long each waited for a pair."""
    from annotate.protocol import Ballot

    times: dict[str, list[float]] = {"first": [], "next": []}
    for turn in range(rounds + 1):
        for number in range(people):
            who = f"{order} {number}"
            times["next" if turn else "first"].append(timed_next(desk, who))
            with desk.session(who) as session:  # type: ignore[attr-defined]
                showing = session.next()
                ballot = Ballot(id=str(uuid.uuid4()), pair=showing.pair.id,
                                exposure=showing.exposure, answer="left")  # fmt: skip
                session.vote(ballot)
    return times


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    of = Config()
    parser.add_argument("--pairs", type=int, default=of.pairs, help="over HTTP")
    parser.add_argument("--million", type=int, default=of.million, help="in process; 0: not at all")
    parser.add_argument("--votes", type=int, default=of.votes, help="per pair, from earlier")
    parser.add_argument("--scores", type=int, default=of.scores, help="per clip")
    parser.add_argument("--people", type=int, default=of.people, help="annotators")
    parser.add_argument("--think", type=float, default=of.think, help="seconds per vote of each")
    parser.add_argument("--seconds", type=float, default=of.seconds, help="at work")
    parser.add_argument("--rush", type=int, default=of.rush, help="people of the fast part")
    parser.add_argument("--folder", default="", help="keep the databases here for another run")
    parser.add_argument("--out", default="", help="write the figures here too, as JSON")
    run(Config(**vars(parser.parse_args(argv))))


if __name__ == "__main__":
    main()

"""The store at three sizes: next pair, votes of many people, labels, snapshots, reading.

    python -m benchmarks.store                         # 10,000, 100,000 and 1,000,000 pairs
    python -m benchmarks.store --pairs 10000 --seconds 5

Per pair five votes and per clip thirty-two scores. People claim a pair, think, and vote, all
through one owner, as in the app; then as fast as they can. Then a full and an incremental snapshot
are published while they go on. What readers do is measured in a fresh process each, with the memory
above an idle one. Left out: the page and the network.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import random
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from benchmarks.store_material import ANNOTATORS, answer, end_journal, make
from data.console import say, table
from data.store import Lease, Owner, Store
from data.store.places import Places

Figures = dict[str, float]
Triple = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is measured."""

    pairs: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    votes: int = 5
    scores: int = 32
    clients: int = ANNOTATORS
    think: float = 4.0
    """Seconds between getting a pair and answering it, mean of an exponential."""
    seconds: float = 15.0
    """Per phase."""
    folder: str = ""
    out: str = ""


@dataclass
class Clock:
    """How long things took, milliseconds; appended from many threads."""

    claims: list[float] = field(default_factory=list)
    votes: list[float] = field(default_factory=list)


def run(config: Config) -> list[Figures]:
    """Measure every size; print and write the table."""
    every: list[Figures] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(config.folder or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for pairs in config.pairs:
            every.append(measure(folder / f"p{pairs}.duckdb", pairs, config))
            say(f"{pairs} pairs: {json.dumps(every[-1])}")
    show(every)
    if config.out:
        Path(config.out).write_text(json.dumps(every, indent=1))
    return every


def measure(file: Path, pairs: int, config: Config) -> Figures:
    """All figures of one size; makes the database unless it is there already."""
    figures: Figures = {"pairs": pairs, "load average": round(os.getloadavg()[0], 1)}
    started = time.perf_counter()
    if not file.exists():
        make(file, pairs=pairs, votes=config.votes, scores=config.scores)
    end_journal(file)
    figures["made in, s"] = time.perf_counter() - started
    figures["file, MB"] = file.stat().st_size / 1e6
    Places.of(file).snapshot.unlink(missing_ok=True)
    for share in (0.5, 0.99):
        figures[f"floor: a line and fdatasync p{share * 100:.0f}, ms"] = quantile(
            floor(file), share
        )
    before = resident()
    with timed(figures, "open as owner, s"):
        owner = Store.own(file)
    with owner:
        some: list[Triple] = (
            owner.frame("pairs", ["id", "a", "b"]).sample(min(pairs, 50_000), seed=1).rows()
        )
        with timed(figures, "first next pair (loads in the background), s"):
            first = claim(owner, "nobody", some, config)
            assert first is not None
            owner.release(first.id)
        figures["owner's memory, MB"] = resident() - before
        people(owner, some, config, figures)
        snapshots(owner, some, config, figures)
    for name in LOOKS:
        with multiprocessing.get_context("spawn").Pool(1) as fresh:
            seconds, megabytes = fresh.apply(in_fresh_process, (name, str(file)))
        figures[f"{name}, s"], figures[f"{name}, MB"] = seconds, megabytes
    return {name: round(value, 3) for name, value in figures.items()}


def floor(file: Path) -> list[float]:
    """What this disk takes for a line of a journal, milliseconds: no vote can be faster."""
    times, scratch = [], file.with_suffix(".floor")
    with scratch.open("wb") as out:
        for _ in range(300):
            started = time.perf_counter()
            out.write(b"x" * 700)
            out.flush()
            os.fdatasync(out.fileno())
            times.append(1e3 * (time.perf_counter() - started))
    scratch.unlink()
    return times


def claim(owner: Owner, who: str, some: Sequence[Triple], config: Config) -> Lease | None:
    """The next pair in an order of one's own: every pair has one slot left."""
    start = random.Random(who).randrange(len(some))
    order = itertools.chain(some[start:], some[:start])
    return owner.claim(who, (one[0] for one in order), redundancy=config.votes + 1, seconds=600)


def people(owner: Owner, some: list[Triple], config: Config, figures: Figures) -> None:
    """Everybody at work at their pace, then as fast as they can."""
    for phase, think in (("at work", config.think), ("flat out", 0.0)):
        clock = work(owner, some, config, think, lambda: time.sleep(config.seconds))
        figures[f"{phase}: votes per s"] = len(clock.votes) / config.seconds
        for what, times in (("next pair", clock.claims), ("vote", clock.votes)):
            for share in (0.5, 0.99):
                figures[f"{phase}: {what} p{share * 100:.0f}, ms"] = quantile(times, share)


def snapshots(owner: Owner, some: list[Triple], config: Config, figures: Figures) -> None:
    """A first snapshot and then one of what is new, with everybody at work."""
    for name in ("full", "incremental"):

        def publish(name: str = name) -> None:
            time.sleep(1.0)
            with timed(figures, f"{name} snapshot, s"):
                owner.publish_snapshot()

        clock = work(owner, some, config, config.think, publish)
        figures[f"{name} snapshot: longest vote, ms"] = max(clock.votes, default=0.0)


def work(
    owner: Owner, some: list[Triple], config: Config, think: float, meanwhile: Callable[[], object]
) -> Clock:
    """`config.clients` people claim and vote until `meanwhile` has returned."""
    stop, clock = threading.Event(), Clock()
    known = {one[0]: one for one in some}

    def person(number: int) -> None:
        who, draw = f"person-{number}-{think}", random.Random(number)
        stop.wait(draw.uniform(0, think))
        while not stop.is_set():
            started = time.perf_counter()
            lease = claim(owner, who, some, config)
            clock.claims.append(1e3 * (time.perf_counter() - started))
            if lease is None or (think and stop.wait(draw.expovariate(1 / think))):
                return
            vote = answer(str(uuid.uuid4()), known[lease.pair], who)
            started = time.perf_counter()
            owner.vote(vote)
            clock.votes.append(1e3 * (time.perf_counter() - started))

    with ThreadPoolExecutor(config.clients) as pool:
        done = [pool.submit(person, number) for number in range(config.clients)]
        meanwhile()
        stop.set()
        for one in done:
            one.result()
    return clock


def _open(store: Store) -> object:
    return store.sequence


def _labels(store: Store) -> object:
    return store.labels("human")


def _agreement(store: Store) -> object:
    human, auto = (store.labels(name).select("pair", "chosen") for name in ("human", "auto"))
    return human.join(auto, on="pair", suffix="_auto").select(
        (pl.col("chosen") == pl.col("chosen_auto")).mean()
    )


def _dimensions(store: Store) -> object:
    return store.agreement()


def _votes(store: Store) -> object:
    return store.frame("votes", ["pair", "annotator", "outcome", "time_ms"])


LOOKS: dict[str, Callable[[Store], object]] = {
    "open and look": _open,
    "labels": _labels,
    "people against scorer": _agreement,
    "agreement per dimension": _dimensions,
    "four columns of all votes": _votes,
}
"""What readers do, each in a process of its own."""


def in_fresh_process(name: str, file: str) -> tuple[float, float]:
    """Seconds, and the most megabytes above an idle process with an open store."""
    with Store.open(file) as store:
        before, started = resident(), time.perf_counter()
        kept = LOOKS[name](store)
        seconds = time.perf_counter() - started
        most = resident("VmHWM")
        del kept
    return seconds, most - before


def resident(which: str = "VmRSS") -> float:
    """Memory of this process now (`VmRSS`) or at most so far (`VmHWM`), MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) * 1024 / 1e6


class timed:  # noqa: N801 - used as a statement
    """Put the seconds of a block into `figures`."""

    def __init__(self, figures: Figures, name: str) -> None:
        self._figures, self._name = figures, name

    def __enter__(self) -> None:
        """Start."""
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._figures[self._name] = time.perf_counter() - self._started


def quantile(times: list[float], share: float) -> float:
    """The value below which `share` of the times lie; 0 for none."""
    return sorted(times)[int(share * (len(times) - 1))] if times else 0.0


def show(every: list[Figures]) -> None:
    """One line per figure, one column per size, and how it grows from the first to the last."""
    grown = every[-1]["pairs"] / every[0]["pairs"]
    rows = [
        [name, *(f"{one[name]:,.4g}" for one in every), _growth(every, name)] for name in every[0]
    ]
    say(f"Growth: how many times the first value, for {grown:g} times the pairs")
    say(table(["figure", *(f"{one['pairs']:,.0f}" for one in every), "growth"], rows))


def _growth(every: list[Figures], name: str) -> str:
    first, last = every[0][name], every[-1][name]
    return f"x {last / first:.3g}" if first and len(every) > 1 else ""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    defaults = Config()
    parser.add_argument("--pairs", type=int, nargs="+", default=list(defaults.pairs))
    parser.add_argument("--clients", type=int, default=defaults.clients, help="people at work")
    parser.add_argument("--think", type=float, default=defaults.think, help="seconds per answer")
    parser.add_argument("--seconds", type=float, default=defaults.seconds, help="per phase")
    parser.add_argument(
        "--folder",
        default="",
        help="keep the databases here for another run; each run fills pairs",
    )
    parser.add_argument("--out", default="", help="write the figures here too, as JSON")
    given = vars(parser.parse_args())
    run(Config(**{**given, "pairs": tuple(given["pairs"])}))


if __name__ == "__main__":
    main()

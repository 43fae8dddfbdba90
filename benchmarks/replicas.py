"""A vote and a claim on one machine's file and on PostgreSQL, measured in the same run.

    python -m benchmarks.replicas --db bench.duckdb --db postgresql://user@host/empty

Every database must be empty; it gets some thousand pairs. Then so many clients at once claim a pair
and vote on it, as fast as they are answered (a person takes seconds: a client here stands for
dozens of people). The table says milliseconds per call and votes per second; the JSON has them all.
After the run the acknowledged votes are counted, and the digest of the PostgreSQL votes is compared
with that of a file that they were pulled into, which gives the time of a pull.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data import pull
from data.console import say
from data.errors import UserError, user_errors
from data.records import Candidate, Pair, Prompt, Record, Vote
from data.store import Owner, Store
from data.store.places import is_url, spoken


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to measure."""

    db: tuple[str, ...]
    clients: tuple[int, ...] = (1, 16)
    votes: int = 800
    out: str = "replicas.json"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One database under so many clients; milliseconds."""

    db: str
    clients: int
    claim_p50: float
    claim_p99: float
    vote_p50: float
    vote_p99: float
    votes_per_second: float


def world(pairs: int) -> list[Record]:
    """One prompt, and clips enough for so many pairs; no files."""
    prompt = Prompt(text="benchmark")
    clips = [
        Candidate(
            sha256=f"{n:064x}",
            prompt=prompt.id,
            path="/none",
            model="none",
            fps=8.0,
            frames=1,
            width=8,
            height=8,
        )
        for n in range(int((2 * pairs) ** 0.5) + 2)
    ]
    twos = [(one, other) for n, one in enumerate(clips) for other in clips[n + 1 :]][:pairs]
    return [
        prompt,
        *clips,
        *(Pair.of(one.sha256, other.sha256, prompt=prompt.id) for one, other in twos),
    ]


def timed(call: Callable[[], Any], spent: list[float]) -> Any:
    """The call's answer; its milliseconds are noted."""
    start = time.perf_counter()
    answer = call()
    spent.append((time.perf_counter() - start) * 1000)
    return answer


def percentile(spent: Sequence[float], share: float) -> float:
    """The value below which that share of the calls lies."""
    return sorted(spent)[min(len(spent) - 1, int(share * len(spent)))]


def measure(owner: Owner, name: str, clients: int, votes: int, pairs: Sequence[Pair]) -> Row:
    """So many clients share so many votes, each in a loop of claim and vote."""
    claims, casts = [], []
    known = {pair.id: pair for pair in pairs}

    def client(number: int) -> None:
        annotator = f"{clients}-{number}"
        ranked = [pair.id for pair in pairs[number * 37 % len(pairs) :]]
        for done in range(votes // clients):
            rest = ranked[done:]
            lease = timed(
                lambda rest=rest: owner.claim(annotator, rest, redundancy=10**6, seconds=60), claims
            )
            pair = known[lease.pair]
            vote = Vote(
                id=str(uuid.uuid4()),
                pair=pair.id,
                annotator=annotator,
                left=pair.a,
                right=pair.b,
                outcome="preference",
                preferred=pair.a,
                answers={"motion": "left"},
                watched={"left": 1.0, "right": 0.5},
                seconds=12.5,
            )
            if timed(lambda vote=vote: owner.vote(vote), casts).status != "stored":
                raise RuntimeError(f"{vote.id} was not stored")

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    rate = len(casts) / (time.perf_counter() - start)
    tails = {
        f"{what}_p{share:.0f}": round(percentile(spent, share / 100), 2)
        for what, spent in (("claim", claims), ("vote", casts))
        for share in (50.0, 99.0)
    }
    return Row(db=name, clients=clients, votes_per_second=round(rate, 1), **tails)


def run(config: Config) -> list[Row]:
    """Measure every database; prints the table and writes the JSON."""
    rows = []
    for place in config.db:
        name = spoken(place)
        with Store.own(place) as owner:
            if owner.count("pairs"):
                raise UserError(f"{name} is not empty; give --db an empty database of its own")
            records = world(config.votes + 1000)
            owner.add(records)
            pairs = [one for one in records if isinstance(one, Pair)]
            before = 0
            for clients in config.clients:
                rows.append(measure(owner, name, clients, config.votes, pairs))
                say(json.dumps(asdict(rows[-1])))
                before += config.votes // clients * clients
            if owner.count("votes") != before:
                raise RuntimeError(f"{before} votes acknowledged, {owner.count('votes')} stored")
        if is_url(place):
            _pulled(place, before)
    Path(config.out).write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return rows


def _pulled(place: str, votes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file, start = str(Path(folder) / "pulled.duckdb"), time.perf_counter()
        pull.run(pull.Config(source=place, db=file))
        seconds = time.perf_counter() - start
        with Store.open(place) as there, Store.open(file) as here:
            if there.digest() != here.digest():
                raise RuntimeError("the pulled votes differ")
    say(f"pulled {votes} votes in {seconds:.2f} s; equal digests")


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.replicas",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--db", action="append", required=True, help="an empty database; may be given twice"
    )
    parser.add_argument(
        "--clients", type=int, nargs="+", default=Config.clients, help="at once (default: 1 16)"
    )
    parser.add_argument(
        "--votes", type=int, default=Config.votes, help="per measurement (default: %(default)s)"
    )
    parser.add_argument("--out", default=Config.out, help="JSON (default: %(default)s)")
    given = parser.parse_args(argv)
    run(Config(db=tuple(given.db), clients=tuple(given.clients), votes=given.votes, out=given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

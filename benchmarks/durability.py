"""Kill owner and client at random moments, a thousand times: is what was acknowledged stored, once?

    python -m benchmarks.durability                   # 1,000 kills in 500 rounds
    python -m benchmarks.durability --kills 30        # what the tests run

Each round starts an owner, which votes, publishes snapshots and adds scores, and a client, which
votes through the owner's socket (or becomes owner itself where there is none), and ends both with
SIGKILL, each at a moment of its own; some die while they start and replay. A vote without an answer
is sent again in the next round, with the same id. At the end every acknowledged vote must be in the
table, none twice, and none that nobody sent; table and journal must hold the same votes; the scores
of one call must be all of one value; nothing temporary may be left behind.

Both are forked from this process, which has everything loaded and never opens the database before
the last kill: a round costs milliseconds, and not the start of an interpreter. Left out: power cuts
(the kernel survives a SIGKILL), and a full disk (`tests/data/store/test_disk.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

from data.console import say
from data.records import Pair, Record, Score, Vote
from data.store import Store, add
from data.store.places import Places
from data.store.repair import check

CLIPS = [f"{number:064x}" for number in range(6)]
PAIRS = [Pair.of(a, b, prompt="p", best=a, margin=0.1) for a, b in combinations(CLIPS, 2)]
Work = Callable[[Path, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Config:
    """How often, and when."""

    kills: int = 1000
    """Two per round: one owner and one client."""
    span: float = 0.15
    """Both kills fall within so many seconds: of the first answer, or (a quarter) of the start."""
    seed: int = 0
    db: str = ""
    """The database, which must not exist; empty for one in a temporary folder."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What came out."""

    kills: int
    acknowledged: int
    stored: int
    unacknowledged_but_stored: int
    """Stored by an owner that died before it could say so, at the end of the run."""
    lost: int
    double: int
    unknown: int
    torn_batches: int
    findings: int
    """Of `python -m data.store check`: table against journal, every line of the chain."""
    left_behind: int
    """Temporary files."""
    seconds: float

    @property
    def sound(self) -> bool:
        """Nothing lost, doubled, torn or left behind."""
        wrong = (self.lost, self.double, self.unknown, self.torn_batches, self.findings)
        return not any(wrong) and self.left_behind == 0


def run(config: Config) -> Tally:
    """Kill, then look."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(config.db or Path(scratch) / "prefs.duckdb")
        draw = random.Random(config.seed)
        numbers = {"o": 0, "c": 0}
        for done in range(2, config.kills + 1, 2):
            kill_once(path, numbers, draw, config.span)
            if done % 100 == 0:
                say(f"{done} kills, {numbers['o'] + numbers['c']} votes acknowledged")
        return look(path, numbers, kills=config.kills, started=started)


def kill_once(path: Path, numbers: dict[str, int], draw: random.Random, span: float) -> None:
    """One owner and one client, each killed at a moment; `numbers` move on by what they got."""
    plan = [(draw.uniform(0, span), *start(own_and_vote, path, numbers["o"]), "o")]
    plan.append((draw.uniform(0, span), *start(add_votes, path, numbers["c"]), "c"))
    if draw.random() < 0.75:  # the others die while they start, and replay
        select.select([answers for _, _, answers, _ in plan], [], [], 60.0)
    waited = 0.0
    for moment, process, _, _ in sorted(plan):
        time.sleep(moment - waited)
        waited = moment
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    for _, _, answers, who in plan:
        with os.fdopen(answers) as lines:
            for line in lines:
                if line.endswith("\n"):
                    numbers[who] = int(line) + 1


def start(work: Work, path: Path, number: int) -> tuple[int, int]:
    """Fork a process that does `work` for ever; its id, and where its answers can be read."""
    answers, say_it = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            work(path, number, say_it)
        finally:
            os._exit(1)
    os.close(say_it)
    return process, answers


def own_and_vote(path: Path, number: int, say_it: int) -> None:
    """An app: votes, with snapshots and scores beside."""
    with Store.own(path) as owner:
        owner.add(PAIRS)

        def bustle() -> None:
            turn = 0
            while True:
                turn += 1
                owner.add(scores(float(turn)))
                owner.publish_snapshot()
                time.sleep(0.01)

        threading.Thread(target=bustle, daemon=True).start()
        while True:
            owner.vote(vote("o", number))
            os.write(say_it, b"%d\n" % number)
            number += 1


def add_votes(path: Path, number: int, say_it: int) -> None:
    """A command that hands its votes to whoever owns the database."""
    while True:
        records: list[Record] = [*PAIRS, vote("c", number)]
        add(path, records)
        os.write(say_it, b"%d\n" % number)
        number += 1


def vote(who: str, number: int) -> Vote:
    """The vote with that number; always the same one."""
    pair = PAIRS[number % len(PAIRS)]
    return Vote(
        id=f"{who}{number}",
        pair=pair.id,
        annotator=f"{who}-ann-{number}",
        left=pair.b,
        right=pair.a,
        outcome="preference",
        preferred=pair.b,
    )


def scores(value: float) -> list[Score]:
    """A batch that must never be torn apart."""
    return [Score(candidate=c, scorer="s", version="1", dimension="d", value=value) for c in CLIPS]


def look(path: Path, numbers: dict[str, int], *, kills: int, started: float) -> Tally:
    """Compare what was acknowledged with what is there."""
    with Store.open(path) as store:
        stored = store.frame("votes", ["id"])["id"].to_list()
        batches = store.frame("scores", ["value"])["value"].n_unique()
    there = set(stored)
    acknowledged = {f"{who}{one}" for who, last in numbers.items() for one in range(last)}
    pending = {f"{who}{last}" for who, last in numbers.items()}
    places = Places.of(path)
    return Tally(
        kills=kills,
        acknowledged=len(acknowledged),
        stored=len(stored),
        unacknowledged_but_stored=len(there & pending),
        lost=len(acknowledged - there),
        double=len(stored) - len(there),
        unknown=len(there - acknowledged - pending),
        torn_batches=max(0, batches - 1),
        findings=len(check(places)),
        left_behind=len(list(path.parent.glob(".*draft*")) + list(path.parent.glob(".*view*"))),
        seconds=round(time.perf_counter() - started, 1),
    )


def main() -> int:
    """The command line; 1 if anything was lost or doubled."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=Config.kills, help="two per round")
    parser.add_argument("--span", type=float, default=Config.span, help="seconds of one round")
    parser.add_argument("--seed", type=int, default=Config.seed, help="of the moments")
    parser.add_argument("--db", default=Config.db, help="a database that does not exist yet")
    tally = run(Config(**vars(parser.parse_args())))
    say(json.dumps(asdict(tally)))
    say("sound" if tally.sound else "NOT SOUND")
    return 0 if tally.sound else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""A process that is one replica of the app on a shared database, for the tests that kill it.

Reads one request per line: `vote <number>` stores the vote `v<number>` and answers
`ack <number> <status>`; `claim <redundancy> <pair> <annotators>` lets those (joined by commas) ask
for that pair at once, and answers with the names of those who got a lease.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from data.store import Owner, Store

sys.path.insert(0, str(Path(__file__).parent))

from material import PAIRS, vote


def answer(owner: Owner, request: list[str]) -> str:
    if request[0] == "vote":
        number = int(request[1])
        cast = vote(PAIRS[number % len(PAIRS)], f"ann{number}", id=f"v{number}")
        return f"ack {number} {owner.vote(cast).status}"
    redundancy, pair, names = int(request[1]), request[2], request[3].split(",")

    def claim(name: str) -> bool:
        return owner.claim(name, [pair], redundancy=redundancy, seconds=60) is not None

    with ThreadPoolExecutor(len(names)) as pool:
        got = list(pool.map(claim, names))
    return " ".join(name for name, has in zip(names, got, strict=True) if has) or "nobody"


def main() -> None:
    """Serve the database in argument 1."""
    with Store.own(sys.argv[1]) as owner:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for line in sys.stdin:
            sys.stdout.write(f"{answer(owner, line.split())}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

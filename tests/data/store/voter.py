"""A process that owns the database and votes what it is told, for the tests that kill it.

Reads one vote number per line, stores the vote `v<number>`, and answers `ack <number> <status>`.
Meanwhile it publishes snapshots and adds scores, so that a kill hits those too.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path

from data.store import Store

sys.path.insert(0, str(Path(__file__).parent))

from material import PAIRS, SCORES, vote


def main() -> None:
    """Own the database in argument 1."""
    with Store.own(sys.argv[1]) as owner:

        def bustle() -> None:
            turn = 0
            while True:
                turn += 1
                owner.publish_snapshot()
                owner.add([replace(score, value=float(turn)) for score in SCORES])

        threading.Thread(target=bustle, daemon=True).start()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for line in sys.stdin:
            number = int(line)
            pair = PAIRS[number % len(PAIRS)]
            status = owner.vote(vote(pair, f"ann{number}", id=f"v{number}")).status
            sys.stdout.write(f"ack {number} {status}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

"""The store: one DuckDB file, one writing process at a time, any number of readers. SQL lives here.

    with Store.open("prefs.duckdb") as store:     # any process, any time
        votes = store.frame("votes")              # Polars; store.all("votes") gives records
        store.add(records)                        # journalled votes included

    owner = Store.own("prefs.duckdb")             # the app
    receipt = owner.vote(vote)                    # on disk, committed and read back

Beside the file lie `.lock` (who owns it), `.journal` (every vote, chained by hashes), `.sock`
(where the owner listens) and `prefs.snapshot.duckdb`, which other tools may open. Left out on
purpose: network file systems (locks do not hold there). For several machines the same interface
runs on PostgreSQL: give `postgresql://user@host/name` instead of a file (see `postgres`).
"""

from data.store.owner import Owner
from data.store.slots import Lease
from data.store.store import Store, add, add_tables
from data.store.voting import Receipt

__all__ = ["Lease", "Owner", "Receipt", "Store", "add", "add_tables"]

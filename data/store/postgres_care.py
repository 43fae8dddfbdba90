"""What `python -m data.store` does on a PostgreSQL server.

`check` verifies the chain of all votes. `backup` pulls everything into a file and backs that up.
`erase` changes the rows and has the tables written anew. `merge` adds what the server lacks.
Mending a damaged server (`repair`, `rebuild`, `restore` into it) is left to PostgreSQL's own tools:
the file of a backup is restored to a file, and merged into an empty server.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import polars as pl
import psycopg

from data.errors import UserError
from data.records import KINDS, Vote
from data.store import postgres_sql
from data.store.backup import backup
from data.store.erase import told, without
from data.store.journal import ERASED, chained, genesis, salted
from data.store.people import People, spelling
from data.store.people_schema import ENTRANCES
from data.store.places import Places, spoken
from data.store.postgres import PostgresStore, open_view
from data.store.postgres_link import Cursor, run
from data.store.rows import SCHEMAS, json_text, to_votes, vote_payload, vote_row
from data.store.store import Store, add_tables

STEP = 20_000
"""Votes that are in memory at a time."""
_PART = 100_000
"""Records of one transaction of a merge."""
_CHANGED = [name for name in SCHEMAS["votes"].names if name not in ("id", "pair", "left", "right")]
_SETTINGS = ", ".join(f'"{name}" = %s' for name in [*_CHANGED, "salt"])
_NAMING = (
    "UPDATE runs SET config = replace(config, %(old)s, %(new)s) "
    "WHERE position(%(old)s IN config) > 0",
    'UPDATE decisions SET "values" = replace("values", %(old)s, %(new)s), '
    "subject = CASE subject WHEN %(person)s THEN %(pseudonym)s ELSE subject END, "
    '"by" = CASE "by" WHEN %(person)s THEN %(pseudonym)s ELSE "by" END '
    'WHERE subject = %(person)s OR "by" = %(person)s OR position(%(old)s IN "values") > 0',
    "DELETE FROM leases WHERE annotator = %(person)s",
)
_REWRITTEN = ("votes", "decisions", "runs", "leases", "people", *ENTRANCES)


def check(url: str) -> list[str]:
    """Where the chain of the votes is broken, one sentence each; [] for nowhere."""
    found: list[str] = []
    with open_view(url) as store:
        chain, before = genesis(store.identity()), 0
        for vote, seq, salt, link in _chained(store):
            found += [f"vote {lost} is missing" for lost in range(before + 1, seq)]
            expected = chained(chain, seq, salted(salt, vote_payload(vote)))
            if expected != link and seq == before + 1:
                found.append(f"vote {seq} ({vote.id}) is not the one that was chained")
            chain, before = link, seq
        end = range(before + 1, store.sequence + 1)
        return [*found, *(f"vote {lost} is missing" for lost in end)]


def _chained(store: PostgresStore) -> Iterator[tuple[Vote, int, str, str]]:
    """Votes in order with their number, salt and chain value; some of them in memory at a time."""
    between = "seq > %s AND seq <= %s"
    columns = f'SELECT seq, salt, "chain" FROM votes WHERE {between} ORDER BY seq'
    for start in range(0, store.sequence, STEP):
        some = (start, min(start + STEP, store.sequence))
        votes = to_votes(store._table("votes", between, some))
        links = store._read(lambda cursor, _, some=some: run(cursor, columns, some).fetchall())
        yield from ((vote, *link) for vote, link in zip(votes, links, strict=True))


def back_up(url: str, folder: Path, *, now_ms: int) -> Path:
    """Pull everything that the server holds at this moment, and back that file up.

    Raises:
        UserError: as `data.pull` and `backup`; or the file does not hold what the server did.
    """
    from data import pull  # above this package: it brings a server into a file

    with open_view(url) as store:
        held = {kind: store.count(kind) for kind in KINDS}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pulled-", dir=folder) as scratch:
        file = Path(scratch) / f"{spoken(url).rpartition('/')[2] or 'postgres'}.duckdb"
        pull.run(pull.Config(source=url, db=str(file)))
        with Store.open(file, create=True) as copy:
            lacking = [kind for kind in KINDS if copy.count(kind) < held[kind]]
        if lacking:
            raise UserError(f"{spoken(url)}: not all {', '.join(lacking)} came; try again")
        return backup(Places.of(file), folder, now_ms=now_ms)


def merge(url: str, other: Places) -> list[str]:
    """Add every record of a file that the server lacks; what was done.

    What both describe stays as the server has it; scores and runs of the file that differ count
    from then on, as with any `add`.
    """
    done = []
    with Store.open(other.database) as source:
        for kind in KINDS:
            rows = source.frame(kind).to_arrow().cast(SCHEMAS[kind])
            parts = (rows.slice(start, _PART) for start in range(0, rows.num_rows, _PART))
            done.append(f"{kind}: {sum(add_tables(url, {kind: part}) for part in parts)} new")
    return done


def erase(url: str, person: str, *, votes: bool = False) -> list[str]:
    """As `data.store.erase.erase`, in the server's tables; what was done and what is left."""
    with contextlib.closing(People.of(url)) as people:
        account = people.named(spelling(person)) or people.get(person)
        done = _erase_votes(url, account.id if account else person, votes=votes)
        if account is not None:
            people.remove(account.id)
            done.append(f"{account.id} is nobody's account in {people.where} any more")
        elif not done:
            raise UserError(
                f"No vote on {spoken(url)} is by {person!r}, and nothing else names them. Nothing "
                "was changed"
            )
    return [
        *done,
        *_written_anew(url),
        "the server's log of changes, its backups, and files that were pulled before may still hold"
        " the name and the comments: erase in those files too, and let the others expire",
    ]


def _written_anew(url: str) -> list[str]:
    """Have the files of the tables written anew, where the old rows would stay; what was refused.

    The planner's statistics hold names as well: the most common annotators.
    """
    said: list[str] = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: said.append(str(notice.message_primary)))
        for table in _REWRITTEN:
            connection.execute(f"VACUUM (FULL, ANALYZE) {table}".encode())
        connection.execute(b"VACUUM (FULL) pg_catalog.pg_statistic")
    return [f"the server says: {notice}" for notice in said]


def _erase_votes(url: str, person: str, *, votes: bool) -> list[str]:
    pseudonym = f"erased-{secrets.token_hex(8)}"

    def task(cursor: Cursor) -> tuple[int, int]:
        return _rewrite(cursor, person, pseudonym, votes=votes)

    with open_view(url) as store:
        count, others = store._link.attempt(task)
    return [told(count, pseudonym, votes=votes)] if count or others else []


def _rewrite(cursor: Cursor, person: str, pseudonym: str, *, votes: bool) -> tuple[int, int]:
    """Change every row that names the person; how many votes, and how many others."""
    run(cursor, "SELECT FROM heads WHERE kind = 'votes' FOR UPDATE")  # no vote comes in between
    mine = "annotator = %s"
    rows = cast(pl.DataFrame, pl.from_arrow(postgres_sql.table(cursor, "votes", mine, (person,))))
    salts = run(cursor, f"SELECT salt FROM votes WHERE {mine} ORDER BY seq", [person]).fetchall()
    for vote, (salt,) in zip(to_votes(rows), salts, strict=True):
        left = without(vote, pseudonym, votes=votes)
        values = dict(zip(SCHEMAS["votes"].names, vote_row(left), strict=True))
        kept = f"{ERASED}{salted(salt, vote_payload(vote))}"
        settings = [*(values[name] for name in _CHANGED), kept, vote.id]
        run(cursor, f"UPDATE votes SET {_SETTINGS} WHERE id = %s", settings)
    facts = {"person": person, "pseudonym": pseudonym}
    facts |= {"old": json_text(person), "new": json_text(pseudonym)}
    others = 0
    for statement in _NAMING:
        names = {name: value for name, value in facts.items() if f"%({name})s" in statement}
        others += cursor.execute(statement.encode(), names).rowcount
    return rows.height, others

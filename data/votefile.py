"""Votes that were cast elsewhere: `python -m data.ingest --votes FILE --db prefs.duckdb`.

The columns of a file and the words of its answers are read by `data.ballots`; the project's own
exports (votes with their pair ids) by `data.exported`. Each row becomes a vote about a pair of two
clips of one prompt, in the campaign `votes-<file name>` unless another is named.

- A clip whose path is a file here (relative to the vote file) is admitted like any other. Of every
  other clip only the votes are known: its candidate has no path and sizes 0, and its identity is a
  hash of prompt, generator and the file's word for it. Such pairs count in every report, cannot be
  shown, scored or trained on, and everything that needs the clip says so.
- A row without a prompt's text gets its item's id as the prompt, and without that one of its own:
  nothing then tells which votes were about the same thing.
- A row without an annotator is by somebody of its own, `anonymous-...`.
- Votes are blind unless the file says otherwise: nobody saw OmniScore elsewhere.

A vote's id is a hash (UUID 5) of what its row says, so that the same file twice counts once. The
same row twice is a duplicate. Two answers of one person about one pair: the later one stands and
revises the earlier; different ones within `CONTRADICTION_MS`, or without times, are contradictions.
All of these, and every row that cannot go in, are counted and named by their lines.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import cast, get_args

from data import exported
from data.ballots import Answer, Ballot, Reading, read
from data.errors import UserError
from data.provenance import finished, now_ms
from data.records import Pair, Record, Split, Vote
from data.store import Store
from data.voteclips import Shelf

CONTRADICTION_MS = 10_000
"""Nobody watches two clips again and changes his mind in so little time; a double click may."""
STRATEGY = "imported"
_NAMESPACE = uuid.UUID("6f0f3c1e-3a0e-5d5c-9b1b-0e6a4d2f7c11")
_BATCH = 20_000
"""Votes per write: an interrupted import keeps what came before."""


@dataclass(slots=True, kw_only=True)
class Report:
    """What became of the rows."""

    rows: int = 0
    new: int = 0
    there: int = 0
    """Votes that the database held already, from the same rows before."""
    clips: int = 0
    """Clips in the file."""
    without: int = 0
    """Of them, clips that only votes are known of."""
    duplicates: list[int] = field(default_factory=list)
    """Lines that say the same as an earlier one, to the last cell."""
    contradictions: list[int] = field(default_factory=list)
    """Lines that contradict an earlier answer of the same person within seconds."""
    changed: list[int] = field(default_factory=list)
    """Lines where a person answers a pair again, later; the same or otherwise."""
    refused: dict[str, list[int]] = field(default_factory=dict)
    """Reason -> the lines that cannot go in."""
    ignored: tuple[str, ...] = ()
    """Columns that were not read."""

    def refuse(self, line: int, reason: str) -> None:
        """Name a row that cannot go in."""
        self.refused.setdefault(reason, []).append(line)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to read one file."""

    campaign: str = ""
    """Empty: `votes-<file name>`."""
    split: Split = "train"
    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Answer] = field(default_factory=dict)


def options(campaign: str, split: Split, columns: Sequence[str], values: Sequence[str]) -> Options:
    """The options as the command line gives them: texts `FIELD=COLUMN,...` and `WORD=ANSWER,...`.

    Raises:
        UserError: a text of another form, or an answer that there is not.
    """
    words = _named("values", values)
    unknown = [answer for answer in words.values() if answer not in get_args(Answer)]
    if unknown:
        allowed = ", ".join(get_args(Answer))
        raise UserError(f"--values names the answer {unknown[0]!r}; it must be one of {allowed}")
    return Options(
        campaign=campaign,
        split=split,
        columns=_named("columns", columns),
        values=cast("Mapping[str, Answer]", words),
    )


def _named(option: str, given: Sequence[str]) -> dict[str, str]:
    named = {}
    for part in ",".join(given).split(",") if given else ():
        name, equals, value = (text.strip() for text in part.partition("="))
        if not (name and equals and value):
            raise UserError(f"--{option} has {part!r}; give NAME=VALUE, several with commas")
        named[name] = value
    return named


def run(files: Sequence[str], db: str, options: Options) -> dict[str, Report]:
    """Take in the votes of every file; what became of each.

    Raises:
        UserError: a file that cannot be read as votes, or a database that cannot be written.
    """
    readings = {path: _read(Path(path), options) for path in files}  # before there is a database
    reports = {}
    for path, reading in readings.items():
        started = now_ms()
        with Store.open(db, create=True) as store:
            reports[path] = found = take_in(store, Path(path), reading, db, options)
            if found.new:
                facts = {"votes": path, "db": db, **asdict(options)}
                metrics = {"new": found.new, "there": found.there, "rows": found.rows}
                store.add([finished("ingest", facts, started, metrics)])
    return reports


def _read(path: Path, options: Options) -> Reading | None:
    """What another tool's file says; None for an export of this project, which names records."""
    return None if exported.is_export(path) else read(path, options.columns, options.values)


def take_in(store: Store, path: Path, reading: Reading | None, db: str, options: Options) -> Report:
    """Add the votes of one file, as `_read` found them, to the database.

    Raises:
        UserError: an export cannot be read, or the database not be written.
    """
    if reading is None:
        report = Report()
        votes, records = exported.read(store, path, report.refuse)
        report.rows = len(votes) + sum(map(len, report.refused.values()))
    else:
        report, records, votes = _elsewhere(store, path, reading, db, options)
    known = set(store.frame("votes", ["id"])["id"])
    report.there = sum(vote.id in known for vote in votes)
    report.new = len(votes) - report.there
    store.add(records)
    for start in range(0, len(votes), _BATCH):
        store.add(votes[start : start + _BATCH])
    return report


def _elsewhere(
    store: Store, path: Path, found: Reading, db: str, options: Options
) -> tuple[Report, list[Record], list[Vote]]:
    """A file of another tool: the report so far, the new records, and the votes in order."""
    report = Report(rows=len(found.ballots), ignored=found.ignored)
    campaign = options.campaign or f"votes-{path.stem}"
    shelf = Shelf(store, path.parent, db, options.split)
    made: dict[str, tuple[Vote, int]] = {}
    for ballot, again in _told_apart(found.ballots, report):
        vote = _vote(ballot, again, campaign, shelf, report)
        if vote is not None:
            made[vote.id] = (vote, ballot.line)
    report.clips = len(shelf.clips)
    report.without = sum(not clip.path for clip in shelf.clips.values())
    return report, shelf.records, _in_order(made.values(), report)


def _told_apart(ballots: Iterable[Ballot], report: Report) -> list[tuple[Ballot, int]]:
    """Each ballot with the number of equal ones before it; duplicates and problems leave.

    Rows that name nobody may say the same and be different votes: those are kept and numbered.
    """
    seen: Counter[str] = Counter()
    kept = []
    for ballot in ballots:
        if ballot.problem:
            report.refuse(ballot.line, ballot.problem)
            continue
        key = _content(ballot)
        if ballot.annotator and seen[key]:
            report.duplicates.append(ballot.line)
        else:
            kept.append((ballot, seen[key]))
        seen[key] += 1
    return kept


def _content(ballot: Ballot) -> str:
    """What a row says, without its place in the file."""
    said = {name: getattr(ballot, name) for name in Ballot.__slots__ if name != "line"}
    return json.dumps(said, sort_keys=True, ensure_ascii=False)


def _vote(ballot: Ballot, again: int, campaign: str, shelf: Shelf, report: Report) -> Vote | None:
    mark = uuid.uuid5(_NAMESPACE, json.dumps([campaign, _content(ballot), again]))
    named = ballot.prompt or (f"item {ballot.item}" if ballot.item else f"vote {mark.hex[:12]}")
    prompt = shelf.prompt(named if ballot.prompt else f"({named}; its prompt is not known)")
    try:
        left = shelf.clip(prompt, ballot.left, ballot.left_model)
        right = shelf.clip(prompt, ballot.right, ballot.right_model)
    except ValueError as error:
        report.refuse(ballot.line, str(error))
        return None
    if left == right:
        report.refuse(ballot.line, "left and right are one clip, as far as the file says")
        return None
    pair = shelf.pair(Pair.of(left, right, prompt=prompt.id, campaign=campaign, strategy=STRATEGY))
    sides = {"left": left, "right": right}
    preferred = sides.get(ballot.answer)
    tied = ballot.answer in ("tie", "unusable")
    return Vote(
        id=str(mark),
        pair=pair,
        annotator=ballot.annotator or f"anonymous-{mark.hex[:12]}",
        left=left,
        right=right,
        outcome="preference" if preferred else "tie" if tied else "skip",
        preferred=preferred,
        unusable=ballot.answer == "unusable",
        answers=ballot.answers,
        exposure=ballot.exposure,
        reason=ballot.comment,
        seconds=ballot.seconds,
        time_ms=ballot.time_ms,
    )


def _in_order(given: Iterable[tuple[Vote, int]], report: Report) -> list[Vote]:
    """The votes by time (by line where there is none), later answers revising earlier ones."""
    newest: dict[tuple[str, str], Vote] = {}
    made = []
    for vote, line in sorted(given, key=lambda one: (one[0].time_ms, one[1])):
        earlier = newest.get((vote.pair, vote.annotator))
        if earlier is not None:
            apart = vote.time_ms - earlier.time_ms
            other = (vote.outcome, vote.preferred) != (earlier.outcome, earlier.preferred)
            at_once = not earlier.time_ms or apart <= CONTRADICTION_MS
            (report.contradictions if other and at_once else report.changed).append(line)
            vote = replace(vote, revises=earlier.id)
        newest[vote.pair, vote.annotator] = vote
        made.append(vote)
    return made


def told(path: str, report: Report) -> list[str]:
    """The report for people, one line each."""
    lines = [
        f"refused  {path}: {reason}: {_lines(where)}" for reason, where in report.refused.items()
    ]
    for name, what, where in (
        ("twice", "said before, word for word; counted once", report.duplicates),
        ("opposed", "another answer of the same person within seconds", report.contradictions),
        ("again", "answered again later; the later answer stands", report.changed),
    ):
        if where:
            lines.append(f"{name:8} {path}: {what}: {_lines(where)}")
    if report.ignored:
        lines.append(f"unread   {path}: columns {', '.join(report.ignored)}")
    if report.without:
        lines.append(
            f"no clip  {path}: only votes are known of {report.without} of {report.clips} clips; "
            "they count in reports and cannot be shown or trained on"
        )
    refused = sum(map(len, report.refused.values()))
    lines.append(
        f"{path}: {report.rows} rows, {report.new} new votes, {report.there} already there, "
        f"{len(report.duplicates)} duplicates, {refused} refused"
    )
    return lines


def _lines(where: Sequence[int]) -> str:
    """`3 rows (lines 4, 9, 12)`; the first 50 of them."""
    named = ", ".join(map(str, where[:50])) + (", ..." if len(where) > 50 else "")
    one = len(where) == 1
    return f"{len(where)} row{'' if one else 's'} (line{'' if one else 's'} {named})"

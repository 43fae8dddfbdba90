"""Pairs that somebody has a label for: `python -m data.ingest --pairs FILE_OR_FOLDER --db ...`.

A file with the columns `prompt`, `chosen`, `rejected`, or a VideoDPO folder with `pair.json`
(`data.preference_files`). Each row becomes a pair of two admitted clips whose `best` is the chosen
one: a scorer's opinion, as `--labels auto` trains on, and nobody's vote. It goes into the campaign
`pairs-<name>` unless another is named. The scorer's margin and profile are kept where the file has
them and the profile is one of ours. Rows that say that people made them are refused: people's
answers come in as votes, one by one (`--votes`). VideoDPO's `score` of a pair says how frequent it
is, and is not kept: pair weights are worked out from the clips' scores (`python -m scorers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.errors import UserError
from data.omniscore import PROFILES
from data.preference_files import LabelledPair, read
from data.provenance import finished, now_ms
from data.records import Pair, Prompt, Split
from data.store import Store
from data.voteclips import Shelf

STRATEGY = "imported"


@dataclass(slots=True, kw_only=True)
class Report:
    """What became of the rows of one file."""

    rows: int = 0
    new: int = 0
    there: int = 0
    """Pairs that the database held already."""
    refused: dict[str, list[int]] = field(default_factory=dict)
    """Reason -> places in the file."""

    def refuse(self, place: int, reason: str) -> None:
        """Name a row that cannot go in."""
        self.refused.setdefault(reason, []).append(place)


def run(files: Sequence[str], db: str, campaign: str = "", split: Split = "train") -> list[Report]:
    """Takes in the pairs of every file or folder; what became of each, in order.

    Args:
        files: As `data.preference_files.read` takes them.
        db: The database; made if there is none.
        campaign: Of the pairs; empty: `pairs-<name>`.
        split: Of prompts that the database does not know and the file does not place.

    Raises:
        UserError: A file that cannot be read as pairs, or a database that cannot be written.
    """
    readings = [(Path(name), _rows(name)) for name in files]  # before there is a database
    reports = []
    for path, rows in readings:
        started = now_ms()
        with Store.open(db, create=True) as store:
            found = take_in(store, path, rows, db, campaign or f"pairs-{path.stem}", split)
            if found.new:
                facts = {"pairs": str(path), "db": db, "campaign": campaign}
                metrics = {"new": found.new, "there": found.there, "rows": found.rows}
                store.add([finished("ingest", facts, started, metrics)])
        reports.append(found)
    return reports


_Rows = list[tuple[int, LabelledPair | str]]


def _rows(name: str) -> _Rows:
    if not Path(name).exists():
        raise UserError(f"--pairs {name}: there is no such file or folder")
    return list(read(Path(name)))


def take_in(store: Store, path: Path, rows: _Rows, db: str, campaign: str, split: Split) -> Report:
    """Adds the pairs of one file, with their clips and prompts."""
    report = Report()
    known = {pair.id for pair in store.all("pairs")}
    folder = path if path.is_dir() else path.parent
    shelves = {one: Shelf(store, folder, db, one) for one in ("train", "test")}
    pairs: dict[str, Pair] = {}
    for place, row in rows:
        report.rows += 1
        if isinstance(row, str):
            report.refuse(place, row)
            continue
        try:
            pair = _pair(row, shelves, folder, campaign, split)
        except ValueError as error:
            report.refuse(place, str(error))
            continue
        pairs[pair.id] = pair
    store.add([record for shelf in shelves.values() for record in shelf.records])
    store.add([pair for pair in pairs.values() if pair.id not in known])
    report.there = len(pairs.keys() & known)
    report.new = len(pairs) - report.there
    return report


def _pair(
    row: LabelledPair, shelves: dict[str, Shelf], folder: Path, campaign: str, split: Split
) -> Pair:
    """The row as a pair.

    Raises:
        ValueError: why it cannot go in.
    """
    if row.source != "auto":
        raise ValueError(
            f"its label is of source {row.source!r}: people's answers come in with --votes, from "
            "votes.parquet"
        )
    shelf = shelves[split if row.split not in shelves else row.split]
    prompt = shelf.prompt(row.prompt)
    clips = [
        _clip(shelf, folder, prompt, path, model)
        for path, model in ((row.chosen, row.chosen_model), (row.rejected, row.rejected_model))
    ]
    if clips[0] == clips[1]:
        raise ValueError("chosen and rejected are one clip")
    ours = row.profile in PROFILES
    return Pair.of(
        *clips, prompt=prompt.id, best=clips[0], campaign=campaign, strategy=STRATEGY,
        profile=row.profile if ours else "", margin=row.margin if ours else None,
    )  # fmt: skip


def _clip(shelf: Shelf, folder: Path, prompt: Prompt, path: str, model: str) -> str:
    """Hash of an admitted clip; one that is not there is refused, not remembered by its name."""
    if not (folder / path).is_file():
        raise ValueError(f"there is no clip {path}")
    return shelf.clip(prompt, path, model)


def told(path: str, report: Report) -> list[str]:
    """The report for people, one line each."""
    lines = [
        f"refused  {path}: {reason}: {len(places)} rows ({', '.join(map(str, places[:50]))})"
        for reason, places in report.refused.items()
    ]
    refused = sum(map(len, report.refused.values()))
    return [
        *lines,
        f"{path}: {report.rows} rows, {report.new} new pairs, {report.there} already there, "
        f"{refused} refused",
    ]

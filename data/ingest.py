"""Take in clips that people already have: `python -m data.ingest SOURCE... --db prefs.duckdb`.

A source is a manifest (CSV, TSV, JSONL, Parquet: columns in `data.exchange`), a folder of clips
(prompts found as `data.folders` says), or one clip. Each clip is decoded once to know that it is
whole, hashed, left as it is and where it is, and given a copy that browsers play. A clip's hash is
its identity: the same file twice is one candidate.

A clip that cannot go in is reported with its file and the reason, and the rest goes in; nothing is
ever put in its place. The same bytes for two prompts are a contradiction and go in once at most.
Run again after an interruption: what is there already is only hashed.

Votes that were cast in another tool come in with `--votes FILE` (CSV, TSV, JSONL, JSON, Parquet:
columns and words in `data.ballots`), with or without their clips (`data.votefile`).

    python -m data.ingest ../shared/data/videodpo_pairs/manifest.csv
    python -m data.ingest my_clips/ --prompt-from name --model-from folder
    python -m data.ingest --votes arena.csv --columns annotator=judge,time=tstamp

Exit code: 0 everything is in, 1 something was refused, 2 the call or a manifest was wrong.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from tqdm import tqdm

from data import clips, exchange, folders, video, votefile
from data.console import say
from data.errors import UserError, user_errors
from data.exchange import Entry
from data.provenance import finished, now_ms
from data.records import Candidate, Prompt, Record, Run, Split
from data.store import Store

_BATCH = 64
"""Clips per write: an interrupted ingest keeps what came before."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to take in, and what to assume where a source does not say."""

    sources: tuple[str, ...] = ()
    votes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    campaign: str = ""
    db: str = "prefs.duckdb"
    split: Split = "train"
    model: str = ""
    prompt_from: folders.PromptFrom = "files"
    model_from: folders.ModelFrom = "option"
    max_frames: int = video.MAX_FRAMES
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)


@dataclass(slots=True)
class Report:
    """What became of the clips."""

    new: int = 0
    there: int = 0
    """Clips whose bytes were known, from before or from earlier in the same call."""
    refused: list[tuple[str, str]] = field(default_factory=list)
    """File or row, and the reason."""
    differing: list[tuple[str, str]] = field(default_factory=list)
    """File or row of a known clip, and what is said differently here; the first account stays."""


def run(config: Config) -> Report:
    """Take every clip of every source in; see the module's text.

    Raises:
        UserError: a source that cannot be read at all, or a database or clip folder that cannot be
            written. What went in before stays in.
    """
    started = now_ms()
    entries = [entry for source in config.sources for entry in _entries(source, config)]
    report, batch = Report(), list[Record]()
    with Store.open(config.db, create=True) as store:
        ledger = Ledger(store)
        try:
            for entry, taken in zip(entries, _examined(entries, config, ledger), strict=True):
                if isinstance(taken, Candidate):
                    taken = ledger.accept(entry, _prompt(entry, config), taken, report)
                if isinstance(taken, str):
                    report.refused.append((entry.where, taken))
                else:
                    batch += taken
                if len(batch) >= _BATCH:
                    store.add(batch)
                    batch.clear()
        except BaseException:  # a full disk, Ctrl-C: what was done is kept
            store.add(batch)
            raise
        if report.new:
            store.add([*batch, _record(config, report, started)])
    return report


class Ledger:
    """What the database knows while clips come in, so that no record contradicts another."""

    def __init__(self, store: Store) -> None:
        self.candidates = {one.sha256: one for one in store.all("candidates")}
        self.prompts = {one.id: one for one in store.all("prompts")}

    def accept(
        self, entry: Entry, prompt: Prompt, candidate: Candidate, report: Report
    ) -> tuple[Record, ...] | str:
        """The records to add (none where all is known), or why this clip cannot go in."""
        recorded, other = self.prompts.get(prompt.id), self.candidates.get(candidate.sha256)
        if other and other.prompt != prompt.id:
            return (
                f"the same bytes as {other.path}, which was made for another prompt "
                f"({self.prompts[other.prompt].text[:80]!r}); one clip has one prompt"
            )
        if recorded and recorded.split != prompt.split:
            return (
                f"its prompt is recorded in the split {recorded.split!r}, here it is "
                f"{prompt.split!r}; a prompt is in one split: use --split {recorded.split}"
            )
        if other:
            report.there += 1
            report.differing += [(entry.where, text) for text in _differences(entry, other)]
            return ()
        report.new += 1
        self.prompts[prompt.id] = prompt
        self.candidates[candidate.sha256] = candidate
        return (candidate,) if recorded else (prompt, candidate)


def _differences(entry: Entry, known: Candidate) -> list[str]:
    """What a row says about a known clip that its record does not."""
    return [
        f"{name} {getattr(entry, name)!r}, recorded as {getattr(known, name)!r}"
        for name in ("model", "adapter", "seed")
        if getattr(entry, name) not in ("", None, getattr(known, name))
    ]


def _entries(source: str, config: Config) -> list[Entry]:
    path = Path(source)
    if path.is_file() and path.suffix.lower() in exchange.MANIFESTS:
        return exchange.read_manifest(path)
    return folders.read_folder(
        path,
        prompt_from=config.prompt_from,
        model_from=config.model_from,
        skip=frozenset({clips.clip_folder(config.db)}),
    )


def _examined(
    entries: Sequence[Entry], config: Config, ledger: Ledger
) -> Iterator[Candidate | str]:
    """Each clip as a candidate or why it is none, in order; at once, as PyAV frees the GIL."""
    known = dict(ledger.candidates)
    pool = ThreadPoolExecutor(max(1, config.workers))
    try:
        results = pool.map(lambda entry: _examine(entry, config, known), entries)
        yield from tqdm(results, total=len(entries), unit="clip", desc="ingest")
    finally:
        pool.shutdown(cancel_futures=True)


def _examine(entry: Entry, config: Config, known: dict[str, Candidate]) -> Candidate | str:
    if entry.problem:
        return entry.problem
    try:
        sha256 = clips.fingerprint(entry.path)
        if sha256 in known and clips.playable(config.db, sha256).exists():
            return known[sha256]
        return clips.admit(
            config.db,
            entry.path,
            prompt=_prompt(entry, config),
            model=entry.model or config.model,
            adapter=entry.adapter,
            seed=entry.seed,
            settings=entry.settings,
            fps=entry.fps,
            max_frames=config.max_frames,
        )
    except video.ClipError as error:
        return error.reason if entry.where.endswith(error.path.name) else str(error)


def _prompt(entry: Entry, config: Config) -> Prompt:
    return Prompt(text=entry.prompt, split=entry.split or config.split, source=entry.where)


def _record(config: Config, report: Report, started: int) -> Run:
    metrics = {"new": report.new, "there": report.there, "refused": len(report.refused)}
    return finished("ingest", config, started, metrics)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m data.ingest",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("sources", nargs="*", metavar="SOURCE", help="manifest, folder of clips, or clip")
    for name, metavar, text in (
        ("votes", "FILE", "votes that were cast in another tool"),
        ("columns", "FIELD=COLUMN,...", "of vote files: names of their own, preferred=verdict"),
        (
            *("values", "WORD=ANSWER,..."),
            "of vote files: words of their own, 1=left,2=right,0=tie; or =unusable, =skip",
        ),
    ):
        add(f"--{name}", action="append", default=[], metavar=metavar, help=text)
    add(
        "--campaign",
        default=Config.campaign,
        help="that the votes of vote files go into (default: votes-<file name>)",
    )
    add(
        "--db",
        default=Config.db,
        help="database (default %(default)s); playable copies go to the .clips folder beside it",
    )
    add(
        "--split",
        default=Config.split,
        choices=get_args(Split),
        help="of the prompts, where a manifest has no column for it (default %(default)s)",
    )
    add(
        "--model",
        default=Config.model,
        help="generator, for people, where the source does not say (default: empty)",
    )
    add(
        "--prompt-from",
        default=Config.prompt_from,
        choices=get_args(folders.PromptFrom),
        help="for folders: files (default) = side-car .txt, prompts.json, prompts.txt; "
        "name = the file name, '<prompt>-<index>.mp4' as VBench writes it",
    )
    add(
        "--model-from",
        default=Config.model_from,
        choices=get_args(folders.ModelFrom),
        help="for folders: option (default) = --model; folder = the first folder below SOURCE",
    )
    add(
        "--max-frames",
        type=int,
        default=Config.max_frames,
        help="longest clip that is taken, in frames (default %(default)s)",
    )
    add(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="clips handled at once (default: the number of CPUs)",
    )
    return parser


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command: prints what went in and what did not; the exit code says whether all is in."""
    given = vars(_parser().parse_args(argv))
    several = {name: tuple(given[name]) for name in ("sources", "votes", "columns", "values")}
    config = Config(**{**given, **several})
    if not (config.sources or config.votes):
        raise UserError("Nothing to take in: give a SOURCE of clips, or --votes FILE")
    done = _clips(config) if config.sources else 0
    options = votefile.options(config.campaign, config.split, config.columns, config.values)
    for path, votes in votefile.run(config.votes, config.db, options).items():
        for line in votefile.told(path, votes):
            say(line)
        done = max(done, int(bool(votes.refused)))
    return done


def _clips(config: Config) -> int:
    """Take the clips in and say what became of them; the exit code."""
    report = run(config)
    for where, reason in report.refused:
        say(f"refused  {where}: {reason}")
    for where, difference in report.differing:
        say(f"kept     {where}: {difference}; the first account stays")
    say(f"{report.new} new, {report.there} already there, {len(report.refused)} refused")
    return 1 if report.refused else 0


if __name__ == "__main__":
    raise SystemExit(main())

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

Pairs that somebody else's scorer labelled come in with `--pairs`: a file with the columns `prompt`,
`chosen`, `rejected`, or a VideoDPO folder (`data.preference_import`).

Exit code: 0 everything is in, 1 something was refused, 2 the call or a manifest was wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from data import clips, exchange, folders, preference_import, video, votefile
from data.console import say
from data.errors import UserError, user_errors
from data.exchange import Entry
from data.ingest_options import Config, parser
from data.provenance import finished, now_ms
from data.records import Candidate, Prompt, Record, Run
from data.store import Store

_BATCH = 64
"""Clips per write: an interrupted ingest keeps what came before."""


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


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command: prints what went in and what did not; the exit code says whether all is in."""
    given = vars(parser(__doc__).parse_args(argv))
    lists = ("sources", "votes", "pairs", "columns", "values")
    config = Config(**{**given, **{name: tuple(given[name]) for name in lists}})
    if not (config.sources or config.votes or config.pairs):
        raise UserError("Nothing to take in: give a SOURCE of clips, --votes FILE or --pairs FILE")
    done = _clips(config) if config.sources else 0
    options = votefile.options(config.campaign, config.split, config.columns, config.values)
    for path, votes in votefile.run(config.votes, config.db, options).items():
        for line in votefile.told(path, votes):
            say(line)
        done = max(done, int(bool(votes.refused)))
    taken = preference_import.run(config.pairs, config.db, config.campaign, config.split)
    for path, pairs in zip(config.pairs, taken, strict=True):
        for line in preference_import.told(path, pairs):
            say(line)
        done = max(done, int(bool(pairs.refused)))
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

"""Score every clip of a database: `python -m scorers --db prefs.duckdb --profile lite`.

Each clip is decoded once and judged by every scorer of the profile; clips of one size go through
together. Raw values are stored per (clip, scorer, version, dimension), and what is stored already
is not computed again, so that an interrupted run goes on where it stopped. Ranges and weights are
applied on reading (`data/omniscore.py`): another profile with the same scorers costs nothing.

A clip that is missing or broken is named at the end, the others are scored, and the exit code is 1.
So it is with a scorer whose weights are not on this machine: its dimensions are missing, the others
are scored.
A scorer that cannot judge a clip (motion in one frame) leaves no score.

    accelerate launch --num_processes 4 -m scorers --db prefs.duckdb --profile vbench

splits the clips over processes by their hash, so that no two judge one clip whatever the others
have stored meanwhile, and all write to the one database.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, cast

import scorers
from data import calibration, provenance
from data.errors import UserError
from data.omniscore import PROFILES
from data.profile import Profile
from data.records import Candidate, Decision, Prompt, Score
from data.store import Store
from scorers.judging import Job, Report, judged, readable
from scorers.weights import MissingWeightsError

if TYPE_CHECKING:
    from scorers.protocol import Scorer

_PIXELS_AT_ONCE = 8_000_000  # in one batch: about 1 GB of working memory in float32
_SECONDS_BETWEEN_WRITES = 5.0


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one scoring run."""

    db: str | Path = "prefs.duckdb"
    profile: str = "lite"
    again: bool = False
    """Judge what is stored already too; the newer value counts from then on."""
    device: str = "auto"
    """`auto`: a GPU where there is one."""
    batch: int = 8
    """Most clips of one size that are judged at once."""
    threads: int = 1
    """CPU threads of torch; 0 leaves its own choice."""
    weights: str = ""
    """Folder in which weights are looked for first (`scorers/weights.py`)."""


def run(config: Config) -> Report:
    """Score what has no scores yet, and store the raw values.

    Raises:
        UserError: no such profile, a scorer of it is not built in, or no database.
    """
    profile = profile_in(config.db, config.profile)
    share = Share.of_this_process()
    device = _prepare(config, share)
    judges, absent = available(profile, device, config.weights)
    started = provenance.now_ms()
    with Store.open(config.db) as store:
        clips = [clip for clip in _candidates(store) if clip.sha256 in share]
        jobs = _jobs(store, clips, judges, again=config.again)
        report = Report(cached=len(clips) - len(jobs), absent=absent)
        _score(store, _batches(jobs, config.batch), judges, device, report)
        if report.judged:
            metrics = {
                "clips": report.judged,
                "scores": report.stored,
                "failed": len(report.failed),
            }
            store.add([provenance.finished("score", config, started, metrics)])
    return report


def profile_in(db: str | Path, name: str) -> Profile:
    """The profile of that name; a calibrated one as the database knows it.

    Raises:
        UserError: unknown, or some scorer is not built in.
    """
    if not name.startswith(calibration.PREFIX):
        return profile_named(name)
    with Store.open(db) as store:
        return profile_named(name, cast("list[Decision]", store.all("decisions")))


def profile_named(name: str, decisions: Iterable[Decision] = ()) -> Profile:
    """The profile of that name, `calibrated:<id>` included, if all its scorers are there.

    Raises:
        UserError: unknown, or some scorer is not built in.
    """
    profile = calibration.profile_named(name, decisions)
    there = set(scorers.names())
    ready = [key for key, each in PROFILES.items() if there.issuperset(each.scorers)]
    absent = [key for key in profile.scorers if key not in there]
    if absent:
        raise UserError(
            f"--profile {name}: its scorers {', '.join(absent)} are not built in yet; "
            f"available now: {', '.join(ready)}"
        )
    return profile


def load_all(profile: Profile, device: str) -> dict[str, Scorer]:
    """The scorers of a profile by name, all of them."""
    return {name: scorers.load(name, device=device) for name in profile.scorers}


def available(
    profile: Profile, device: str, weights_dir: str = ""
) -> tuple[dict[str, Scorer], dict[str, str]]:
    """The scorers of a profile that can be loaded, and why the others cannot.

    Raises:
        MissingWeightsError: not one of them can be loaded.
    """
    judges: dict[str, Scorer] = {}
    absent: dict[str, str] = {}
    problem: MissingWeightsError | None = None
    for name in profile.scorers:
        try:
            judges[name] = scorers.load(name, device=device, weights_dir=weights_dir)
        except MissingWeightsError as error:
            absent[name], problem = str(error), error
    if problem is not None and not judges:
        raise problem
    return judges, absent


@dataclass(frozen=True)
class Share:
    """The part of all clips that this process judges."""

    rank: int = 0
    processes: int = 1

    @classmethod
    def of_this_process(cls) -> Share:
        """As `accelerate launch` says it; everything where it was started alone."""
        return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))

    def __contains__(self, sha256: object) -> bool:
        """Whether the clip with this hash is in it: a matter of the hash alone."""
        return int(str(sha256)[:12], 16) % self.processes == self.rank

    def wait_for_the_others(self) -> bool:
        """Come back when every process is here; whether this one is the first."""
        if self.processes > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()
        return self.rank == 0


def _prepare(config: Config, share: Share) -> str:
    """The device to use; sets the number of CPU threads."""
    import torch

    if config.threads:
        torch.set_num_threads(config.threads)
    if config.device != "auto":
        return config.device
    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{share.rank % torch.cuda.device_count()}"


def _candidates(store: Store) -> list[Candidate]:
    """The clips that are somewhere; of those known from imported votes alone there is none."""
    return [clip for clip in cast("list[Candidate]", store.all("candidates")) if clip.path]


def _jobs(
    store: Store, clips: Iterable[Candidate], judges: Mapping[str, Scorer], *, again: bool
) -> list[Job]:
    """What is to be done, clips of one kind side by side."""
    texts = {prompt.id: prompt.text for prompt in cast("list[Prompt]", store.all("prompts"))}
    known = set() if again else {score.id for score in cast("list[Score]", store.all("scores"))}
    jobs = []
    for candidate in clips:
        left = tuple(
            name for name, judge in judges.items() if _identities(candidate.id, judge) - known
        )
        if left:
            jobs.append(Job(candidate, texts[candidate.prompt], left))
    return sorted(jobs, key=lambda job: job.kind)


def _identities(clip: str, judge: Scorer) -> set[str]:
    """Ids of the scores that this scorer gives to this clip."""
    return {
        Score(
            candidate=clip, scorer=judge.name, version=judge.version, dimension=dimension, value=0.0
        ).id
        for dimension in judge.dimensions
    }


def _batches(jobs: Iterable[Job], most: int) -> list[list[Job]]:
    """Jobs of one kind together, as many as memory allows and at most `most`."""
    found = []
    for (frames, height, width, _), same in groupby(jobs, key=lambda job: job.kind):
        size = max(1, min(most, _PIXELS_AT_ONCE // (frames * height * width)))
        group = list(same)
        found += [group[start : start + size] for start in range(0, len(group), size)]
    return found


def _score(
    store: Store,
    batches: Sequence[Sequence[Job]],
    judges: Mapping[str, Scorer],
    device: str,
    report: Report,
) -> None:
    """Judge batch after batch; write every few seconds and, whatever happens, at the end."""
    from tqdm import tqdm

    waiting: list[Score] = []
    written = time.monotonic()
    try:
        total = sum(len(batch) for batch in batches)
        with tqdm(total=total, desc="score", unit="clip", disable=not total) as bar:
            for batch in batches:
                waiting += judged(readable(batch, report), judges, device, report)
                bar.update(len(batch))
                if time.monotonic() - written > _SECONDS_BETWEEN_WRITES:
                    report.stored += store.add(waiting)
                    waiting, written = [], time.monotonic()
    finally:
        report.stored += store.add(waiting)

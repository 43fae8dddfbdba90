"""Score every clip of a database: `python -m scorers --db prefs.duckdb --profile lite`.

Each clip is decoded once and judged by every scorer of the profile; clips of one size go through
together. Raw values are stored per (clip, scorer, version, dimension), and what is stored already
is not computed again, so that an interrupted run goes on where it stopped. Ranges and weights are
applied on reading (`data/omniscore.py`): another profile with the same scorers costs nothing.

A clip that is missing or broken is named at the end, the others are scored, and the exit code is 1.
A scorer that cannot judge a clip (motion in one frame) leaves no score. Left out on purpose:
several processes; several machines.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, cast

import scorers
from data import provenance
from data.errors import UserError
from data.omniscore import PROFILES
from data.profile import Profile
from data.records import Candidate, Prompt, Score
from data.store import Store

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from scorers.protocol import Scorer

SMALLEST = 16  # pixels: what every scorer can read
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


@dataclass(kw_only=True)
class Report:
    """What a run did."""

    judged: int = 0
    """Clips."""
    stored: int = 0
    """Scores that are new."""
    cached: int = 0
    """Clips that needed nothing."""
    unjudged: dict[str, int] = field(default_factory=dict)
    """Clips per dimension that its scorer could not judge."""
    failed: dict[str, str] = field(default_factory=dict)
    """Path -> why it could not be read."""


@dataclass(frozen=True, slots=True)
class _Job:
    candidate: Candidate
    prompt: str
    scorers: tuple[str, ...]
    """Those that have something left to say about it."""

    @property
    def kind(self) -> tuple[int, int, int, tuple[str, ...]]:
        """Jobs of one kind can share a batch."""
        clip = self.candidate
        return clip.frames, clip.height, clip.width, self.scorers


def run(config: Config) -> Report:
    """Score what has no scores yet, and store the raw values.

    Raises:
        UserError: no such profile, a scorer of it is not built in, or no database.
    """
    profile = profile_named(config.profile)
    device = _prepare(config)
    judges = load_all(profile, device)
    started = provenance.now_ms()
    with Store.open(config.db) as store:
        jobs = _jobs(store, judges, again=config.again)
        report = Report(cached=store.count("candidates") - len(jobs))
        _score(store, _batches(jobs, config.batch), judges, device, report)
        if report.judged:
            metrics = {
                "clips": report.judged,
                "scores": report.stored,
                "failed": len(report.failed),
            }
            store.add([provenance.finished("score", config, started, metrics)])
    return report


def profile_named(name: str) -> Profile:
    """The profile of that name, if all its scorers are there.

    Raises:
        UserError: unknown, or some scorer is not built in.
    """
    there = set(scorers.names())
    ready = [key for key, profile in PROFILES.items() if there.issuperset(profile.scorers)]
    if name not in PROFILES:
        raise UserError(f"--profile is {name!r}; it must be one of {', '.join(PROFILES)}")
    absent = [key for key in PROFILES[name].scorers if key not in there]
    if absent:
        raise UserError(
            f"--profile {name}: its scorers {', '.join(absent)} are not built in yet; "
            f"available now: {', '.join(ready)}"
        )
    return PROFILES[name]


def load_all(profile: Profile, device: str) -> dict[str, Scorer]:
    """The scorers of a profile by name."""
    return {name: scorers.load(name, device=device) for name in profile.scorers}


def _prepare(config: Config) -> str:
    """The device to use; sets the number of CPU threads."""
    import torch

    if config.threads:
        torch.set_num_threads(config.threads)
    if config.device != "auto":
        return config.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _jobs(store: Store, judges: Mapping[str, Scorer], *, again: bool) -> list[_Job]:
    """What is to be done, clips of one kind side by side."""
    texts = {prompt.id: prompt.text for prompt in cast("list[Prompt]", store.all("prompts"))}
    known = set() if again else {score.id for score in cast("list[Score]", store.all("scores"))}
    jobs = []
    for candidate in cast("list[Candidate]", store.all("candidates")):
        left = tuple(
            name for name, judge in judges.items() if _identities(candidate.id, judge) - known
        )
        if left:
            jobs.append(_Job(candidate, texts[candidate.prompt], left))
    return sorted(jobs, key=lambda job: job.kind)


def _identities(clip: str, judge: Scorer) -> set[str]:
    """Ids of the scores that this scorer gives to this clip."""
    return {
        Score(
            candidate=clip, scorer=judge.name, version=judge.version, dimension=dimension, value=0.0
        ).id
        for dimension in judge.dimensions
    }


def _batches(jobs: Iterable[_Job], most: int) -> list[list[_Job]]:
    """Jobs of one kind together, as many as memory allows and at most `most`."""
    found = []
    for (frames, height, width, _), same in groupby(jobs, key=lambda job: job.kind):
        size = max(1, min(most, _PIXELS_AT_ONCE // (frames * height * width)))
        group = list(same)
        found += [group[start : start + size] for start in range(0, len(group), size)]
    return found


def _score(
    store: Store,
    batches: Sequence[Sequence[_Job]],
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
                waiting += _judge(_readable(batch, report), judges, device, report)
                bar.update(len(batch))
                if time.monotonic() - written > _SECONDS_BETWEEN_WRITES:
                    report.stored += store.add(waiting)
                    waiting, written = [], time.monotonic()
    finally:
        report.stored += store.add(waiting)


def _readable(batch: Sequence[_Job], report: Report) -> list[tuple[_Job, np.ndarray]]:
    """Decode a batch; what cannot be read is noted by name and left out."""
    from data import clips, video

    found = []
    for job in batch:
        clip = job.candidate
        try:
            frames, _ = clips.read(clip)
            if min(clip.height, clip.width) < SMALLEST:
                raise video.ClipError(Path(clip.path), f"smaller than {SMALLEST} px")
        except video.ClipError as error:
            report.failed[clip.path] = error.reason
        else:
            found.append((job, frames))
    return found


def _judge(
    clips: Sequence[tuple[_Job, np.ndarray]],
    judges: Mapping[str, Scorer],
    device: str,
    report: Report,
) -> Iterator[Score]:
    """Raw values of clips of one kind; a value that is not finite gives no score."""
    if not clips:
        return
    jobs = [job for job, _ in clips]
    frames = _tensor([frames for _, frames in clips], device)
    report.judged += len(jobs)
    for name in jobs[0].scorers:
        judge = judges[name]
        for job, row in zip(jobs, _call(judge, frames, jobs), strict=True):
            for dimension, value in zip(judge.dimensions, row, strict=True):
                if not math.isfinite(value):
                    report.unjudged[dimension] = report.unjudged.get(dimension, 0) + 1
                    continue
                yield Score(
                    candidate=job.candidate.id,
                    scorer=name,
                    version=judge.version,
                    dimension=dimension,
                    value=value,
                )


def _tensor(clips: Sequence[np.ndarray], device: str) -> Tensor:
    """uint8 clips `t h w c` of one size as one batch `b t c h w` in [0, 1]."""
    import torch

    stacked = torch.stack([torch.from_numpy(clip) for clip in clips]).to(device)
    return stacked.permute(0, 1, 4, 2, 3).float() / 255


def _call(judge: Scorer, frames: Tensor, jobs: Sequence[_Job]) -> list[list[float]]:
    import torch

    with torch.inference_mode():
        raw = judge(frames, [job.prompt for job in jobs], [job.candidate.fps for job in jobs])
    return raw.float().cpu().tolist()

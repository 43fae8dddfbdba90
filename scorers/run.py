"""Score every clip of a database: `python -m scorers --db prefs.duckdb --profile lite`.

Each clip is decoded once and judged by every scorer of the profile. On a CPU every core takes one
clip after the other, each with one thread: the steps of a scorer are too small to be shared between
cores, and a clip's numbers do not depend on its neighbours. On a GPU clips of one size go through
together, a few batches at a time, so that some are decoded and read by the CPU's scorers meanwhile.
Where not all weights fit (`--memory`), scorers take turns in groups, a decode per group.

Raw values are stored per (clip, scorer, version, dimension), and what is stored already is not
computed again, so that an interrupted run goes on where it stopped. The version names the dialect
and, where it is not float32, the floating type. Ranges and weights are applied on reading
(`data/omniscore.py`): another profile with the same scorers costs nothing.

A clip that is missing or broken is named at the end, the others are scored, and the exit code is 1.
So it is with a scorer whose weights are not on this machine: its dimensions are missing, the others
are scored.
A scorer that cannot judge a clip (motion in one frame) leaves no score.

    accelerate launch --num_processes 4 -m scorers --db prefs.duckdb --profile vbench

splits the clips over processes by their hash, so that no two judge one clip whatever the others
have stored meanwhile, and all write to the one database.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import scorers
from data import calibration, provenance
from data.errors import UserError
from data.omniscore import PROFILES
from data.profile import Profile
from data.records import Candidate, Decision, Prompt, Score
from data.store import Store
from scorers import crew, listing, weights
from scorers.judging import Job, Report
from scorers.pool import Pool
from scorers.weights import MissingWeightsError

if TYPE_CHECKING:
    import torch

    from scorers.protocol import Scorer

DTYPES = ("float32", "bfloat16", "float16")


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
    """Most clips of one size that are judged at once on a GPU."""
    threads: int = 0
    """Clips (on a GPU: batches) in work at the same time; 0: one per core, at most eight."""
    weights: str = ""
    """Folder in which weights are looked for first (`scorers/weights.py`)."""
    memory: float = 0.0
    """GB of weights that may be loaded at once; 0: all."""
    dtype: str = "float32"
    """Floating type of the networks."""

    def __post_init__(self) -> None:
        """Refuse numbers that are none."""
        if self.batch < 1:
            raise UserError(f"--batch is {self.batch}; it must be at least 1 clip")
        if self.threads < 0:
            raise UserError(
                f"--threads is {self.threads}; it must be at least 1, or 0 for one per core"
            )
        if not 0 <= self.memory < math.inf:
            raise UserError(
                f"--memory is {self.memory:g}; it must be GB above 0, or 0 for no limit"
            )


def run(config: Config) -> Report:
    """Score what has no scores yet, and store the raw values.

    Raises:
        UserError: no such profile, one that a judge of pairs makes, no such device, no database, or
            no clips in it.
    """
    profile = profile_in(config.db, config.profile)
    share = Share.of_this_process()
    device = _prepare(config, share)
    pool = Pool(device=device, dtype=dtype_of(config.dtype), weights_dir=config.weights,
                memory=config.memory)  # fmt: skip
    started, report = provenance.now_ms(), Report()
    with Store.open(config.db) as store:
        clips = [clip for clip in candidates(store, config.db) if clip.sha256 in share]
        needy: set[str] = set()
        for names in pool.groups(profile.scorers):
            judges, absent = pool.take(names)
            report.absent |= absent
            jobs = _jobs(store, clips, judges, again=config.again)
            needy |= {job.candidate.id for job in jobs}
            batches = crew.batches(jobs, 1 if device == "cpu" else config.batch)
            workers = crew.size(config.threads, share.processes)
            crew.score(batches, judges, device, workers, store.add, report)
        report.cached = len(clips) - len(needy)
        _complain_of_nothing(profile, report)
        if report.judged:
            metrics = {
                "clips": report.judged,
                "scores": report.stored,
                "failed": len(report.failed),
            }
            store.add([provenance.finished("score", config, started, metrics)])
    return report


def _complain_of_nothing(profile: Profile, report: Report) -> None:
    if len(report.absent) == len(profile.scorers):
        raise MissingWeightsError(next(reversed(report.absent.values())))


def profile_in(db: str | Path, name: str) -> Profile:
    """The profile of that name; a calibrated one as the database knows it.

    Raises:
        UserError: unknown, or a judge of pairs makes its values.
    """
    if not name.startswith(calibration.PREFIX):
        return profile_named(name)
    with Store.open(db) as store:
        return profile_named(name, cast("list[Decision]", store.all("decisions")))


def profile_named(name: str, decisions: Iterable[Decision] = ()) -> Profile:
    """The profile of that name, `calibrated:<id>` included, if single clips can be scored by it.

    Raises:
        UserError: unknown, or a judge of pairs makes its values.
    """
    profile = calibration.profile_named(name, decisions)
    if judges := [key for key in profile.scorers if key in scorers.JUDGES]:
        single = [key for key, each in PROFILES.items() if not {*each.scorers} & {*scorers.JUDGES}]
        raise UserError(
            f"--profile {name} is made by comparing clips two by two, so that a clip by itself has "
            f"no score and it cannot be a reward; use --judge {judges[0]} (python -m scorers) and "
            f"train on its labels: python -m data.pair --profile {name}, then python -m train.dpo "
            f"--labels auto. Single clips are scored by {', '.join(single)}"
        )
    return profile


def demand_weights(names: Iterable[str]) -> None:
    """Refuse scorers that could not be loaded, before time goes into what they are to judge.

    Raises:
        MissingWeightsError: weights of one of `names` are not on this machine.
    """
    for row in dict.fromkeys(row for name in names for row in listing.wanted(name)):
        weights.find(row)


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
    judges, absent = Pool(device=device, weights_dir=weights_dir).take(profile.scorers)
    if not judges:
        raise MissingWeightsError(next(reversed(absent.values())))
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
    """The device to use; clips are what is shared between cores, so everything below has one."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return device_of(config.device, share)


def device_of(name: str, share: Share) -> str:
    """The device that `--device` names; `auto` is a GPU of this process's own, where there is one.

    Raises:
        UserError: this machine has no such device.
    """
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return f"cuda:{share.rank % gpus}" if gpus else "cpu"
    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError) as problem:
        here = f"cpu, cuda (0 to {gpus - 1})" if gpus else "cpu (this machine has no CUDA GPU)"
        raise UserError(f"--device is {name!r}; it must be auto or one of {here}") from problem
    return name


def dtype_of(name: str) -> torch.dtype:
    """The floating type that `--dtype` names.

    Raises:
        UserError: networks are not run in it.
    """
    import torch

    if name not in DTYPES:
        raise UserError(f"--dtype is {name!r}; it must be one of {', '.join(DTYPES)}")
    return getattr(torch, name)


def candidates(store: Store, db: str | Path) -> list[Candidate]:
    """The clips that are somewhere; of those known from imported votes alone there is none.

    Raises:
        UserError: there are none.
    """
    known = cast("list[Candidate]", store.all("candidates"))
    clips = [clip for clip in known if clip.path]
    if not clips:
        bare = f" (of {len(known)} it knows votes alone)" if known else ""
        raise UserError(
            f"{db} holds no clips{bare}. Make some first (`python -m train.sample` or `python -m "
            "data.ingest`, with the same --db), or check --db"
        )
    return clips


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

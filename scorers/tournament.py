"""Every clip of a prompt against every other: `python -m scorers --db prefs.duckdb --judge versus`.

A judge (`scorers.pairwise`) is asked about each two clips of a prompt, in both orders. What comes
out is one `Score` per clip, which compares within its prompt; the profile of the judge's name reads
it, so that `data.pair`, `train.dpo --labels auto` and `data.agree` take it by `--profile versus`.

A value depends on which other clips the prompt has. So a prompt is judged as a whole, as soon as
one of its clips has no value, and then all its clips get new ones, written together; what broke off
goes on at the next prompt. A clip that cannot be read is left out and named, and keeps the value
that it had. n clips take n (n - 1) questions. Copies that `data.gold` spoiled are left out.

What the first place gets by itself is measured beside it, said at the end, and kept with the run: a
judge that mostly answers "A" has little to say.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, cast

import scorers
from data import clips, pairs, provenance, video
from data.errors import UserError
from data.records import Candidate, Prompt, Score
from data.store import Store
from scorers.judging import SMALLEST, batched
from scorers.run import Share, candidates, device_of, dtype_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from scorers.pairwise import Judge, Verdict


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one tournament."""

    db: str | Path = "prefs.duckdb"
    judge: str = "versus"
    model: str = ""
    """Folder of the judge's network, instead of its published one."""
    again: bool = False
    """Judge what has values already too; the newer value counts from then on."""
    device: str = "auto"
    """`auto`: a GPU where there is one."""
    weights: str = ""
    """Folder in which weights are looked for first (`scorers/weights.py`)."""
    dtype: str = "float32"
    """Floating type of the network."""


@dataclass(kw_only=True)
class Report:
    """What a tournament did."""

    prompts: int = 0
    """That were judged."""
    cached: int = 0
    """Prompts whose clips had values already."""
    stored: int = 0
    """Values that are new."""
    place: list[float] = field(default_factory=list)
    """Log-odds that the first place got by itself, one per two clips and dimension."""
    swayed: list[float] = field(default_factory=list)
    """1 where the place outweighed the clips, likewise."""
    failed: dict[str, str] = field(default_factory=dict)
    """Path -> why it could not be read."""

    @property
    def bias(self) -> dict[str, float]:
        """`place_log_odds`: mean; `swayed`: share of comparisons. Empty where there was none."""
        if not self.place:
            return {}
        return {
            "place_log_odds": statistics.fmean(self.place),
            "swayed": statistics.fmean(self.swayed),
        }


@dataclass(frozen=True, slots=True)
class Clip:
    """A decoded clip."""

    id: str
    frames: np.ndarray
    """uint8 `t h w c`."""
    fps: float


def run(config: Config) -> Report:
    """Judge the prompts that have clips without a value, and store the values.

    Raises:
        UserError: no such judge or device, no database, or no two clips of a prompt in it.
        MissingWeightsError: the judge's weights are not on this machine, or are damaged.
    """
    from tqdm import tqdm

    share, started, report = Share.of_this_process(), provenance.now_ms(), Report()
    judge = load(config, share)
    with Store.open(config.db) as store:
        clips = candidates(store, config.db)
        _demand_pairs(clips, config.db)
        waiting = list(_prompts(store, clips, judge, share, report, again=config.again))
        for prompt, several in tqdm(waiting, desc="judge", unit="prompt", disable=not waiting):
            report.stored += store.add(judged(judge, prompt, several, report))
        if report.prompts:
            metrics = {"prompts": report.prompts, "scores": report.stored, **report.bias}
            store.add([provenance.finished("score", config, started, metrics)])
    return report


def load(config: Config, share: Share) -> Judge:
    """The judge that the settings name.

    Raises:
        UserError: there is none of that name.
        MissingWeightsError: its weights are not on this machine, or are damaged.
    """
    if config.judge not in scorers.JUDGES:
        raise UserError(
            f"--judge is {config.judge!r}; it must be one of {', '.join(scorers.JUDGES)}. Those "
            "compare two clips; what scores one clip is named by --profile"
        )
    made = scorers.load(
        config.judge,
        device=device_of(config.device, share),
        dtype=dtype_of(config.dtype),
        weights_dir=config.weights,
        model=config.model,
    )
    return cast("Judge", made)


def judged(judge: Judge, prompt: str, several: Sequence[Candidate], report: Report) -> list[Score]:
    """Values of the clips of one prompt, one per clip and dimension; none where one clip is left.

    An opinion that is not finite leaves the prompt without values of that dimension.
    """
    from scorers.pairwise import strengths

    there = list(_decoded(several, report))
    if len(there) < 2:
        return []
    report.prompts += 1
    table = _opinions(judge, prompt, there, report)
    return [
        Score(candidate=clip.id, scorer=judge.name, version=judge.version, dimension=key, value=one)
        for key, opinions in zip(judge.dimensions, table, strict=True)
        if opinions.isfinite().all()
        for clip, one in zip(there, strengths(opinions).tolist(), strict=True)
    ]


def _opinions(judge: Judge, prompt: str, there: Sequence[Clip], report: Report) -> Tensor:
    """Log-odds `d n n` that the row's clip beats the column's."""
    import torch

    from scorers.pairwise import both_orders

    table = torch.zeros(len(judge.dimensions), len(there), len(there))
    for one, other in combinations(range(len(there)), 2):
        left, right = (batched([there[at].frames], "cpu") for at in (one, other))
        fps = [(there[one].fps, there[other].fps)]
        verdict = both_orders(judge, left, right, [prompt], fps)
        table[:, one, other] = verdict.opinion[0].cpu()
        table[:, other, one] = -verdict.opinion[0].cpu()
        _note(verdict, report)
    return table


def _note(verdict: Verdict, report: Report) -> None:
    report.place += verdict.place[0].tolist()
    report.swayed += verdict.swayed[0].tolist()


def _decoded(several: Sequence[Candidate], report: Report) -> Iterator[Clip]:
    for one in several:
        try:
            frames, fps = clips.read(one)
            if min(one.height, one.width) < SMALLEST:
                raise video.ClipError(Path(one.path), f"smaller than {SMALLEST} px")
        except video.ClipError as error:
            report.failed[one.path] = error.reason
        else:
            yield Clip(one.id, frames, fps)


def _demand_pairs(clips: Sequence[Candidate], db: str | Path) -> None:
    if all(len(ids) < 2 for ids in pairs.by_prompt(clips).values()):
        raise UserError(
            f"{db} has {len(clips)} clips and no prompt with two of them, so there is nothing to "
            "compare. Make more clips per prompt (`python -m train.sample -n 4`)"
        )


def _prompts(
    store: Store, clips: Sequence[Candidate], judge: Judge, share: Share, report: Report, *,
    again: bool,
) -> Iterator[tuple[str, list[Candidate]]]:  # fmt: skip
    """Texts of the prompts that are to be judged, with their clips."""
    known = {clip.id: clip for clip in clips}
    texts: Mapping[str, Prompt] = {prompt.id: prompt for prompt in store.all("prompts")}
    done = {
        (score.candidate, score.dimension)
        for score in store.all("scores")
        if (score.scorer, score.version) == (judge.name, judge.version)
    }
    for prompt, ids in pairs.by_prompt(known.values()).items():
        if prompt not in share or len(ids) < 2:
            continue
        if not again and all((one, key) in done for one in ids for key in judge.dimensions):
            report.cached += 1
            continue
        yield texts[prompt].text, [known[one] for one in ids]

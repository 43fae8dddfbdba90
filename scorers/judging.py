"""Clips of one kind through the scorers: decoded once, judged together, as scores.

What several scorers need of the same frames is made once (`scorers/shared.py`). A clip that cannot
be read is named in the report and left out; a value that is not finite gives no score. Which clips,
and where scores go, is `scorers/run.py`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.records import Candidate, Score

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from scorers.protocol import Scorer

SMALLEST = 16  # pixels: what every scorer can read


@dataclass(kw_only=True)
class Report:
    """What a run did."""

    clips: set[str] = field(default_factory=set)
    """Hashes of the clips that were judged."""
    stored: int = 0
    """Scores that are new."""
    cached: int = 0
    """Clips that needed nothing."""
    unjudged: Counter[str] = field(default_factory=Counter)
    """Clips per dimension that its scorer could not judge."""
    failed: dict[str, str] = field(default_factory=dict)
    """Path -> why it could not be read."""
    absent: dict[str, str] = field(default_factory=dict)
    """Scorer -> why it could not be loaded, and the command that mends it."""

    @property
    def judged(self) -> int:
        """Clips."""
        return len(self.clips)

    def add(self, batch: Report) -> None:
        """What was done with a batch."""
        self.clips |= batch.clips
        self.unjudged += batch.unjudged
        self.failed |= batch.failed


@dataclass(frozen=True, slots=True)
class Job:
    """A clip and what is to be said about it."""

    candidate: Candidate
    prompt: str
    scorers: tuple[str, ...]
    """Those that have something left to say about it."""

    @property
    def kind(self) -> tuple[int, int, int, tuple[str, ...]]:
        """Jobs of one kind can share a batch."""
        clip = self.candidate
        return clip.frames, clip.height, clip.width, self.scorers


def scored(
    batch: Sequence[Job], judges: Mapping[str, Scorer], device: str
) -> tuple[list[Score], Report]:
    """Decode and judge jobs of one kind; touches nothing that another batch could touch."""
    report = Report()
    return list(judged(readable(batch, report), judges, device, report)), report


def readable(batch: Sequence[Job], report: Report) -> list[tuple[Job, np.ndarray]]:
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


def judged(
    clips: Sequence[tuple[Job, np.ndarray]],
    judges: Mapping[str, Scorer],
    device: str,
    report: Report,
) -> Iterator[Score]:
    """Raw values of clips of one kind; a value that is not finite gives no score."""
    if not clips:
        return
    jobs = [job for job, _ in clips]
    prompts, fps = [job.prompt for job in jobs], [job.candidate.fps for job in jobs]
    asked = {name: judges[name] for name in jobs[0].scorers}
    report.clips |= {job.candidate.id for job in jobs}
    every = opinions(asked, [frames for _, frames in clips], prompts, fps, device)
    for name, rows in every.items():
        for job, row in zip(jobs, rows, strict=True):
            for dimension, value in zip(asked[name].dimensions, row, strict=True):
                if not math.isfinite(value):
                    report.unjudged[dimension] += 1
                    continue
                yield Score(
                    candidate=job.candidate.id,
                    scorer=name,
                    version=asked[name].version,
                    dimension=dimension,
                    value=value,
                )


def opinions(
    judges: Mapping[str, Scorer],
    clips: Sequence[np.ndarray],
    prompts: Sequence[str],
    fps: Sequence[float],
    device: Any,
) -> dict[str, list[list[float]]]:
    """Raw values of uint8 clips `t h w c` of one size: per scorer, clip and dimension."""
    import torch

    from scorers.shared import once, sharing

    frames = batched(clips, device)
    with torch.inference_mode(), sharing():  # what is shared is found by gradient mode too
        once(frames, "levels", lambda: _stacked(clips))  # what they were before
        return {name: measured(judge, frames, prompts, fps) for name, judge in judges.items()}


def _stacked(clips: Sequence[np.ndarray]) -> np.ndarray:
    """One array `b ...`; a single clip is not copied."""
    import numpy as np

    return np.stack(clips) if len(clips) > 1 else clips[0][None]


def batched(clips: Sequence[np.ndarray], device: Any) -> Tensor:
    """uint8 clips `t h w c` of one size as one batch `b t c h w` in [0, 1]."""
    import torch

    stacked = torch.from_numpy(_stacked(clips)).to(device)
    return stacked.permute(0, 1, 4, 2, 3).contiguous().float().div_(255)


def measured(
    judge: Scorer, frames: Tensor, prompts: Sequence[str], fps: Sequence[float]
) -> list[list[float]]:
    """Raw values per clip and dimension, without gradients; NaN where it cannot judge."""
    import torch

    with torch.inference_mode():
        return judge(frames, prompts, fps).float().cpu().tolist()

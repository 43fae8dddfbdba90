"""Clips of one kind through the scorers: decoded once, judged together, as scores.

A clip that cannot be read is named in the report and left out; a value that is not finite gives no
score. Which clips, and where scores go, is `scorers/run.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from data.records import Candidate, Score

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from scorers.protocol import Scorer

SMALLEST = 16  # pixels: what every scorer can read


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
    absent: dict[str, str] = field(default_factory=dict)
    """Scorer -> why it could not be loaded, and the command that mends it."""


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


def _call(judge: Scorer, frames: Tensor, jobs: Sequence[Job]) -> list[list[float]]:
    import torch

    with torch.inference_mode():
        raw = judge(frames, [job.prompt for job in jobs], [job.candidate.fps for job in jobs])
    return raw.float().cpu().tolist()

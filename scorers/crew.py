"""Batches of clips judged by several workers at the same time; one writer.

A worker decodes a batch and puts it through all scorers (`scorers/judging.py`); it touches nothing
that another one touches. What they found is written by the thread that started them, every few
seconds and, whatever happens, at the end.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import TYPE_CHECKING

from data.records import Score
from scorers.judging import Job, Report, scored

if TYPE_CHECKING:
    from scorers.protocol import Scorer

_PIXELS_AT_ONCE = 8_000_000  # in one batch: about 1 GB of working memory in float32
_SECONDS_BETWEEN_WRITES = 5.0
_MOST = 8  # a worker holds a clip of up to 0.5 GB; whoever wants more asks for them


def size(threads: int = 0, processes: int = 1) -> int:
    """How many workers: as many as were asked for, else this process's share of the cores."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on every system
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    return threads or max(1, min(cores // processes, _MOST))


def batches(jobs: Iterable[Job], most: int) -> list[list[Job]]:
    """Jobs of one kind together, as many as memory allows and at most `most`."""
    found = []
    for (frames, height, width, _), same in groupby(jobs, key=lambda job: job.kind):
        count = max(1, min(most, _PIXELS_AT_ONCE // (frames * height * width)))
        group = list(same)
        found += [group[start : start + count] for start in range(0, len(group), count)]
    return found


def score(
    batches: Sequence[Sequence[Job]],
    judges: Mapping[str, Scorer],
    device: str,
    workers: int,
    keep: Callable[[Sequence[Score]], int],
    report: Report,
) -> None:
    """Judge batch after batch; `keep` stores scores and says how many were new."""
    from tqdm import tqdm

    done: deque[tuple[list[Score], Report]] = deque()  # by the workers, not yet kept

    def work(batch: Sequence[Job]) -> int:
        done.append(scored(batch, judges, device))
        return len(batch)

    def collect() -> float:
        waiting: list[Score] = []
        while done:
            scores, part = done.popleft()
            waiting += scores
            report.add(part)
        report.stored += keep(waiting)
        return time.monotonic()

    written, pool = time.monotonic(), ThreadPoolExecutor(workers, "score")
    clips = sum(len(batch) for batch in batches)
    try:
        with tqdm(total=clips, desc="score", unit="clip", disable=not clips) as bar:
            for future in [pool.submit(work, batch) for batch in batches]:
                bar.update(future.result())
                if time.monotonic() - written > _SECONDS_BETWEEN_WRITES:
                    written = collect()
    finally:
        pool.shutdown(cancel_futures=True)
        collect()

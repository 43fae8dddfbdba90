"""Training runs: every command that trained, sampled or compared, with what came out."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markupsafe import Markup

from annotate.lead import markup
from annotate.lead.frame import Site, Visit, address, block
from annotate.lead.markup import Column
from data.records import Run

_SHOWN = 200
"""The newest runs in the list."""
_METRICS = 4


def page(site: Site, load: Callable[..., Any]) -> None:
    """Lay the page out."""
    body = block()
    site.on(load, shown, [], [body])


def shown(visit: Visit) -> Markup:
    """The list of runs, the newest first."""
    words = visit.words
    runs = sorted(visit.desk.store.all("runs"), key=lambda run: -run.started_ms)
    if not runs:
        train = f"python -m train.dpo --db {shlex.quote(visit.db)} --labels human"
        return visit.top("runs") + markup.empty(
            words["runs_none_title"], words["runs_none"], [(words["runs_how"], train)]
        )
    columns = [
        Column(words["run"]),
        Column(words["kind"]),
        Column(words["when"]),
        Column(words["took"], number=True),
        Column(words["snapshot"], number=True),
        Column(words["results"]),
        Column(words["folder"]),
    ]
    rows = [_run(words, run) for run in runs[:_SHOWN]]
    return visit.top("runs") + markup.table(words["nav_runs"], columns, rows)


def _run(words: dict[str, str], run: Run) -> tuple[object, ...]:
    found = list(run.metrics.items())[:_METRICS]
    link = markup.link(address("run", id=run.id), run.id)
    return (
        Markup("<span class=ll-id>{}</span>").format(link),
        run.kind,
        markup.moment(run.started_ms),
        took(words, run),
        run.snapshot or markup.DASH,
        ", ".join(f"{name} {value:.4g}" for name, value in found) or markup.DASH,
        folder_state(words, run),
    )


def took(words: dict[str, str], run: Run) -> str:
    """How long a run took, or that it is not finished."""
    if not run.finished_ms:
        return words["unfinished"]
    minutes, rest = divmod(max(0, run.finished_ms - run.started_ms) // 1000, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def folder_state(words: dict[str, str], run: Run) -> Markup | str:
    """Whether the run's folder can be read from here."""
    if not run.folder:
        return words["folder_none"]
    there = Path(run.folder).is_dir()
    return words["folder_there"] if there else markup.tag(words["folder_gone"], "warn")

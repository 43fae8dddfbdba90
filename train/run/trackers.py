"""Metrics to TensorBoard, trackio, or any other tracker that accelerate knows; off by default.

    python -m train.dpo ... --trackers tensorboard,trackio
    tensorboard --logdir runs

`metrics.jsonl` is always written, and holds everything that a tracker is shown: the numbers of each
line, under `<split>/<name>`. TensorBoard's files are in the run's folder; the others put a run
called like that folder into the project `second-look`, wherever they keep it (trackio: on this
machine). The tracker's package must be installed.

Left out on purpose: clips (they are in `samples/`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.errors import UserError
from train.run.runs import RunFolder

PROJECT = "second-look"


def names(text: str) -> tuple[str, ...]:
    """`"tensorboard,trackio"` as names that accelerate knows.

    Raises:
        UserError: An unknown name.
    """
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    wanted = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in wanted:
        if name not in LOGGER_TYPE_TO_CLASS:
            raise UserError(
                f"--trackers names {name!r}; choose from {', '.join(sorted(LOGGER_TYPE_TO_CLASS))}"
            )
    return wanted


@contextmanager
def tracked(run: RunFolder, wanted: Sequence[str], first: int = 0) -> Iterator[RunFolder]:
    """Within: what the run logs goes to the trackers too.

    Args:
        run: The open run.
        wanted: Names, from `names`.
        first: Step that a resumed run goes on from; later ones are drawn again.

    Raises:
        UserError: A tracker's package is not installed.
    """
    with ExitStack() as opened:
        trackers = [_opened(name, run, first) for name in wanted]
        for tracker in trackers:
            opened.callback(tracker.finish)
        yield replace(run, trackers=tuple(trackers))


def _opened(name: str, run: RunFolder, first: int) -> Any:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    tracker = LOGGER_TYPE_TO_CLASS[name](**_settings(name, run.folder, first))
    try:
        tracker.start()
    except ImportError as error:
        raise UserError(
            f"--trackers {name} needs a package that is not installed ({error.name}): "
            f"pip install {name}"
        ) from error
    tracker.store_init_configuration(_plain(run.record.config))
    return tracker


def _settings(name: str, folder: Path, first: int) -> dict[str, Any]:
    if name == "tensorboard":
        return {"run_name": name, "logging_dir": str(folder), "purge_step": first or None}
    named = {"name": folder.name} if name in ("trackio", "wandb") else {}
    return {"run_name": PROJECT, **named}


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that every tracker takes: no nothing, and no structure."""
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in config.items()
        if value is not None
    }

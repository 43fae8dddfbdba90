"""A run's folder and its record: what a training command did, enough to repeat, resume and read it.

`runs/<kind>-<id>/` holds `config.json` (settings, code version, label snapshot), `metrics.jsonl`
(one JSON object per line), `adapter/`, `samples/` and `state/` (for `--resume`). The record of
kind `Run` is added to the store when the run starts and again, with its metrics, when it ends; the
newest of an id counts.

What is logged goes to the run's trackers too, if it has any (`train.run.trackers`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from data.errors import UserError
from data.proceedings import RunKind
from data.provenance import code_version, now_ms, plain
from data.records import Run, digest
from data.store import Store

Settings = TypeVar("Settings")
_CONFIG, _METRICS = "config.json", "metrics.jsonl"


@dataclass(frozen=True)
class RunFolder:
    """An open run. Make one with `begin` or `reopen`."""

    folder: Path
    record: Run
    trackers: tuple[Any, ...] = ()
    """Of accelerate, open."""

    @property
    def adapter(self) -> Path:
        """Folder of the finished adapter."""
        return self.folder / "adapter"

    @property
    def samples(self) -> Path:
        """Folder of sample clips and contact sheets."""
        return self.folder / "samples"

    @property
    def state(self) -> Path:
        """Folder of what a resumed run needs."""
        return self.folder / "state"

    def log(self, step: int, **values: float | int | str) -> None:
        """Appends one line to `metrics.jsonl`; `step` counts from 0."""
        line = json.dumps({"step": step, **values})
        with (self.folder / _METRICS).open("a") as file:
            file.write(line + "\n")
        shown = {
            f"{values['split']}/{name}": value
            for name, value in values.items()
            if not isinstance(value, str)
        }
        for tracker in self.trackers:
            tracker.log(shown, step=step)

    def logged(self) -> list[dict[str, Any]]:
        """Every line of `metrics.jsonl`, in order; not a last one that a kill has cut off."""
        path = self.folder / _METRICS
        whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
        try:
            return [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            raise UserError(f"{path} has a line that no run writes: {error}") from error

    def rewind(self, step: int) -> None:
        """Drops the lines from `step` on: they come again after a resume, with its settings."""
        self.keep()
        kept = [json.dumps(line) for line in self.logged() if line["step"] < step]
        write_whole(self.folder / _METRICS, "".join(f"{line}\n" for line in kept))

    def settings(self, command: type[Settings]) -> Settings:
        """Its settings as the `Config` of its command.

        Raises:
            UserError: This version has no such setting, or refuses its value.
        """
        known = {field.name for field in fields(command)}  # pyright: ignore[reportArgumentType]
        unknown = sorted(set(self.record.config) - known)
        if unknown:
            raise UserError(
                f"{self.folder / _CONFIG} has the setting {unknown[0]!r}, which this version does "
                f"not have. The run was made by version {self.record.code}: go on with that one."
            )
        return command(**self.record.config)

    def keep(self) -> None:
        """Writes its record into its folder, where a resumed run finds it."""
        write_whole(self.folder / _CONFIG, json.dumps(asdict(self.record), indent=2) + "\n")

    def finish(self, db: Path | str, metrics: Mapping[str, float]) -> Run:
        """Adds the record of the finished run to the store, with those metrics that are finite."""
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        done = replace(self.record, finished_ms=now_ms(), metrics=finite)
        with Store.open(db) as store:
            store.add([done])
        return done


def begin(
    db: Path | str,
    kind: RunKind,
    config: Any,
    *,
    out: Path | str,
    snapshot: int = 0,
    labels: str = "",
) -> RunFolder:
    """Makes a new run's folder, writes its `config.json` and adds its record to the store.

    Args:
        db: The database.
        kind: Of run; the folder is called `<kind>-<id>`.
        config: The command's `Config` (any dataclass), or a mapping.
        out: Folder that the run's folder is made in.
        snapshot: Sequence number of the last vote that the run saw.
        labels: Digest of its label set; empty where it uses none.

    Raises:
        UserError: the folder cannot be made.
    """
    settings = plain(config)
    started, code = now_ms(), code_version()
    name = digest(
        "run", kind, json.dumps(settings, sort_keys=True), code, snapshot, labels, started
    )[:12]
    folder = Path(out) / f"{kind}-{name}"
    record = Run(
        id=name, kind=kind, config=settings, code=code, snapshot=snapshot, labels=labels,
        folder=str(folder.resolve()), started_ms=started,
    )  # fmt: skip
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be made ({error.strerror}); give --out a folder to write to"
        ) from error
    run = RunFolder(folder, record)
    run.keep()
    with Store.open(db) as store:
        store.add([record])
    return run


def reopen(folder: Path | str, kind: RunKind, changes: Mapping[str, Any]) -> RunFolder:
    """An earlier run of this kind, to go on with it, with some of its settings changed.

    Nothing is written before its `rewind`: changes that are refused leave the run as it is. A
    folder that was moved is the run's from now on.

    Raises:
        UserError: Not the folder of such a run.
    """
    path = Path(folder) / _CONFIG
    if not path.is_file():
        raise UserError(
            f"No run at {folder}: there is no {_CONFIG}. Give the folder of an earlier run."
        )
    try:
        record = Run(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path} is not what a run writes ({error}). Bring it back from a copy, or start a new "
            "run."
        ) from error
    if record.kind != kind:
        raise UserError(
            f"{folder} is a run of train.{record.kind}, not of train.{kind}. Resume it with the "
            "command that made it."
        )
    settings = {**record.config, **plain(changes)}
    here = str(Path(folder).resolve())
    return RunFolder(Path(folder), replace(record, config=settings, folder=here))


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that it is there whole or not at all."""
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(text)
    partial.replace(path)

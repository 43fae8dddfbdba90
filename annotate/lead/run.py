"""One training run: its settings, curves, and clips before and after, from its folder.

The folder is where the run's record says; it may lie on another machine, or be gone. Served are
files of known names inside it, each under an opaque token of the lead's; no part of an address is
ever used as a path.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse
from markupsafe import Markup

from annotate.desk import Desk
from annotate.lead import markup
from annotate.lead.frame import Site, Visit, block
from annotate.lead.plots import curves
from annotate.lead.runs import took
from annotate.rights import Lead, Person, desk_of
from data.records import Run

router = APIRouter(include_in_schema=False)
LARGEST_LOG = 32 << 20
"""Bytes of `metrics.jsonl` that are read."""
_SHOWN = {".mp4": "video/mp4", ".webm": "video/webm", ".png": "image/png"}
_SAVED = ("report.html", "report.json", "config.json", "metrics.jsonl")
_FOLDERS = ("samples",)
_MOST_FILES = 64
_FIRST = ("loss", "accuracy", "margin", "reward", "chosen_rise", "rejected_rise")
"""Curves in this order, then any others by name."""
_MOST_CURVES = 12


def page(site: Site, load: Callable[..., Any]) -> None:
    """Lay the page out."""
    body = block()
    site.on(load, shown, [], [body])


def shown(visit: Visit) -> Markup:
    """The page of the run that the address names."""
    words, wanted = visit.words, visit.query.get("id", "")
    run = _run(visit.desk, wanted)
    if run is None:
        return visit.top("run") + markup.empty(words["run_none_title"], words["run_none"])
    top = visit.top("run", title=f"{run.kind} {run.id}")
    return top + markup.joined([_facts(words, run), *_folder(visit, run), _settings(words, run)])


def _run(desk: Desk, identity: str) -> Run | None:
    found = desk.store.get("runs", identity) if identity else None
    return found if isinstance(found, Run) else None


def _facts(words: Mapping[str, str], run: Run) -> Markup:
    named: list[tuple[str, object]] = [
        (words["when"], markup.moment(run.started_ms)),
        (words["took"], took(dict(words), run)),
        (words["code"], run.code),
        (words["snapshot"], run.snapshot or markup.DASH),
        (words["labels"], run.labels or markup.DASH),
        (words["folder"], run.folder or markup.DASH),
    ]
    named += [(name, f"{value:.4g}") for name, value in run.metrics.items()]
    return markup.section(words["about_run"], markup.facts(named))


def _settings(words: Mapping[str, str], run: Run) -> Markup:
    named = [(key, str(value)) for key, value in run.config.items() if value not in ("", None)]
    return Markup("<details><summary>{}</summary>{}</details>").format(
        words["settings"], markup.facts(named)
    )


def _folder(visit: Visit, run: Run) -> list[Markup]:
    words = visit.words
    if not run.folder or not Path(run.folder).is_dir():
        told = words["folder_why"].format(folder=run.folder or markup.DASH)
        return [markup.section(words["curves"], Markup("<p>{}</p>").format(told))]
    return [_curves(words, run), _clips(visit, run), _reports(visit, run)]


def _curves(words: Mapping[str, str], run: Run) -> Markup:
    lines = logged(Path(run.folder))
    found = series(lines)
    order = [*(name for name in _FIRST if name in found), *sorted(found.keys() - set(_FIRST))]
    drawn = [
        curves(name, found[name], across=words["step"], words=words)
        for name in order[:_MOST_CURVES]
    ]
    if not drawn:
        return markup.section(words["curves"], Markup("<p>{}</p>").format(words["curves_none"]))
    grid = Markup("<div class=ll-plots>{}</div>").format(markup.joined(drawn))
    return markup.section(words["curves"], grid)


def logged(folder: Path) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl` that can be read; a run may be writing the last one now."""
    path = folder / "metrics.jsonl"
    if not path.is_file() or not _inside(path, folder):
        return []
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(LARGEST_LOG)
    found = (_line(line) for line in text.splitlines())
    return [line for line in found if line is not None]


def _line(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and _is_number(line.get("step")) else None


def series(lines: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Every number of the log by its name and split (`train`, `held-out`), over the steps."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for line in lines:
        split = str(line.get("split", "train"))
        for name, value in line.items():
            if name != "step" and _is_number(value):
                found.setdefault(name, {}).setdefault(split, []).append((line["step"], value))
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _clips(visit: Visit, run: Run) -> Markup:
    """Clips before and after, two and two; then the contact sheet."""
    words, files = visit.words, served(run)
    pairs = [
        (name, f"samples/after-{number.group(1)}.mp4")
        for name in files
        if (number := re.fullmatch(r"samples/before-(\d+)\.mp4", name))
    ]
    figures = [
        Markup("<div class=ll-clips><div>{}</div></div>").format(
            markup.joined(
                _figure(visit, run, name, words[word])
                for name, word in ((before, "before"), (after, "after"))
                if name in files
            )
        )
        for before, after in pairs
    ]
    if "samples/sheet.png" in files:
        sheet = Markup('<img class=ll-sheet src="{}" alt="{}" loading=lazy>')
        figures.append(sheet.format(_address(visit, run, "samples/sheet.png"), words["sheet"]))
    if not figures:
        return markup.section(words["clips"], Markup("<p>{}</p>").format(words["clips_none"]))
    return markup.section(words["clips"], *figures, note=words["clips_note"])


def _figure(visit: Visit, run: Run, name: str, label: str) -> Markup:
    clip = markup.video(_address(visit, run, name), f"{label}: {name}")
    return Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(clip, label)


def _reports(visit: Visit, run: Run) -> Markup:
    there = [name for name in _SAVED if name in served(run)]
    links = [markup.link(_address(visit, run, name), name) for name in there]
    return markup.section(visit.words["files"], Markup(" · ").join(links)) if links else Markup("")


def served(run: Run) -> dict[str, Path]:
    """The files of a run that leads may have, by their names inside its folder."""
    folder = Path(run.folder)
    if not run.folder or not folder.is_dir():
        return {}
    found = [folder / name for name in _SAVED]
    for name in _FOLDERS:
        inner = folder / name
        if inner.is_dir():
            found += sorted(file for file in inner.iterdir() if file.suffix in _SHOWN)[:_MOST_FILES]
    return {
        str(file.relative_to(folder)): file
        for file in found
        if file.is_file() and _inside(file, folder)
    }


def _inside(file: Path, folder: Path) -> bool:
    """Whether a file, links followed, lies in the folder."""
    return file.resolve().is_relative_to(folder.resolve())


def _token(desk: Desk, person: Person, run: Run, name: str) -> str:
    return desk.seal.token(person.id, hashlib.sha256(f"{run.id}/{name}".encode()).hexdigest())


def _address(visit: Visit, run: Run, name: str) -> str:
    return f"./run/{run.id}/{_token(visit.desk, visit.person, run, name)}"


@router.get("/lead/run/{identity}/{token}")
def file(identity: str, token: str, request: Request, person: Lead) -> FileResponse:
    """A file of a run: clips and pictures to be shown, anything else to be saved."""
    desk = desk_of(request)
    run = _run(desk, identity)
    files = served(run) if run is not None else {}
    found = next((name for name in files if run and _token(desk, person, run, name) == token), None)
    if found is None:
        raise HTTPException(404)
    path, headers = files[found], {"cache-control": "private, max-age=60"}
    kind = _SHOWN.get(path.suffix)
    if kind is not None:
        return FileResponse(path, media_type=kind, headers=headers)
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)

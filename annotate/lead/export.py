"""Votes, labels and agreement to take away, as CSV, JSON lines, Parquet or JSON.

Made when they are asked for, from the database of that moment, in a file that is sent piece by
piece and then removed. In CSV a text that a spreadsheet would take for a formula begins with an
apostrophe; the other formats hold every text as it is. The votes name their annotators as the
database does.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse
from markupsafe import Markup
from starlette.background import BackgroundTask

from annotate.lead import markup
from annotate.lead.frame import Site, Visit, block
from annotate.rights import Lead
from data import agree_page
from data.errors import UserError
from data.store import Owner

LABELS = ("auto", "human")
FORMATS = ("csv", "jsonl", "parquet")
_FORMULA = "^[=+\\-@\t\r]"
"""How a cell begins that a spreadsheet would work out."""


def page(site: Site, load: Callable[..., Any]) -> None:
    """Lay the page out."""
    body = block()
    site.on(load, shown, [], [body])


def shown(visit: Visit) -> Markup:
    """A row of links for everything that can be had."""
    words, reading = visit.words, visit.reading
    if not len(reading.pairs):
        return visit.top("export") + visit.beginning()
    rows = [_row("votes", words["export_votes"].format(count=f"{len(reading.votes):,}"))]
    rows += [_row(f"labels-{one}", words[f"export_labels_{one}"]) for one in LABELS]
    rows.append(_row("agreement", words["export_agreement"], ("html", "json")))
    note = Markup("<p class=ll-quiet>{}</p>").format(words["export_note"])
    return visit.top("export") + note + markup.joined(rows)


def _row(name: str, about: str, formats: tuple[str, ...] = FORMATS) -> Markup:
    links = [
        Markup('<a class=ll-button href="./export/{0}.{1}" download aria-label="{2}: {1}">{1}</a>')
        .format(name, one, about)
        for one in formats
    ]  # fmt: skip
    return Markup("<div class=ll-export><p>{}</p><p>{}</p></div>").format(
        about, Markup(" ").join(links)
    )


def routes(site: Site) -> APIRouter:
    """The addresses of the files."""
    router = APIRouter(include_in_schema=False)

    @router.get("/lead/export/{name}.{ending}")
    def download(name: str, ending: str, person: Lead) -> FileResponse:
        """One file, made now."""
        del person  # asked for by its right alone
        make = _maker(site, name, ending)
        if make is None:
            raise HTTPException(404)
        try:
            return _sent(name, ending, make)
        except UserError as error:
            raise HTTPException(409, str(error)) from error

    return router


def _maker(site: Site, name: str, ending: str) -> Callable[[Path], object] | None:
    """What writes the file of that name; None where there is no such file."""
    if name == "agreement":
        return {"json": partial(_json, site), "html": partial(_page, site)}.get(ending)
    if ending not in FORMATS or name not in ("votes", *(f"labels-{one}" for one in LABELS)):
        return None
    return lambda path: write(frame(site.desk.store, name), path)


def _json(site: Site, path: Path) -> None:
    path.write_text(json.dumps(site.reports.newest().as_dict(), indent=1, sort_keys=True) + "\n")


def _page(site: Site, path: Path) -> None:
    path.write_text(agree_page.page(site.reports.newest()), encoding="utf-8")


def frame(store: Owner, name: str) -> pl.DataFrame:
    """What an export of that name holds.

    Raises:
        UserError: these labels cannot be made from what there is.
    """
    return store.frame("votes") if name == "votes" else store.labels(name.removeprefix("labels-"))


def write(rows: pl.DataFrame, path: Path) -> None:
    """Write a frame in the format that the file's name says."""
    if path.suffix == ".parquet":
        rows.write_parquet(path)
    elif path.suffix == ".jsonl":
        rows.write_ndjson(path)
    else:
        texts = pl.col(pl.String)
        guarded = pl.when(texts.str.contains(_FORMULA)).then("'" + texts).otherwise(texts)
        rows.with_columns(guarded.name.keep()).write_csv(path)


def _sent(name: str, ending: str, make: Callable[[Path], object]) -> FileResponse:
    with tempfile.NamedTemporaryFile(suffix=f".{ending}", delete=False) as file:
        path = Path(file.name)
    try:
        make(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return FileResponse(
        path,
        filename=f"{name}.{ending}",
        headers={"cache-control": "no-store"},
        background=BackgroundTask(path.unlink, missing_ok=True),
    )

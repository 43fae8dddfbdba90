"""The lead's pages put together, and the routes beside them.

Mounted before the annotators' page, which answers to everything else. Files of the pages (exports,
clips of runs) have routes of their own, because Gradio's file route is closed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from markupsafe import Markup

from annotate import rights
from annotate.desk import Desk
from annotate.lead import agreement, browser, export, overview, pair, run, runs, work
from annotate.lead.frame import Site
from annotate.lead.reading import Readings
from annotate.lead.reports import Reports
from annotate.words import spoken

_REFUSAL = Markup(
    "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    "<meta name=color-scheme content='light dark'><title>Second Look</title>"
    "<style>body {{ font: 17px/1.5 system-ui, sans-serif; max-width: 36rem; margin: 12vh auto; "
    "padding: 0 1rem }} main {{ overflow-wrap: anywhere }}</style>"
    "<main><h1>Second Look</h1><p>{}</p><p><a href='../'>Second Look</a></p></main>"
)
Page = Callable[[Site, Callable[..., Any]], None]
PATH = "/lead"
_STYLE = Path(__file__).with_name("lead.css")
_ROUTES: dict[str, Page] = {
    "agreement": agreement.page,
    "pairs": browser.page,
    "pair": pair.page,
    "work": work.page,
    "runs": runs.page,
    "run": run.page,
    "export": export.page,
}


def build(site: Site) -> gr.Blocks:
    """The pages; nothing of the database is in them before somebody with the right asks."""
    with gr.Blocks(title="Second Look", fill_width=True, analytics_enabled=False) as demo:
        overview.page(site, demo.load)
    for path, page in _ROUTES.items():
        with demo.route(path.title(), f"/{path}", show_in_navbar=False):
            page(site, demo.load)
    demo.queue(default_concurrency_limit=8)
    return demo


def mount(app: FastAPI, desk: Desk, *, theme: gr.themes.Base) -> FastAPI:
    """Add the pages to the application; to be called before anything is mounted at `/`."""
    site = Site(desk, Readings(desk), Reports(desk))
    app.include_router(export.routes(site))
    app.include_router(run.router)
    app.add_api_route(PATH, lambda: RedirectResponse("lead/"), include_in_schema=False)
    with warnings.catch_warnings():  # several pages have no server-side rendering, nor has ours
        warnings.filterwarnings("ignore", message="SSR mode is not supported")
        return gr.mount_gradio_app(
            app,
            build(site),
            path=PATH,
            auth_dependency=_lead,
            app_kwargs={"exception_handlers": {rights.BarredError: _barred}},
            theme=theme,
            head=f"<style>{_STYLE.read_text(encoding='utf-8')}</style>",
            show_error=False,
            max_file_size=0,
            ssr_mode=False,
            run_history=False,
            footer_links=[],
        )


def _lead(request: Request) -> str:
    """Which lead asks Gradio for something; nobody else gets a page or runs a function.

    Raises:
        BarredError: it is somebody else.
    """
    return rights.lead_only(request).id


def _barred(request: Request, error: Exception) -> Response:
    """A page for whoever looks at one, and JSON for whatever calls a function."""
    if not isinstance(error, rights.BarredError):
        raise error
    said = error.said(spoken(request))
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_REFUSAL.format(said), error.status)
    return JSONResponse({"detail": said}, error.status)

"""The web server: FastAPI owns everything, Gradio is mounted in it, uvicorn runs it.

Our own routes come first, so Gradio sees only what they leave; what a request must be to get that
far is in `annotate/guard.py`. Gradio's run history (it would keep people's answers in the browser),
its footer, its analytics and its node server are off.

Gradio's page and its configuration are open to everybody: they hold markup and sentences, the
sign-in form among them, and nothing about the database. Whatever runs one of its functions needs
somebody who is signed in, and the function asks for the role itself.
"""

from __future__ import annotations

import ipaddress
import os
import socket

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read by Gradio when it is imported

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.staticfiles import StaticFiles

from annotate import accounts, api, rights, ui
from annotate.desk import Desk
from annotate.guard import Guard, runs_code
from annotate.lead import site
from annotate.player import STATIC
from annotate.words import spoken
from data.errors import UserError

PORTS_TRIED = 20
KEEP_ALIVE = 75
"""Seconds that an idle connection stays open. People think for longer than uvicorn's own 5, and a
request that meets a closing connection is lost and has to be repeated."""


def interface(desk: Desk) -> FastAPI:
    """The application without Gradio: the REST interface, the clips, the page's own files."""
    app = FastAPI(title="Second Look", description=api.ABOUT, docs_url=None, redoc_url=None)
    app.state.desk = desk
    app.add_middleware(Guard, desk=desk)
    app.add_exception_handler(rights.BarredError, _barred)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.include_router(accounts.router)
    app.include_router(api.router)
    app.mount("/page", StaticFiles(directory=STATIC))
    return app


def build(desk: Desk, *, language: str = "auto") -> FastAPI:
    """The whole web application over one desk, in one language or each browser's own (`auto`)."""
    app = interface(desk)
    app.state.language = language
    return gr.mount_gradio_app(
        site.mount(app, desk, theme=ui.theme()),
        ui.build(language),
        path="/",
        auth_dependency=_gradio_visitor,
        theme=ui.theme(),
        head=ui.head(),
        show_error=False,
        max_file_size=0,
        ssr_mode=False,
        run_history=False,
        footer_links=[],
    )


def _gradio_visitor(request: Request) -> str | None:
    """Who calls a function of Gradio's; None is refused (401). Its page is the same for all."""
    if not runs_code(request.url.path):
        return ""
    person = rights.person_of(rights.desk_of(request), request)
    return None if person is None else person.id


def _barred(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, rights.BarredError):
        raise error
    seconds = error.values.get("seconds")
    headers = {"retry-after": str(seconds)} if seconds else None
    detail = {"detail": error.said(spoken(request))}
    return JSONResponse(detail, error.status, headers=headers)


def _malformed(_request: Request, error: Exception) -> JSONResponse:
    """Where a request is not as described; what it held is not sent back.

    FastAPI's own answer repeats the input: passwords too, and on NaN or half a character it fails.
    """
    if not isinstance(error, RequestValidationError):
        raise error
    wrong = [{name: one[name] for name in ("loc", "msg", "type")} for one in error.errors()]
    return JSONResponse({"detail": wrong}, 422)


def loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the first free port from `port` on, so that a busy one is no dead end.

    Raises:
        UserError: none of the `PORTS_TRIED` ports is free, or the host is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    reason: OSError | None = None
    for candidate in range(port, min(port + PORTS_TRIED, 65536)):
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, candidate))
            bound.listen()
        except OSError as error:
            bound.close()
            reason = error
        else:
            return bound
    raise UserError(
        f"Cannot listen on {host}, ports {port} to {port + PORTS_TRIED - 1}: {reason}. "
        "Give a free port with --port, and with --host an address of this machine"
    )


def server(app: FastAPI, *, proxy: str = "") -> uvicorn.Server:
    """What answers requests.

    Args:
        app: The application.
        proxy: Addresses, separated by commas, whose word on the browser's address and on https
            (`X-Forwarded-For`, `X-Forwarded-Proto`) is taken; nobody's by default.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            timeout_graceful_shutdown=2,
            timeout_keep_alive=KEEP_ALIVE,
            proxy_headers=bool(proxy),
            forwarded_allow_ips=proxy or [],
            server_header=False,
        )
    )


def serve(app: FastAPI, bound: socket.socket, *, proxy: str = "") -> None:
    """Answer requests on `bound` until interrupted; for `proxy` see `server`."""
    server(app, proxy=proxy).run(sockets=[bound])

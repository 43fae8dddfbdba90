"""The web server: FastAPI owns everything, Gradio is mounted in it, uvicorn runs it.

Our own routes come first, so Gradio sees only what they leave. Gradio's run history (it would keep
people's answers in the browser), its footer, its analytics and its node server are off, and a
content security policy lets the page talk to this server only: it works without a network, and says
nothing to anybody.
"""

from __future__ import annotations

import os
import socket

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read by Gradio when it is imported

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from annotate import ui
from annotate.api import router
from annotate.desk import Desk
from annotate.player import STATIC
from data.errors import UserError

PORTS_TRIED = 20
_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; connect-src 'self' data: blob:; form-action 'self'; "
    "base-uri 'self'; object-src 'none'; frame-ancestors 'self'"
)


def interface(desk: Desk) -> FastAPI:
    """The application without Gradio: the REST interface, the clips, the page's own files."""
    app = FastAPI(title="Second Look", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk = desk
    app.add_middleware(Guard)
    app.include_router(router)
    app.mount("/page", StaticFiles(directory=STATIC))
    return app


def build(desk: Desk) -> FastAPI:
    """The whole web application over one desk."""
    return gr.mount_gradio_app(
        interface(desk),
        ui.build(),
        path="/",
        theme=ui.theme(),
        head=ui.head(),
        ssr_mode=False,
        run_history=False,
        footer_links=[],
    )


class Guard:
    """Middleware: keeps the page's traffic on this server, and answers out of caches."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to whatever the app answers (streams are passed on as they come)."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = _POLICY
                headers["referrer-policy"] = "no-referrer"
                headers["x-content-type-options"] = "nosniff"
                if scope["path"].startswith("/api/"):
                    headers["cache-control"] = "no-store"
                elif scope["path"].startswith("/page/"):
                    headers["cache-control"] = "no-cache"
            await send(message)

        await self._app(scope, receive, guarded)


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


def serve(app: FastAPI, bound: socket.socket) -> None:
    """Answer requests on `bound` until interrupted."""
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)
    uvicorn.Server(config).run(sockets=[bound])

"""What a request must be to reach the application, and what every answer carries.

- From this site: what another site makes a browser send is refused (`Sec-Fetch-Site`, else
  `Origin`), a link that is followed excepted. A name that an attacker's domain resolves to this
  machine is not this site either: an app on the loopback address answers to `localhost` only.
- Of a decent size.
- Of Gradio's own interface only what the pages need: nothing that takes or serves files, fetches
  addresses, or calls a component's methods.

A content security policy lets the page talk to this server only: it works without a network, and
says nothing to anybody.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from annotate.desk import Desk
from annotate.rights import note
from annotate.words import choose, words

LARGEST_BODY = 1 << 20
"""Bytes. A vote has hundreds; Gradio sends the values of a page's fields."""
_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; connect-src 'self' data: blob:; form-action 'self'; "
    "base-uri 'self'; object-src 'none'; frame-ancestors 'self'"
)
_GRADIO, _LEAD = "/gradio_api", "/lead"
_HARMLESS = ("info", "startup-events", "heartbeat", "theme.css", "app_id", "login_check", "user")
"""Of Gradio's interface: says how the pages are built, and runs nothing."""
_RUNNING = ("queue/join", "queue/data", "run", "call", "cancel", "reset")
"""Of Gradio's interface: calls the functions of pages, for people who are signed in."""
_CLOSED = ("/file=", "/proxy=", "/monitoring", "/login", "/logout", "/svelte", "/custom_component")
_ASKING = ("GET", "HEAD", "OPTIONS")
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def runs_code(path: str) -> bool:
    """Whether this address of Gradio's makes a function run (or hands over what it gave)."""
    return _gradio(path, _RUNNING)


def _within(path: str) -> str:
    """The path as the Gradio app that answers there sees it: the lead's pages are another one."""
    return path.removeprefix(_LEAD) or "/"


def _gradio(path: str, parts: tuple[str, ...]) -> bool:
    path = _within(path)
    return any(
        path == f"{_GRADIO}/{part}" or path.startswith(f"{_GRADIO}/{part}/") for part in parts
    )


def _open(path: str) -> bool:
    """Whether there is anything at this address for anybody."""
    path = _within(path)
    if path == _GRADIO or path.startswith(f"{_GRADIO}/"):
        return _gradio(path, _RUNNING + _HARMLESS)
    return not path.startswith(_CLOSED)


class Guard:
    """Middleware: refuses what is above, and puts the headers on what the app answers."""

    def __init__(self, app: ASGIApp, *, desk: Desk) -> None:
        self._app = app
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refused request here; pass any other on (streams as they come)."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        note(scope, self._desk)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), scope["path"])
            await send(message)

        refused = self._refusal(scope)
        if refused is not None:
            await refused(scope, receive, guarded)
        else:
            await self._app(scope, _limited(scope, receive), guarded)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if self._desk.local and _name(headers.get("host", "")) not in _LOCAL_NAMES:
            return _refuse(scope, 421, "host")
        if self._desk.local and "x-forwarded-for" in headers:
            return _refuse(scope, 421, "host")
        if _foreign(scope["method"], headers):
            return _refuse(scope, 403, "elsewhere")
        if not _open(scope["path"]):
            return _refuse(scope, 404, "nothing")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            return _refuse(scope, 413, "too_large", limit=LARGEST_BODY)
        return None


def _foreign(method: str, headers: Headers) -> bool:
    """Whether another site makes the browser send this.

    Scripts and old browsers send neither header: they are no vehicle for another site's forms,
    which carry `Origin` wherever they are posted from.
    """
    fetched = headers.get("sec-fetch-site", "same-origin")
    if fetched not in ("same-origin", "none"):
        followed = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        return not (followed and headers.get("sec-fetch-dest") == "document")
    if method in _ASKING or "sec-fetch-site" in headers or "origin" not in headers:
        return False
    return urlsplit(headers["origin"]).netloc != headers.get("host")


def _name(host: str) -> str:
    """`localhost:7860` -> `localhost`; empty where it is no host."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _refuse(scope: Scope, status: int, key: str, **values: object) -> JSONResponse:
    return JSONResponse({"detail": _said(scope, key, **values)}, status)


def _said(scope: Scope, key: str, **values: object) -> str:
    language = choose(Headers(scope=scope).get("accept-language"))
    return words(language).ERRORS[key].format(**values)


def _limited(scope: Scope, receive: Receive) -> Receive:
    """A body without a stated length is counted as it comes."""
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > LARGEST_BODY:
            raise HTTPException(413, _said(scope, "too_large", limit=LARGEST_BODY))
        return message

    return limited


def _add_headers(headers: MutableHeaders, path: str) -> None:
    headers["content-security-policy"] = _POLICY
    headers["referrer-policy"] = "no-referrer"
    headers["x-content-type-options"] = "nosniff"
    if path.startswith("/api/"):
        headers["cache-control"] = "no-store"
    elif path.startswith("/page/"):
        headers["cache-control"] = "no-cache"

"""The HTTP application of a server, put together."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection

from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import BaseRoute, Match, Mount, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ..protocol.admin import Health
from ..protocol.journal import PATH
from ..protocol.problems import Problem
from ..protocol.stream import SIGNALS, STREAM
from ..services import answers
from .downloads import LogDownloads
from .journal import Journal, Recorder
from .link_page import LinkPage
from .metrics import Metrics
from .operations import Operations
from .pages import Pages
from .replies import Reply, send_reply, trouble
from .service import Service
from .streams import Streams
from .ui import Ui, wants_page
from .wall import Wall

API = "/api"
# Smaller answers are not worth it; and the level is one that a busy server can afford.
GZIP_FROM, GZIP_LEVEL = 2_000, 3

assert answers  # loads the handlers


class Place(BaseRoute):
    """One path, whatever the method: what is there says itself which it takes."""

    def __init__(self, path: str, app: ASGIApp, *kinds: str, methods: Collection[str] = ("GET", "HEAD")) -> None:
        self._path = path
        self._app = app
        self._kinds = kinds or ("http",)
        self._methods = frozenset(methods)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        fits = scope["type"] in self._kinds and scope["path"] == self._path
        return (Match.FULL if fits else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in self._methods:
            methods = ", ".join(sorted(self._methods))
            problem = Problem(
                "method-not-allowed", f"{self._path} does not take {scope['method']}; it takes {methods}."
            )
            await send_reply(send, trouble(405, problem, [(b"allow", methods.encode())]))
        else:
            await self._app(scope, receive, send)


class Below(Mount):
    """Requests below a path; of WebSockets there are only those that have a place of their own."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope) if scope["type"] == "http" else (Match.NONE, {})


def make_app(service: Service, *, hosts: Collection[str] | None = None) -> ASGIApp:
    """The application; `hosts` are the names it may be asked under, None: any. It begins and ends by ASGI's lifespan:
    the end closes the pool, not the store."""
    recorder = Recorder(service.desk.store, service.desk.now, service.meters)
    streams = Streams(service)
    pages = Pages(service.desk.version)
    metrics = Metrics(service, lambda: recorder.waiting_bytes)
    ui = Ui()

    async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and wants_page(scope) and not scope["path"].startswith(f"{API}/"):
            await ui.page(scope, send, 404)
        else:
            await _nowhere(scope, receive, send)

    @contextlib.asynccontextmanager
    async def lifespan(_: Router) -> AsyncIterator[None]:
        service.hub.start()
        try:
            yield
        finally:
            service.hub.close_streams()
            service.hub.stop()
            recorder.close()
            service.pool.close()

    routes: list[BaseRoute] = [
        Place(f"{API}/health", _fixed(Reply(200, b'{"status":"%b"}' % Health().status.encode()))),
        Place(f"{API}{STREAM}", streams.stream, "http", "websocket"),
        Place(f"{API}{SIGNALS}", streams.signals),
        Place(f"{API}{PATH}", Journal(service, recorder), methods=("POST",)),
        Place(f"{API}/metrics", metrics),
        Place("/metrics", metrics),
        Place(f"{API}/openapi.json", pages.openapi),
        Place("/docs", pages.docs),
        Place("/docs/style.css", pages.style),
        LogDownloads(service),
        LinkPage(service),
        Below(API, Operations(service)),
        ui,
    ]
    # A router, and not the `Starlette` around it: that would answer faults itself.
    app = Router(routes, redirect_slashes=False, default=nowhere, lifespan=lifespan)
    return Wall(GZipMiddleware(app, GZIP_FROM, GZIP_LEVEL), hosts)


def _fixed(reply: Reply) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send_reply(send, reply, bodiless=scope["method"] == "HEAD")

    return answer


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": "There is no such stream."})
        return
    path = scope["path"][:200]
    await send_reply(send, trouble(404, Problem("not-found", f"There is nothing at {path}; /docs says what there is.")))

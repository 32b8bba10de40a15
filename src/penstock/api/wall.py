"""The outermost wall: what every answer has, and what no request gets past.

Law: every answer names the protocol; a client that speaks another one is told so; a server that only its own machine
should reach is not asked under another name (a page of a foreign site could make a browser do that); and whatever goes
wrong inside is an answer with an id that the log has, and nothing else of it.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..domain.errors import NotAllowed, PenstockError
from ..protocol.problems import Problem
from ..protocol.version import HEADER, PROTOCOL, check_client
from .gate import is_loopback
from .replies import Reply, reply_to, send_reply, trouble
from .service import header

PROTOCOL_HEADER = (HEADER.encode(), str(PROTOCOL).encode())
# Nobody guesses what an answer is, and no page of ours is put into a foreign one.
_ALWAYS = (PROTOCOL_HEADER, (b"x-content-type-options", b"nosniff"))
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})

_log = logging.getLogger("penstock.server")


class Wall:
    """`hosts` are the names that the server may be asked under (without port); None: any."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self._app = app
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        begun = False

        async def marked(message: Message) -> None:
            nonlocal begun
            if message["type"] in ("http.response.start", "websocket.http.response.start", "websocket.accept"):
                begun = True
                message["headers"] = [*message.get("headers", ()), *_ALWAYS]
            await send(message)

        try:
            self._check_host(scope)
            check_client(header(scope, HEADER.encode()))
            await self._app(scope, receive, marked)
        except PenstockError as error:
            if begun:
                raise
            await _answer(reply_to(error), scope, marked)
        except Exception:
            id = secrets.token_hex(4)
            _log.exception("fault %s at %s %s", id, scope.get("method", "WebSocket"), scope["path"])
            if begun:
                raise
            message = f"Something went wrong in the server. Its log has more under the id {id}."
            await _answer(trouble(500, Problem("fault", message)), scope, marked)

    def _check_host(self, scope: Scope) -> None:
        if self._hosts is None:
            return
        given = [value for name, value in scope["headers"] if name == b"host"]
        host = given[0].decode("latin-1").strip().lower() if len(given) == 1 else ""
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        # (An address of this machine, to the letter: anybody can have a name that begins like one.)
        if name.strip("[]") not in self._hosts and name not in self._hosts and not is_loopback(name):
            raise NotAllowed(
                f"This server is not asked under the name {name[:80]!r}. If it should be, add the name to "
                "PENSTOCK_SERVER_ALLOWED_HOSTS."
            )


async def _answer(reply: Reply, scope: Scope, send: Send) -> None:
    if scope["type"] == "http":
        await send_reply(send, reply, bodiless=scope["method"] == "HEAD")
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": "refused"})

"""`GET /api/flow_runs/{id}/logs/download`: a whole log as text, sent as it is read, however long it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from uuid import UUID

from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from ..domain.accounts import VIEWER
from ..domain.errors import PenstockError
from ..domain.ids import parse_id
from ..protocol.problems import Problem
from ..services import log_text, reading
from .replies import reply_to, send_reply, trouble
from .service import Service

NAME = "download_flow_run_logs"
_PATH = re.compile(r"/api/flow_runs/([^/]{1,100})/logs/download")


class LogDownloads(BaseRoute):
    """The path of every flow run's log."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        fits = scope["type"] == "http" and _PATH.fullmatch(scope["path"]) is not None
        return (Match.FULL if fits else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _PATH.fullmatch(scope["path"])
        assert found is not None
        if scope["method"] not in ("GET", "HEAD"):
            problem = Problem("method-not-allowed", f"A log is downloaded by GET, not by {scope['method']}.")
            await send_reply(send, trouble(405, problem, [(b"allow", b"GET, HEAD")]))
            return
        service = self._service
        try:
            _, asker = await service.asker_of(scope)
            asker.check(NAME, VIEWER, reads=True, journal=False)
            run_id = parse_id(found[1])
            run = await service.pool.run(partial(reading.get_flow_run, service.desk.store, run_id), reads=True)
            pieces = log_text.pieces(service.desk.store, run)
            first = await service.pool.run(partial(_next, pieces), reads=True)
        except PenstockError as error:
            await send_reply(send, reply_to(error))
            return
        await send({"type": "http.response.start", "status": 200, "headers": _headers(run_id)})
        piece = first
        while piece is not None and scope["method"] == "GET":
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            piece = await service.pool.run_patiently(partial(_next, pieces))
        await send({"type": "http.response.body", "body": b""})


def _next(pieces: Iterator[str]) -> bytes | None:
    piece = next(pieces, None)
    return None if piece is None else piece.encode("utf-8", "backslashreplace")


def _headers(run_id: UUID) -> list[tuple[bytes, bytes]]:
    name = f'attachment; filename="flow-run-{run_id}.log"'
    return [(b"content-type", b"text/plain; charset=utf-8"), (b"content-disposition", name.encode())]

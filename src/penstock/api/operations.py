"""The operations of `protocol` over HTTP: which one is meant, what it is given, and its answer.

Law: one way in for all of them, made from the table. Where there is nothing new yet, it is the event loop that waits,
and not a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from starlette.types import Receive, Scope, Send

from ..domain.errors import PenstockError
from ..domain.trace_context import TRACEPARENT, TRACESTATE, trace_of
from ..protocol.deployments import CREATE_RUN
from ..protocol.flow_runs import WAIT_FOR_FLOW_RUN
from ..protocol.launches import CLAIM_LAUNCHES
from ..protocol.operation import OPERATIONS, Operation, Unchanged
from ..protocol.problems import Problem
from ..services import claiming
from ..services.desk import Desk
from . import answers
from .arguments import Reader, Unfitting, WrongKind, unquoted
from .once import answer_once
from .replies import Reply, reply_to, send_reply, trouble
from .service import Service, header, read_body

PREFIX = b"/api"
NOWHERE = "unknown"
_JSON_KINDS = ("application/json", "")


class Route:
    """One operation, ready to be asked."""

    def __init__(self, operation: Operation[Any, Any]) -> None:
        self.operation = operation
        self.read = Reader(operation).read
        self.write: Callable[[Any], bytes] = answers.writer(operation.gives)
        self.segments = tuple(None if part.startswith("{") else part for part in operation.path.strip("/").split("/"))
        self.takes_body = not operation.in_query

    def fits(self, segments: list[str]) -> bool:
        return all(mine is None or mine == theirs for mine, theirs in zip(self.segments, segments, strict=True))

    def in_path(self, segments: list[str]) -> list[str]:
        return [text for mine, text in zip(self.segments, segments, strict=True) if mine is None]


class Operations:
    """All operations, as one ASGI application below `/api`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._turns: weakref.WeakValueDictionary[UUID, asyncio.Lock] = weakref.WeakValueDictionary()
        self._routes: dict[int, list[Route]] = {}
        # What is spelled out goes before what may be anything: `/variables/filter` is no variable's name.
        for route in sorted(map(Route, OPERATIONS.values()), key=lambda each: [part is None for part in each.segments]):
            self._routes.setdefault(len(route.segments), []).append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        method = scope["method"]
        name = NOWHERE
        try:
            segments = _segments(scope)
            found = self._find("GET" if method == "HEAD" else method, segments)
            if isinstance(found, Route):
                name = found.operation.name
                reply = await self._answer(found, segments, scope, receive)
            else:
                reply = found
        except PenstockError as error:
            reply = reply_to(error)
        scope["operation"] = name
        self._service.meters.request(name, reply.status, time.perf_counter() - began)
        await send_reply(send, reply, bodiless=method == "HEAD")

    def _find(self, method: str, segments: list[str]) -> Route | Reply:
        allowed = set()
        for route in self._routes.get(len(segments), ()):
            if route.fits(segments):
                if route.operation.method == method:
                    return route
                allowed.add(route.operation.method)
        path = "/".join(segments)
        if not allowed:
            return trouble(404, Problem("not-found", f"There is nothing at /api/{path}; /docs says what there is."))
        if "GET" in allowed:
            allowed.add("HEAD")
        methods = ", ".join(sorted(allowed))
        problem = Problem("method-not-allowed", f"/api/{path} does not take {method}; it takes {methods}.")
        return trouble(405, problem, [(b"allow", methods.encode())])

    async def _answer(self, route: Route, segments: list[str], scope: Scope, receive: Receive) -> Reply:
        operation, service = route.operation, self._service
        approach, asker = await service.asker_of(scope, anyone=operation.role is None)
        # Of somebody who may not, not even the body is read. (Refusals that are audited are the desk's.)
        if not (asker.signed_in and operation.audited):
            asker.check(operation.name, operation.role, reads=operation.reads, journal=operation.journal)
        body = await read_body(scope, receive, service.body_limit)
        if route.takes_body and body:
            _check_kind(scope)
        query: bytes = scope["query_string"]
        argument = route.read(route.in_path(segments), query, body)
        if operation is CREATE_RUN and argument.traceparent is None:
            argument = msgspec.structs.replace(argument, **_trace(scope))
        desk = service.desk.asked_by(asker)

        def work(desk: Desk) -> Reply:
            value = desk.answer(operation, argument)
            return Reply(operation.status, route.write(value) if operation.gives is not None else b"")

        key = None if operation.reads or operation.secret else header(scope, b"idempotency-key")
        if operation.waits:
            reply = await self._patiently(route, partial(work, desk), argument, receive)
        elif key is not None:
            asked = b"\n".join((operation.name.encode(), "/".join(segments).encode(), query, body))
            reply = await answer_once(service, desk, key, asked, work)
        else:
            reply = await service.pool.run(partial(work, desk))
        if desk.cookies:
            cookies = [(n.encode(), v.encode()) for n, v in service.gate.cookie_headers(approach, desk.cookies)]
            reply = msgspec.structs.replace(reply, headers=(*reply.headers, *cookies))
        return reply

    async def _patiently(self, route: Route, ask: Callable[[], Reply], argument: Any, receive: Receive) -> Reply:
        """Asks again whenever something has changed, until the asker's patience ends, or the server does. Workers that
        wait for the same work ask one after the other: the next sees what one before it took."""
        deadline = time.monotonic() + argument.wait
        hub = self._service.hub
        # Who waits for one flow run, or for work, is not woken by all the others.
        of: tuple[UUID, ...] = ()
        turn: asyncio.Lock | contextlib.nullcontext[None] = contextlib.nullcontext()
        if route.operation is WAIT_FOR_FLOW_RUN:
            of = (argument.id,)
        elif route.operation is CLAIM_LAUNCHES:
            of = claiming.bells(argument)
            turn = self._turns.setdefault(of[2] if len(of) > 2 else of[1], asyncio.Lock())
        gone = asyncio.ensure_future(_hung_up(receive))
        try:
            while True:
                with hub.change(*of) as changed:
                    try:
                        async with turn:
                            return await self._service.pool.run(ask)
                    except Unchanged as unchanged:
                        left = deadline - time.monotonic()
                        if left <= 0 or gone.done() or hub.closing:
                            return Reply(route.operation.status, route.write(unchanged.value))
                    await asyncio.wait({changed, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _segments(scope: Scope) -> list[str]:
    """Of the path below `/api`, each percent-decoded by itself: a name may hold a slash. Raises `BadRequest`."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = raw.partition(b"?")[0].removeprefix(PREFIX).strip(b"/")
    found = [unquoted(part) for part in path.split(b"/")]
    if any("\0" in part for part in found):
        raise Unfitting("The path holds a NUL character.")
    return found


def _trace(scope: Scope) -> dict[str, str]:
    """The W3C trace context of a request, which what it makes is a part of."""
    return trace_of({name: header(scope, name.encode()) for name in (TRACEPARENT, TRACESTATE)})


def _check_kind(scope: Scope) -> None:
    kind = (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
    if kind not in _JSON_KINDS:
        raise WrongKind(f"The body must be JSON (content-type: application/json), not {kind}.")

"""Live streams: server-sent events for `curl` and browsers, the same over a WebSocket; requests to stop, for engines.

Law: a stream costs one waiting task and no thread. Who does not read for a while is cut off, and comes again with its
cursor; when the server ends, streams are told to come again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from ..domain.accounts import VIEWER
from ..domain.errors import NotAllowed, NotSignedIn, PenstockError
from ..domain.filters import RunFilter
from ..protocol import stream as asked
from ..services import streaming
from .arguments import Unfitting, check_json, query_fields
from .events import cursor_in
from .follower import Follower, Said
from .replies import reply_to, send_reply
from .service import Service, header
from .subscriptions import SignalSubscription

# Whoever takes nothing for so long is cut off.
SEND_PATIENCE = 30.0
# Codes of a WebSocket's end: against the rules; the service restarts.
REFUSED, RESTARTING = 1008, 1012

Write = Callable[[list[Said]], Awaitable[None]]
_encode = msgspec.json.Encoder().encode


class Streams:
    """`/api/stream` and `/api/signals`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The route of a stream, for both ways."""
        websocket = scope["type"] == "websocket"
        try:
            right = _Right(self._service, scope, "stream")
            await right.ask()
            follower = self._follower(scope)
            hub = self._service.hub
            hub.join(follower.subscription)
            try:
                begun = await follower.begin()
                if websocket:
                    await _over_websocket(receive, send, lambda write: self._follow(follower, begun, right, write))
                else:
                    await _as_events(receive, send, lambda write: self._follow(follower, begun, right, write))
            finally:
                hub.leave(follower.subscription)
        except PenstockError as error:
            await _refuse(error, scope, send)

    async def signals(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The route of requests to stop: server-sent events only."""
        try:
            right = _Right(self._service, scope, "signals", journal=True)
            await right.ask()
            query = _query(scope, asked.AskSignals)
            subscription = SignalSubscription(_json(asked.decode_holder, query.holder, "holder"))
            hub = self._service.hub
            hub.join_signals(subscription)
            try:
                store = self._service.desk.store
                subscription.give(await self._service.pool.run_patiently(lambda: streaming.open_signals(store)))
                await _as_events(receive, send, lambda write: self._signal(subscription, right, write))
            finally:
                hub.leave_signals(subscription)
        except PenstockError as error:
            await _refuse(error, scope, send)

    def _follower(self, scope: Scope) -> Follower:
        query = _query(scope, asked.AskStream)
        if query.logs and query.flow_run is None:
            raise Unfitting("`logs` are those of one flow run: give `flow_run` as well.")
        if query.filter is not None and query.flow_run is not None:
            raise Unfitting("A stream is of one `flow_run` or of those that fit `filter`, not of both.")
        filter = RunFilter() if query.filter is None else _json(asked.decode_filter, query.filter, "filter")
        # A browser that comes again says so by a header, and its URL has still the old cursor.
        cursor = header(scope, b"last-event-id") or query.cursor
        service = self._service
        return Follower(
            service.desk.store, service.pool, service.desk.now, query.flow_run, filter, log=query.logs,
            cursor=None if cursor is None else cursor_in(cursor),
        )  # fmt: skip

    async def _follow(self, follower: Follower, begun: list[Said], right: _Right, write: Write) -> None:
        await write(begun)
        hub = self._service.hub
        while not hub.closing and await right.still():
            try:
                said = await follower.more(asked.HEARTBEAT_SECONDS)
            except PenstockError:  # the record is away: so is what the stream is of, until the client comes again
                return
            await write(said)

    async def _signal(self, subscription: SignalSubscription, right: _Right, write: Write) -> None:
        while not self._service.hub.closing and await right.still():
            if not subscription.waiting:
                await subscription.wait(asked.HEARTBEAT_SECONDS)
            signals, subscription.waiting = subscription.waiting, []
            await write([Said("signal", "", _encode(each)) for each in signals])


class _Right:
    """The right to listen. It may be lost while a stream goes on (a key is revoked, a session ends): it is looked at
    anew every `HEARTBEAT_SECONDS`, and a stream without it ends."""

    __slots__ = ("_journal", "_name", "_scope", "_service", "_until")

    def __init__(self, service: Service, scope: Scope, name: str, *, journal: bool = False) -> None:
        self._service = service
        self._scope = scope
        self._name = name
        self._journal = journal
        self._until = 0.0

    async def ask(self) -> None:
        """Raises what the gate raises."""
        _, asker = await self._service.asker_of(self._scope)
        asker.check(self._name, VIEWER, reads=True, journal=self._journal)
        self._until = time.monotonic() + asked.HEARTBEAT_SECONDS

    async def still(self) -> bool:
        if time.monotonic() < self._until:
            return True
        try:
            await self.ask()
        except (NotSignedIn, NotAllowed):
            return False
        except PenstockError:  # it cannot be seen now
            return True
        return True


# --- both ways -------------------------------------------------------------------------------------------------------


async def _as_events(receive: Receive, send: Send, follow: Callable[[Write], Awaitable[None]]) -> None:
    headers = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),  # nginx would keep it back
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})

    written = time.monotonic()

    async def write(said: list[Said]) -> None:
        nonlocal written
        if said or time.monotonic() - written >= asked.HEARTBEAT_SECONDS * 0.9:
            written = time.monotonic()
            body = b"".join(map(_event_text, said)) or b":\n\n"
            await _in_time(send({"type": "http.response.body", "body": body, "more_body": True}))

    async def all_of_it() -> None:
        await follow(write)
        last = b"retry: %d\n\n" % asked.RETRY
        await _in_time(send({"type": "http.response.body", "body": last, "more_body": False}))

    await _until_gone(all_of_it(), receive, "http.disconnect")


def _event_text(said: Said) -> bytes:
    # JSON of ours has no line breaks in it.
    head = f"id: {said.cursor}\nevent: {said.kind}\ndata: " if said.cursor else f"event: {said.kind}\ndata: "
    return b"%b%b\n\n" % (head.encode(), said.data)


async def _over_websocket(receive: Receive, send: Send, follow: Callable[[Write], Awaitable[None]]) -> None:
    await receive()  # the other end's wish to connect
    await send({"type": "websocket.accept"})

    async def write(said: list[Said]) -> None:
        for each in said:
            text = _encode(asked.StreamEvent(each.kind, each.cursor, msgspec.Raw(each.data))).decode()
            await _in_time(send({"type": "websocket.send", "text": text}))

    async def all_of_it() -> None:
        await follow(write)
        await _in_time(send({"type": "websocket.close", "code": RESTARTING, "reason": "the server ends"}))

    await _until_gone(all_of_it(), receive, "websocket.disconnect")


async def _in_time(sending: Awaitable[Any]) -> None:
    async with asyncio.timeout(SEND_PATIENCE):
        await sending


async def _until_gone(following: Awaitable[None], receive: Receive, gone: str) -> None:
    """Runs to its end, unless the other end goes first, or takes nothing any more."""
    task = asyncio.ensure_future(following)
    listening = asyncio.ensure_future(_gone(receive, gone))
    try:
        await asyncio.wait({task, listening}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    except (TimeoutError, OSError):
        pass
    finally:
        for each in (task, listening):
            each.cancel()
        await asyncio.gather(task, listening, return_exceptions=True)


async def _gone(receive: Receive, gone: str) -> None:
    while (await receive())["type"] != gone:
        pass


async def _refuse(error: PenstockError, scope: Scope, send: Send) -> None:
    reply = reply_to(error)
    if scope["type"] == "http":
        await send_reply(send, reply)
    elif "websocket.http.response" in scope.get("extensions", {}):
        headers = [*reply.headers, (b"content-type", reply.kind)]
        await send({"type": "websocket.http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": reply.body})
    else:
        await send({"type": "websocket.close", "code": REFUSED, "reason": str(error)[:120]})


def _query(scope: Scope, kind: type[Any]) -> Any:
    fields = query_fields(scope["query_string"])
    found = dict(fields)
    if len(found) < len(fields):
        raise Unfitting("A query parameter is given twice.")
    try:
        return msgspec.convert(found, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Unfitting(f"The query does not fit: {error}.") from None


def _json(decode: Callable[[str], Any], text: str, name: str) -> Any:
    check_json(text.encode())
    try:
        return decode(text)
    except (ValueError, RecursionError) as error:
        raise Unfitting(f"`{name}` is not the JSON that it should be: {error}.") from None

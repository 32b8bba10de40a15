"""`POST /api/journal`: what engines report and ask, in batches.

Law: the batches of all processes that wait are recorded together, in one transaction, by one thread: the more come,
the larger it is. What waits is bounded; who comes when that is full is told to come again. Nothing is ever unpickled.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from ..domain.accounts import OPERATOR
from ..domain.errors import BadRequest, PenstockError, StoreUnavailableError, TooMuch
from ..protocol.journal import MSGPACK, Answers, Batch, batch_in
from ..services import journal
from ..store.contract import Store
from .arguments import Unfitting, WrongKind, check_json
from .meters import Meters
from .replies import JSON, Reply, reply_to, send_reply
from .service import Service, header, read_body

NAME = "report"
LIMIT = 16_000_000
# Of bodies that wait to be recorded; and of those that are recorded at once.
MOST_WAITING = 64_000_000
MOST_AT_ONCE = 16_000_000
# While so many come at once, a transaction begins this long after the one before began, and has more in it.
MANY, GATHER_SECONDS = 3, 0.01

_log = logging.getLogger("penstock.server")
_packed = msgspec.msgpack.Encoder().encode
_json = msgspec.json.Encoder().encode


class _Waiting:
    __slots__ = ("body", "future", "json", "loop")

    def __init__(self, body: bytes, json: bool, loop: asyncio.AbstractEventLoop) -> None:
        self.body = body
        self.json = json
        self.loop = loop
        self.future: asyncio.Future[Answers] = loop.create_future()


class Recorder:
    """Records batches in a thread of its own, until `close`."""

    def __init__(self, store: Store, now: Callable[[], datetime], meters: Meters) -> None:
        self._store = store
        self._now = now
        self._meters = meters
        self._lock = threading.Lock()
        self._bell = threading.Condition(self._lock)
        self._queue: deque[_Waiting] = deque()
        self._size = 0
        self._last: tuple[int, float] = (0, 0.0)  # of the last transaction: how many were in it, and when it began
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="penstock-recorder", daemon=True)
        self._thread.start()

    @property
    def waiting_bytes(self) -> int:
        return self._size

    async def take(self, body: bytes, json: bool) -> Answers:
        """Raises `TooMuch`, `RecordError`, or what is wrong with the batch."""
        waiting = _Waiting(body, json, asyncio.get_running_loop())
        with self._lock:
            if self._closed:
                raise StoreUnavailableError("The server is stopping.")
            if self._size + len(body) > MOST_WAITING and self._queue:
                raise TooMuch("The server has more to record than it can at the moment. Try again in a moment.")
            self._size += len(body)
            self._queue.append(waiting)
            self._bell.notify()
        return await waiting.future

    def close(self) -> None:
        """Returns when what had come is recorded."""
        with self._lock:
            self._closed = True
            self._bell.notify()
        self._thread.join()

    def _work(self) -> None:
        while some := self._next():
            batches, those = [], []
            settled: list[tuple[_Waiting, Any]] = []
            for each in some:
                try:
                    batches.append(read(each.body, each.json))
                    those.append(each)
                except Exception as error:
                    settled.append((each, _fault(error)))
            try:
                answers = journal.take(self._store, batches, self._now) if batches else []
            except Exception as error:
                answers = [error] * len(those)
            for batch, each, answer in zip(batches, those, answers, strict=True):
                if not isinstance(answer, Exception):
                    self._meters.count("ingested_task_runs", len(batch.task_runs))
                    self._meters.count("ingested_lines", len(batch.lines))
                settled.append((each, _fault(answer) if isinstance(answer, Exception) else answer))
            _settle_all(settled)

    def _next(self) -> list[_Waiting]:
        """What is recorded next, as much as goes into one transaction; empty: nothing more will come."""
        with self._lock:
            while not self._queue and not self._closed:
                self._bell.wait()
            count, began = self._last
            while count >= MANY and not self._closed and (left := began + GATHER_SECONDS - time.monotonic()) > 0:
                self._bell.wait(left)
            some: list[_Waiting] = []
            size = 0
            while self._queue and (not some or size + len(self._queue[0].body) <= MOST_AT_ONCE):
                some.append(self._queue.popleft())
                size += len(some[-1].body)
            self._size -= size
            self._last = len(some), time.monotonic()
            return some


def read(body: bytes, json: bool) -> Batch:
    """Raises `BadRequest`."""
    try:
        if json:
            check_json(body)
        batch = batch_in(body, json)
    except msgspec.ValidationError as error:
        raise Unfitting(f"The batch does not fit: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"The body is not {'JSON' if json else 'msgpack'}: {error}.") from None
    return batch


def _fault(error: Exception) -> Exception:
    """Whatever a batch holds that no database takes is the sender's fault; the server's log says what it was."""
    if isinstance(error, PenstockError):
        return error
    _log.warning("a batch could not be recorded: %r", error, exc_info=True)
    return Unfitting("Something in this batch cannot be recorded as it is (a number out of range, a line of no run?).")


def _settle_all(settled: list[tuple[_Waiting, Any]]) -> None:
    """Wakes each event loop once (a server has one), however many are answered."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Waiting, Any]]] = {}
    for each in settled:
        by_loop.setdefault(each[0].loop, []).append(each)
    for loop, those in by_loop.items():
        loop.call_soon_threadsafe(_settle, those)


def _settle(settled: list[tuple[_Waiting, Any]]) -> None:
    for waiting, answer in settled:
        if waiting.future.done():
            continue  # nobody waits any more
        if isinstance(answer, Exception):
            waiting.future.set_exception(answer)
        else:
            waiting.future.set_result(answer)


class Journal:
    """The endpoint."""

    def __init__(self, service: Service, recorder: Recorder) -> None:
        self._service = service
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        try:
            reply = await self._answer(scope, receive)
        except PenstockError as error:
            reply = reply_to(error)
        scope["operation"] = NAME
        self._service.meters.request(NAME, reply.status, time.perf_counter() - began)
        await send_reply(send, reply)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        _, asker = await self._service.asker_of(scope)
        asker.check(NAME, OPERATOR, journal=True)
        kind = (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
        if kind not in (MSGPACK, "application/json"):
            raise WrongKind(f"A batch is {MSGPACK} or application/json, not {kind or 'of no kind'}.")
        json = kind != MSGPACK
        answers = await self._recorder.take(await read_body(scope, receive, LIMIT), json)
        return Reply(200, _json(answers) if json else _packed(answers), kind=JSON if json else MSGPACK.encode())

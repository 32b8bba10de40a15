"""How thousands of simulated processes reach servers from one process: HTTP as bytes, on one event loop.

Law: a request waits for nothing but its answer. What a real client tries again (a server that is away, or has too much
to do) is tried again here, counted, and its time goes on.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from penstock.domain.errors import PenstockError
from penstock.domain.runs import Holder
from penstock.protocol.journal import MSGPACK, PATH, Batch, answers_in, encoded
from penstock.protocol.operation import Operation
from penstock.protocol.problems import Problems, error_of
from penstock.protocol.version import HEADER, PROTOCOL
from penstock.transport import AWAY, FIRST_PAUSE, JSON, LONGEST_PAUSE, request_of

R = TypeVar("R")

# A real process has a connection of its own; here so many are shared, and never all in use while servers keep up.
MOST_CONNECTIONS = 500
AGAIN = AWAY | {429}
PATIENCE = 120.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_problems = msgspec.json.Decoder(Problems)


class Gone(Exception):
    """The server closed the connection."""


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self._data = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0 or self._answer is None:
            return
        length = _LENGTH.search(self._data, 0, end + 2)
        size = int(length[1]) if length else 0
        if len(self._data) >= end + 4 + size:
            status, body = int(self._data[9:12]), self._data[end + 4 : end + 4 + size]
            answer, self._answer, self._data = self._answer, None, b""
            if not answer.done():
                answer.set_result((status, body))

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Gone(str(error or "closed")))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class _Signals(asyncio.Protocol):
    """The stream on which a process hears requests to stop: what comes is not looked at."""

    def __init__(self, request: bytes, troubles: Counter[str]) -> None:
        self._request = request
        self._troubles = troubles
        self._transport: asyncio.Transport | None = None
        self._status = b""
        self._over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self._status:
            self._status = data[9:12]
            if self._status != b"200":
                self._troubles[f"a stream of signals was answered {data[:60]!r}"] += 1

    def connection_lost(self, error: Exception | None) -> None:
        if not self._over:
            self._troubles["a stream of signals was closed"] += 1

    def close(self) -> None:
        self._over = True
        if self._transport is not None:
            self._transport.abort()


class Wire:
    """One server, for all simulated processes of this process. `requests` were answered, `again` says why some were
    sent again."""

    def __init__(self, url: str, again: Counter[str]) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._prefix = parts.hostname or "", parts.port or 0, parts.path
        self._idle: list[_Connection] = []
        self._places = asyncio.Semaphore(MOST_CONNECTIONS)
        self._head = f"host: {parts.netloc}\r\n{HEADER}: {PROTOCOL}\r\n"
        self.again = again
        self.requests = 0

    async def report(self, batch: Batch) -> list[Any]:
        """Sends a batch of the journal; the answers to its questions. Raises what was answered."""
        body = await self._send("POST", PATH, MSGPACK, encoded(batch))
        return answers_in(body, batch.questions)

    async def call(self, operation: Operation[Any, R], argument: msgspec.Struct) -> R:
        method, path, body = request_of(operation, argument)
        answer = await self._send(method, path, JSON, body or b"")
        return None if operation.gives is None else msgspec.json.decode(answer, type=operation.gives)  # type: ignore

    async def signals(self, holder: Holder) -> _Signals:
        """Opens the stream that a process which executes runs listens to."""
        path = f"{self._prefix}/signals?holder={quote(msgspec.json.encode(holder).decode(), safe='')}"
        request = f"GET {path} HTTP/1.1\r\n{self._head}accept: text/event-stream\r\n\r\n".encode()
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(lambda: _Signals(request, self.again), self._host, self._port)
        return stream

    async def _send(self, method: str, path: str, kind: str, body: bytes) -> bytes:
        head = (
            f"{method} {self._prefix}{path} HTTP/1.1\r\n{self._head}content-type: {kind}\r\naccept: {kind}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        request = head.encode() + body
        deadline = asyncio.get_running_loop().time() + PATIENCE
        pause = FIRST_PAUSE
        while True:
            try:
                status, answer = await self._once(request)
                why = f"status {status}"
            except (Gone, OSError) as error:
                status, why, answer = 503, type(error).__name__, b""
            if status not in AGAIN:
                break
            self.again[why] += 1
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        if status >= 300:
            raise _refusal(status, answer)
        self.requests += 1
        return answer

    async def _once(self, request: bytes) -> tuple[int, bytes]:
        async with self._places:
            connection = await self._connection()
            try:
                answer = await connection.ask(request)
            except BaseException:
                connection.close()
                raise
            self._idle.append(connection)
            return answer

    async def _connection(self) -> _Connection:
        while self._idle:
            kept = self._idle.pop()
            if not kept.closed:
                return kept
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, self._host, self._port)
        return connection


def _refusal(status: int, answer: bytes) -> Exception:
    try:
        error: PenstockError = error_of(_problems.decode(answer).error)
    except msgspec.MsgspecError:
        return RuntimeError(f"status {status}")
    return error

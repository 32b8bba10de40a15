"""Connections of clients: uvicorn's, with an end to what a stranger can make the server keep before it knows who asks.

Law: the head of a request (its first line and its headers) is short, and comes soon. Without this a few connections
fill the memory, and some thousand that say nothing take all the places there are.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..protocol.problems import Problem, Problems

# Cursors of streams, which are in URLs, may have 20,000 characters.
MOST_HEAD = 64_000
HEAD_SECONDS = 30.0


class Connection(HttpToolsProtocol):
    """One connection. What its head lacks after `HEAD_SECONDS` is not waited for; uvicorn's own timer ends those that
    are kept alive and not used."""

    _head = 0
    _in_head = True
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head += len(data)
        super().data_received(data)
        if self._in_head and self._head > MOST_HEAD and not self.transport.is_closing():
            self.send_400_response(f"The head of a request has {MOST_HEAD} bytes at most.")

    def send_400_response(self, msg: str) -> None:
        """What is no request is answered as all that is refused: as JSON, with a code."""
        body = msgspec.json.encode(Problems(Problem("bad-request", msg)))
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
            + b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head, self._in_head = 0, True
        if self._timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self._end)

    def _stop_waiting(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _end(self) -> None:
        self._timer = None
        if self._in_head and not self.transport.is_closing():
            self.transport.close()

"""How a client asks: a server, or the record in this process; and lists page by page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Self, TypeVar
from uuid import UUID

import msgspec

from .. import connect
from ..protocol.operation import Operation, Page
from ..protocol.paging import MOST
from ..transport import Transport

T = TypeVar("T")
Id = UUID | str

# Set when nobody waits any more for what is done here in a thread of its own.
GIVEN_UP: ContextVar[threading.Event | None] = ContextVar("GIVEN_UP", default=None)


class Asking:
    """What all clients can."""

    def __init__(self, *, api_url: str | None = None, api_key: str | None = None) -> None:
        self._transport = None if api_url is None else Transport(api_url, key=api_key, carry=connect.traces.carry)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connections back. The client can be used again."""
        if self._transport is not None:
            self._transport.close()

    def _ask(self, operation: Operation[Any, T], argument: msgspec.Struct) -> T:
        given_up = GIVEN_UP.get()
        if given_up is not None and given_up.is_set():
            raise RuntimeError("Nobody waits for the answer any more.")
        if self._transport is None:
            connect.settle()
            return connect.call(operation, argument)
        return connect.ask_server(self._transport, operation, argument)

    def _pages(
        self,
        operation: Operation[Any, Page[T]],
        query: Callable[[int, str | None], msgspec.Struct],
        limit: int | None,
    ) -> Iterator[T]:
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            page = self._ask(operation, query(MOST if left is None else min(MOST, left), cursor))
            yield from page.items
            cursor = page.next
            if cursor is None:
                return
            left = None if left is None else left - len(page.items)

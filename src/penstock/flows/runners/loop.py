"""An event loop in a thread of its own, for asynchronous tasks that were submitted."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from typing import Any


class LoopThread:
    """Started when first needed. All its coroutines share one loop, so they may share what belongs to a loop."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def put(self, coroutine: Coroutine[Any, Any, Any], context: contextvars.Context) -> None:
        """Has a coroutine run, with these context variables."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._serve, args=(self._loop,), name=self._name, daemon=True).start()
            self._loop.call_soon_threadsafe(self._begin, coroutine, context)

    def close(self) -> None:
        """The loop ends when the last coroutine has."""
        with self._lock:
            self._closed = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._end_if_done)

    def _begin(self, coroutine: Coroutine[Any, Any, Any], context: contextvars.Context) -> None:
        assert self._loop is not None
        task = self._loop.create_task(coroutine, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # its future has it; asyncio need not complain that nobody looked
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._closed and not self._tasks and self._loop is not None:
            self._loop.stop()

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

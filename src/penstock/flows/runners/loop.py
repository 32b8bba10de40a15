"""Event loops in threads of their own, for asynchronous tasks that were submitted.

One loop is enough for coroutines that await. One that blocks (it sleeps, computes, or waits for another task's result)
would keep all others from going on; so coroutines wait in one queue, from which loops take them, and when they wait too
long another loop is started.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Coroutine
from typing import Any

from ...engine.timers import TIMERS

PATIENCE = 0.03


class LoopThreads:
    """Runs coroutines, at most `limit` at the same time (None: any number)."""

    def __init__(self, limit: int | None, name: str) -> None:
        self._limit = limit or 1_000_000
        self._name = name
        self._waiting: deque[tuple[Coroutine[Any, Any, Any], contextvars.Context]] = deque()
        self._loops: list[asyncio.AbstractEventLoop] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._running = 0
        self._begun = 0  # how many coroutines ever began: it stands still while all loops are blocked
        self._watching = False
        # loops in which a coroutine was begun that has not let them go on yet
        self._beginning: set[asyncio.AbstractEventLoop] = set()
        self._closed = False
        self._lock = threading.Lock()

    def put(self, coroutine: Coroutine[Any, Any, Any], context: contextvars.Context) -> None:
        """Has a coroutine run, with these context variables."""
        with self._lock:
            self._waiting.append((coroutine, context))
            if not self._loops:
                self._start()
            else:
                self._loops[-1].call_soon_threadsafe(self._take)
            self._watch()

    def close(self) -> None:
        """Loops end when the last coroutine has."""
        with self._lock:
            self._closed = True
            self._end_if_done()

    def _watch(self) -> None:
        """Looks again soon whether somebody came for those that wait. The lock is held."""
        if self._watching or not self._waiting or self._running >= self._limit:
            return
        self._watching = True
        begun = self._begun

        def look() -> None:
            with self._lock:
                self._watching = False
                if self._waiting and self._begun == begun and begun and self._running < self._limit:
                    self._start()
                self._watch()

        TIMERS.after(PATIENCE, look)

    def _start(self) -> None:
        loop = asyncio.new_event_loop()
        self._loops.append(loop)
        name = f"{self._name}-{len(self._loops)}"
        threading.Thread(target=self._serve, args=(loop,), name=name, daemon=True).start()
        loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        """In a loop's thread: begins one that waits. The next is begun when this one has let the loop go on; while it
        blocks the loop, the others wait where another loop can take them."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if not self._waiting or self._running >= self._limit or loop in self._beginning:
                return
            coroutine, context = self._waiting.popleft()
            self._running += 1
            self._begun += 1
            self._beginning.add(loop)
        task = loop.create_task(coroutine, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        loop.call_soon(self._begin_next, loop)  # behind the first step of the task

    def _begin_next(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._beginning.discard(loop)
        self._take()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # its future has it; asyncio need not complain that nobody looked
        with self._lock:
            self._running -= 1
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._take)
            self._end_if_done()

    def _end_if_done(self) -> None:
        if self._closed and not self._running and not self._waiting:
            for loop in self._loops:
                loop.call_soon_threadsafe(loop.stop)
            self._loops = []

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

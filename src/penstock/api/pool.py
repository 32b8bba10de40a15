"""The threads that ask the store: a few, however many requests there are.

Law: the event loop never waits for the store, and a burst of requests is no burst of threads. Who comes when too many
wait is told to come again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..domain.errors import TooMuch

T = TypeVar("T")

THREADS = 8
# One writes at a time; the others are ready to.
WRITERS = 4
# How many may wait for a thread before a request is refused; at a few hundred microseconds each that is a fraction of
# a second.
MOST_WAITING = 2_000


class Pool:
    """`threads` at work that read, and at most `waiting` requests that wait for a thread. Those that write have a few
    of their own: they wait for each other, and who only reads does not wait behind them."""

    def __init__(self, threads: int = THREADS, waiting: int = MOST_WAITING) -> None:
        self._readers = ThreadPoolExecutor(threads, thread_name_prefix="penstock-desk")
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="penstock-writer")
        self._most = threads + waiting
        self.busy = 0

    async def run(self, work: Callable[[], T], *, reads: bool = False) -> T:
        """`work()` in a thread; `reads`: it changes nothing. Raises `TooMuch`, and what it raises."""
        if self.busy >= self._most:
            raise TooMuch("The server has too many requests waiting. Try again in a moment.")
        return await self._run(work, self._readers if reads else self._writers)

    async def run_patiently(self, work: Callable[[], T]) -> T:
        """`run` for what the server itself has to read: it is not refused."""
        return await self._run(work, self._readers)

    async def _run(self, work: Callable[[], T], executor: ThreadPoolExecutor) -> T:
        self.busy += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, work)
        finally:
            self.busy -= 1

    def close(self) -> None:
        """Returns when what was begun has ended."""
        for executor in (self._readers, self._writers):
            executor.shutdown(wait=True, cancel_futures=True)

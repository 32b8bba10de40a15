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
# How many may wait for a thread before a request is refused; at a few hundred microseconds each that is a fraction of
# a second.
MOST_WAITING = 2_000


class Pool:
    """`threads` at work, and at most `waiting` requests that wait for one."""

    def __init__(self, threads: int = THREADS, waiting: int = MOST_WAITING) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="penstock-desk")
        self._most = threads + waiting
        self.busy = 0

    async def run(self, work: Callable[[], T]) -> T:
        """`work()` in a thread. Raises `TooMuch`, and what it raises."""
        if self.busy >= self._most:
            raise TooMuch("The server has too many requests waiting. Try again in a moment.")
        return await self.run_patiently(work)

    async def run_patiently(self, work: Callable[[], T]) -> T:
        """`run` for what the server itself has to do: it is not refused."""
        self.busy += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self.busy -= 1

    def close(self) -> None:
        """Returns when what was begun has ended."""
        self._executor.shutdown(wait=True, cancel_futures=True)

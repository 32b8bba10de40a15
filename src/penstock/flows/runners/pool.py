"""A pool of threads that grows when its work waits, lends the places of threads that wait, and replaces lost ones."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from ...engine.stopping import my_post
from ...engine.timers import TIMERS

# Up to so many threads are started at once; more only when work has waited this long. Many short tasks are done by
# few threads (switching between many costs more than the work); many sleeping ones get a thread each within a moment.
AT_ONCE = 4
PATIENCE = 0.002


class Chunk(deque[Callable[[], None]]):
    """Jobs for one thread. Called, it does those that are left, as long as the thread has its place."""

    def __call__(self) -> None:
        place = my_post().place
        if isinstance(place, _Place):
            place.chunk = self
        try:
            while self and not (isinstance(place, _Place) and place.lost):
                self.popleft()()
        finally:
            if isinstance(place, _Place):
                place.chunk = None


class Pool:
    """Runs jobs, in the order they came, in at most `limit` threads (None: as many as are needed)."""

    def __init__(self, limit: int | None, name: str) -> None:
        self._limit = limit or 10_000
        self._name = name
        self._begin()
        _open.add(self)

    def _begin(self) -> None:
        self._jobs: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._idle = 0
        self._threads = 0
        self._lent = 0  # places lent by threads that only wait
        self._started = 0
        self._taken_at = 0.0
        self._watching = False
        self._closed = False

    def forget(self) -> None:
        """In a forked child: its threads are not in this process, and its jobs are the parent's."""
        self._begin()

    def put(self, job: Callable[[], None]) -> None:
        """Queues a job; a thread for it is found, started, or waited for."""
        with self._lock:
            self._jobs.append(job)
            self._ready.notify()
            if self._short():
                self._grow()

    def put_all(self, jobs: Sequence[Callable[[], None]]) -> None:
        """As `put`, for several jobs."""
        with self._lock:
            self._jobs.extend(jobs)
            self._ready.notify(len(jobs))
            for _ in range(min(len(jobs), AT_ONCE + 1)):  # the last of them has the pool watched
                if self._short():
                    self._grow()

    def put_chunk(self, jobs: Iterable[Callable[[], None]]) -> None:
        """Queues jobs that one thread is to do, one after the other. When it is lost on the way, another goes on."""
        self.put(Chunk(jobs))

    def close(self) -> None:
        """Threads end when there are no more jobs."""
        with self._lock:
            self._closed = True
            self._ready.notify_all()

    def at_work(self) -> int:
        """How many threads have a job, or are about to take one."""
        with self._lock:
            return self._threads - self._idle

    def comes_for_work(self) -> bool:
        """Whether there are jobs that a thread is about to take."""
        with self._lock:
            return bool(self._jobs) and (self._idle > 0 or self._room())

    def _short(self) -> bool:
        """Whether there are more jobs than threads that will come for them. (One that was woken counts as idle until
        it has its turn.)"""
        return len(self._jobs) > self._idle

    def _room(self) -> bool:
        return self._threads - self._lent < self._limit

    def _grow(self) -> None:
        """Starts a thread at once while there are few, later when jobs turn out to wait. The lock is held."""
        if not self._room():
            return
        if self._threads < AT_ONCE or self._lent:
            self._start()
        elif not self._watching:
            self._watching = True
            TIMERS.after(PATIENCE, self._watch)

    def _watch(self) -> None:
        with self._lock:
            self._watching = False
            if not self._jobs:
                return
            if self._short() and time.monotonic() - self._taken_at >= PATIENCE:
                for _ in range(min(len(self._jobs), max(self._threads, AT_ONCE))):
                    if self._room():
                        self._start()
            if self._room():
                self._watching = True
                TIMERS.after(PATIENCE, self._watch)

    def _start(self) -> None:
        self._threads += 1
        self._started += 1
        self._taken_at = time.monotonic()
        thread = threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True)
        thread.start()

    def _work(self) -> None:
        place = _Place(self)
        my_post().place = place
        while True:
            with self._lock:
                while not self._jobs:
                    if self._closed or place.lost:
                        self._threads -= not place.lost
                        return
                    self._idle += 1
                    self._ready.wait()
                    self._idle -= 1
                job = self._jobs.popleft()
                self._taken_at = time.monotonic()
            job()
            if place.lost:
                return


_open: weakref.WeakSet[Pool] = weakref.WeakSet()


def _forget() -> None:
    for pool in list(_open):
        pool.forget()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)


class _Place:
    """One thread's place in the pool; see `engine.stopping.Place`."""

    __slots__ = ("chunk", "lost", "pool")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.lost = False
        # what the thread is to do after its present job
        self.chunk: Chunk | None = None

    def lend(self) -> None:
        pool = self.pool
        with pool._lock:
            pool._lent += 1
            if pool._short():
                pool._grow()

    def take_back(self) -> None:
        with self.pool._lock:
            self.pool._lent -= 1

    def lose(self) -> None:
        pool = self.pool
        with pool._lock:
            if not self.lost:
                self.lost = True
                pool._threads -= 1
                chunk, self.chunk = self.chunk, None
                if chunk:
                    # (Its thread is in one of them, and looks at its place before it takes another.)
                    pool._jobs.appendleft(Chunk(chunk))
                    pool._ready.notify()
                if pool._short():
                    pool._grow()

"""Futures: a submitted task run, to be waited for. Waiting limits are the caller's patience only: the run goes on."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from ..domain.limits import LONGEST_SECONDS
from ..domain.runs import TaskRun
from ..domain.states import State, value_of
from .ended_runs import pack, unpack
from .stopping import Post, Ready, my_post, shielded

R = TypeVar("R")
# Held for a few instructions; one for all, because there may be a million futures.
_settling = threading.Lock()


class PenstockFuture(Generic[R]):
    """The outcome of a task run that was submitted.

    Example::

        future = add.submit(1, 2)
        future.wait()
        assert future.result() == 3
    """

    __slots__ = ("__weakref__", "_callbacks", "_final", "_run")

    def __init__(self, task_run: TaskRun) -> None:
        # once it ended, in few bytes
        self._run: TaskRun | bytes = task_run
        self._final: State[R] | None = None
        self._callbacks: list[Callable[[PenstockFuture[R]], None]] | None = []

    @property
    def task_run(self) -> TaskRun:
        """The run: while it goes on, as it is now; then as it ended."""
        run = self._run
        return unpack(run) if isinstance(run, bytes) else run

    @task_run.setter
    def task_run(self, run: TaskRun) -> None:
        self._run = run

    @property
    def task_run_id(self) -> UUID:
        return getattr(self._final, "task_run_id", None) or self.task_run.id

    @property
    def state(self) -> State[R]:
        """The state the run is in now; once it ended, with its value."""
        return self._final if self._final is not None else self.task_run.state

    def done(self) -> bool:
        """Whether the run ended (or will never start, because an upstream failed)."""
        return self._callbacks is None

    def wait(self, timeout: float | None = None) -> None:
        """Waits until the run ended, at most `timeout` seconds; it does not raise when it has not."""
        timeout = check_patience(timeout)
        if self._callbacks is not None:
            _wait_all([self], timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """The run's value, when it is there.

        Raises the run's own exception (or returns it, with `raise_on_failure=False`), and TimeoutError after
        `timeout` seconds of waiting, which does not stop the run.
        """
        self.wait(timeout)
        if self._final is None:
            raise TimeoutError(f"Task run {self.task_run.name!r} has not ended within {timeout} second(s); it goes on.")
        return value_of(self._final, raise_on_failure)  # type: ignore[no-any-return]

    def add_done_callback(self, fn: Callable[[PenstockFuture[R]], None]) -> None:
        """Has `fn(future)` called when the run ended, in the thread that ended it; at once if it has."""
        if not callable(fn):
            raise TypeError(f"add_done_callback() takes a function; it was given {fn!r}.")
        with _settling:
            if self._callbacks is not None:
                self._callbacks.append(fn)
                return
        fn(self)

    def settle(self, state: State[R]) -> None:
        """For the engine: the run ended so. Only the first end counts."""
        with _settling:
            if self._callbacks is None:
                return
            self._final = state
            if isinstance(self._run, TaskRun):
                self._run = pack(self._run)
            callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks:
            try:
                callback(self)
            except Exception:
                # It is the caller's own; the run, and who else waits for it, have nothing to do with it.
                import traceback

                print(f"penstock: a callback of {self!r} failed\n{traceback.format_exc()}", file=sys.__stderr__)

    def __repr__(self) -> str:
        return f"PenstockFuture({self.task_run.name!r}, {self.state})"


class PenstockFutureList(list[PenstockFuture[R]]):
    """What `.map` gives: futures, in the order of the inputs."""

    def wait(self, timeout: float | None = None) -> None:
        """Waits for all of them, at most `timeout` seconds together."""
        _wait_all(self, timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[R]:
        """All values, in order; raises as `PenstockFuture.result` does, for the first that failed in that order."""
        deadline = None if timeout is None else time.monotonic() + timeout
        return [
            future.result(None if deadline is None else max(deadline - time.monotonic(), 0.0), raise_on_failure)
            for future in self
        ]


def _forget() -> None:
    global _settling
    _settling = threading.Lock()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)


def check_patience(timeout: Any) -> float | None:
    """How long somebody wants to wait: None for ever, else seconds. Raises ValueError for what is no such number."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout != timeout:
        raise ValueError(f"timeout must be a number of seconds; it is {timeout!r}.")
    return min(max(float(timeout), 0.0), LONGEST_SECONDS)


class DoneAndNotDoneFutures(NamedTuple):
    """What `wait` gives."""

    done: set[PenstockFuture[Any]]
    not_done: set[PenstockFuture[Any]]


def wait(futures: Iterable[PenstockFuture[Any]], timeout: float | None = None) -> DoneAndNotDoneFutures:
    """Waits until all futures are done, or `timeout` seconds passed; gives those that are, and those that are not."""
    waited = list(futures)
    _wait_all(waited, timeout)
    done = {future for future in waited if future.done()}
    return DoneAndNotDoneFutures(done, set(waited) - done)


def as_completed(futures: Iterable[PenstockFuture[R]], timeout: float | None = None) -> Iterator[PenstockFuture[R]]:
    """Futures as they are done, the first to end first. Raises TimeoutError when not all are within `timeout` s."""
    from queue import SimpleQueue

    waited = list(futures)
    done: SimpleQueue[PenstockFuture[R]] = SimpleQueue()
    deadline = None if timeout is None else time.monotonic() + timeout
    arrived = Ready()  # told whenever a future was put, so that one that waits looks again

    def arrive(future: PenstockFuture[R]) -> None:
        done.put(future)
        arrived.tell()

    for future in waited:
        future.add_done_callback(arrive)
    for count in range(len(waited)):
        while done.empty():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError(f"{len(waited) - count} of {len(waited)} futures are not done yet.")
            arrived.again()
            if done.empty():
                wait_in_engine(arrived, left)
        yield done.get()


def _wait_all(futures: Iterable[PenstockFuture[Any]], timeout: float | None) -> None:
    timeout = check_patience(timeout)
    deadline = None if timeout is None else time.monotonic() + timeout
    for future in futures:
        if future.done():
            continue
        ready = Ready()
        future.add_done_callback(lambda _, ready=ready: ready.tell())  # type: ignore[misc]
        wait_in_engine(ready, None if deadline is None else deadline - time.monotonic())


def wait_in_engine(ready: Ready, seconds: float | None) -> None:
    """For user code: waits until `ready` is told, at most so long, in a way that a stop of the waiting run ends;
    then the stop is raised in its code.

    A worker thread that waits lends its place to another, so that tasks which wait for tasks cannot use up the pool.
    """
    shielded(_wait, my_post(), ready, seconds)


def _wait(post: Post, ready: Ready, seconds: float | None) -> None:
    place, scope = post.place, post.frames[-1].scope if post.frames else None
    if place is None:
        post.wait(ready, seconds, scope)
        return
    place.lend()
    try:
        post.wait(ready, seconds, scope)
    finally:
        place.take_back()

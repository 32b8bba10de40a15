"""Tasks in threads of this process: the default."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...domain.errors import DefinitionError
from ...settings import current

if TYPE_CHECKING:
    from ...engine.task_run import TaskCall
    from .loop import LoopThreads
    from .pool import Pool


class ThreadPoolTaskRunner:
    """Runs submitted tasks in threads, asynchronous ones in event loops in threads of their own.

    `max_workers`: how many at the same time (default: the setting PENSTOCK_TASK_RUNNER_THREAD_POOL_MAX_WORKERS, else
    as many as there is work for). Tasks that wait for other tasks do not count.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        self.max_workers = check_workers(max_workers, type(self).__name__)
        self._pool: Pool | None = None
        self._isolated: Pool | None = None  # threads that wait for processes
        self._loop: LoopThreads | None = None
        self._lock = threading.Lock()

    def duplicate(self) -> ThreadPoolTaskRunner:
        return type(self)(self.max_workers)

    def submit(self, call: TaskCall) -> None:
        context = contextvars.copy_context()
        after(call, lambda: self._start(call, context))

    def _start(self, call: TaskCall, context: contextvars.Context) -> None:
        if is_isolated(call):
            self._start_isolated(call, context)
            return
        if call.task.isasync:
            self._start_async(call, context)
            return
        from ...engine import blocking
        from ...engine.task_run import run_task

        pool = self._pool or self._make_pool()
        pool.put(lambda: quietly(context, blocking.run, run_task(call)))

    def _start_isolated(self, call: TaskCall, context: contextvars.Context) -> None:
        from ...engine import blocking
        from ...engine.task_run import run_task
        from . import isolation

        isolation.isolate(call)
        with self._lock:
            if self._isolated is None:
                from .pool import Pool

                limits = self.max_workers, current().task_runner_thread_pool_max_workers, isolation.how_many()
                self._isolated = Pool(min(limit for limit in limits if limit), "penstock-isolated")
            pool = self._isolated
        pool.put(lambda: quietly(context, blocking.run, run_task(call)))

    def _start_async(self, call: TaskCall, context: contextvars.Context) -> None:
        from ...engine import asynchronous
        from ...engine.task_run import run_task

        with self._lock:
            if self._loop is None:
                from .loop import LoopThreads

                limit = self.max_workers or current().task_runner_thread_pool_max_workers
                self._loop = LoopThreads(limit, "penstock-tasks-loop")
        self._loop.put(asynchronous.run(run_task(call)), context)

    def _make_pool(self) -> Pool:
        from .pool import Pool

        with self._lock:
            if self._pool is None:
                limit = self.max_workers or current().task_runner_thread_pool_max_workers
                self._pool = Pool(limit, "penstock-task")
            return self._pool

    def close(self) -> None:
        with self._lock:
            if self._pool is not None:
                self._pool.close()
            if self._isolated is not None:
                self._isolated.close()
            if self._loop is not None:
                self._loop.close()
            self._pool = self._isolated = self._loop = None

    def __reduce__(self) -> Any:
        """What is pickled is the options: threads and processes do not travel."""
        return type(self), (self.max_workers,)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.max_workers == self.max_workers

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(max_workers={self.max_workers})"


def check_workers(value: Any, of: str) -> int | None:
    """A whole number of at least 1, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DefinitionError(f"max_workers of {of} must be a whole number, 1 or more; it is {value!r}.")
    return value


def is_isolated(call: TaskCall) -> bool:
    """Whether the author wants the task's function in a process of its own."""
    task: Any = call.task
    return task.isolation is not None


def after(call: TaskCall, start: Callable[[], None]) -> None:
    """Calls `start` when the call's upstream futures are done: no thread is spent on waiting for them."""
    waiting = [future for future in call.upstream if not future.done()]
    if not waiting:
        start()
        return
    left = len(waiting)
    lock = threading.Lock()

    def one_less(_: Any) -> None:
        nonlocal left
        with lock:
            left -= 1
            last = left == 0
        if last:
            start()

    for future in waiting:
        future.add_done_callback(one_less)


def quietly(context: contextvars.Context, fn: Callable[..., Any], *args: Any) -> None:
    """Runs a script in a worker thread. What it raises is in its future and in the record; the thread goes on."""
    try:
        context.run(fn, *args)
    except BaseException:
        return

"""Tasks in threads of this process: the default."""

from __future__ import annotations

import contextvars
import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...domain.errors import DefinitionError
from ...settings import current

if TYPE_CHECKING:
    from ...engine.task_run import TaskCall
    from .loop import LoopThreads
    from .pool import Pool

# So many jobs are given to the pool together.
AT_ONCE = 64


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

    def submit_all(self, calls: list[TaskCall], chunk_size: int) -> None:
        """As `submit`, for several calls, of which one worker makes `chunk_size`, one after the other.

        A call that waits for futures goes by itself, and so does one that is made in a loop or in a process of its own.
        """
        plain = []
        for call in calls:
            if call.upstream or self._goes_alone(call):
                self.submit(call)
            else:
                plain.append(call)
        context = contextvars.copy_context()
        for place in range(0, len(plain), chunk_size if chunk_size > 1 else AT_ONCE):
            if chunk_size == 1:
                self._start_all(plain[place : place + AT_ONCE], context)
            else:
                self._start_chunk(plain[place : place + chunk_size], context)

    def _goes_alone(self, call: TaskCall) -> bool:
        return call.task.isasync or is_isolated(call)

    def _start_all(self, calls: list[TaskCall], context: contextvars.Context) -> None:
        pool = self._pool or self._make_pool()
        pool.put_all([self._job(call, context.copy()) for call in calls])

    def _start_chunk(self, calls: list[TaskCall], context: contextvars.Context) -> None:
        pool = self._pool or self._make_pool()
        pool.put_chunk([self._job(call, context.copy()) for call in calls])

    def _job(self, call: TaskCall, context: contextvars.Context) -> Callable[[], None]:
        """What a thread is to do for a call."""
        from ...engine import blocking
        from ...engine.task_run import run_task

        return functools.partial(quietly, context, blocking.run, run_task(call))

    def _start(self, call: TaskCall, context: contextvars.Context) -> None:
        if is_isolated(call):
            self._start_isolated(call, context)
            return
        if call.task.isasync:
            self._start_async(call, context)
            return
        pool = self._pool or self._make_pool()
        pool.put(self._job(call, context))

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


def hand_over(runner: Any, calls: list[TaskCall], chunk_size: int) -> None:
    """Gives calls to a runner together, where it knows how to take them."""
    together = getattr(runner, "submit_all", None)
    if together is not None:
        together(calls, chunk_size)
        return
    for call in calls:
        runner.submit(call)


def quietly(context: contextvars.Context, fn: Callable[..., Any], *args: Any) -> None:
    """Runs a script in a worker thread. What it raises is in its future and in the record; the thread goes on."""
    try:
        context.run(fn, *args)
    except BaseException:
        return

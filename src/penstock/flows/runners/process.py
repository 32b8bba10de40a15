"""Tasks in processes: for work that needs a processor of its own, and code that must be stoppable whatever it does."""

from __future__ import annotations

import contextvars
import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...domain.errors import ConfigurationError
from ...settings import current
from .thread import ThreadPoolTaskRunner

INSTEAD = "run it in threads (ThreadPoolTaskRunner), which share the memory of the flow"

if TYPE_CHECKING:
    from ...engine.task_run import TaskCall
    from .pool import Pool
    from .workers import Workers


class ProcessPoolTaskRunner(ThreadPoolTaskRunner):
    """Runs submitted tasks in worker processes, which are started when first needed and kept while the flow runs.

    `max_workers`: how many at the same time (default: the setting PENSTOCK_TASK_RUNNER_PROCESS_POOL_MAX_WORKERS, else
    as many as there are processors).

    Only the call of a task's function is made in the worker; states, retries, caching and hooks stay with the flow.
    Arguments and results are pickled. A task of a module uses the module as the worker imports it; one of the program
    itself is sent with the globals it uses, as they are when it is submitted for the first time. A script needs no
    `if __name__ == "__main__"`. Code that does not stop when it is told to (a timeout, a cancellation, Ctrl-C) is,
    after its grace, killed with all processes it started; so is a worker whose flow's process is gone. A worker that
    dies makes its task run Crashed (it is retried like a failed one), and another takes its place.

    Example::

        @flow(task_runner=ProcessPoolTaskRunner(max_workers=4))
        def crunch(files: list[str]) -> list[int]:
            return count_words.map(files).result()
    """

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__(max_workers)
        self._workers: Workers | None = None

    def _start(self, call: TaskCall, context: contextvars.Context) -> None:
        pool = self._pool or self._make_pool()
        pool.put(self._job(call, context))

    def _goes_alone(self, call: TaskCall) -> bool:
        return False

    def _start_chunk(self, calls: list[TaskCall], context: contextvars.Context) -> None:
        from .chunks import Chunk

        pool = self._pool or self._make_pool()
        if not all(Chunk.is_plain(call) for call in calls):
            super()._start_chunk(calls, context)
            return
        assert self._workers is not None
        chunk = Chunk(self._workers, calls)
        jobs: list[Callable[[], None]] = []
        for call in calls:
            run = ThreadPoolTaskRunner._job(self, call, context.copy())
            call.remote = functools.partial(chunk.perform, call)
            jobs.append(functools.partial(chunk.turn, call, run))
        pool.put_chunk([*jobs, chunk.close])

    def _job(self, call: TaskCall, context: contextvars.Context) -> Callable[[], None]:
        assert self._workers is not None
        call.remote = functools.partial(self._workers.perform, call)
        return super()._job(call, context)

    def _make_pool(self) -> Pool:
        from .pool import Pool
        from .workers import Workers, processors

        if os.name != "posix":
            raise ConfigurationError(
                "ProcessPoolTaskRunner needs a POSIX system (Linux, macOS). Here, use ThreadPoolTaskRunner."
            )
        with self._lock:
            if self._pool is None:
                self._workers = Workers(INSTEAD)
                limit = self.max_workers or current().task_runner_process_pool_max_workers or processors()
                self._pool = Pool(limit, "penstock-task")
            return self._pool

    def close(self) -> None:
        with self._lock:
            workers, self._workers = self._workers, None
        super().close()
        if workers is not None:
            workers.close()

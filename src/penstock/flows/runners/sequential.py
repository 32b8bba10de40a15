"""Tasks one after the other: `submit` runs the task before it returns. For debugging, and where order matters."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING

from .thread import ThreadPoolTaskRunner, is_isolated, quietly

if TYPE_CHECKING:
    from ...engine.task_run import TaskCall


class SequentialTaskRunner(ThreadPoolTaskRunner):
    """Runs each submitted task at once, in the caller's thread (asynchronous ones in a loop, waited for)."""

    def __init__(self, max_workers: int | None = 1) -> None:
        super().__init__(1)

    def submit_all(self, calls: list[TaskCall], chunk_size: int) -> None:
        for call in calls:
            self.submit(call)

    def submit(self, call: TaskCall) -> None:
        context = contextvars.copy_context()
        for future in call.upstream:
            future.wait()
        isolated = is_isolated(call)
        if isolated:
            from . import isolation

            isolation.isolate(call)
        if call.task.isasync and not isolated:
            self._start_async(call, context)
            assert call.future is not None
            call.future.wait()
            return
        from ...engine import blocking
        from ...engine.task_run import run_task

        quietly(context, blocking.run, run_task(call))

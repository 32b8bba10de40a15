"""Threads and thread pools that a run starts carry its context: Python itself sees to that for asyncio only."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable
from typing import Any

from ..engine.context import current

Undo = Callable[[], None]


def follow() -> Undo:
    """From now on; gives what undoes it. Threads of ours are left out: they are nobody's in particular."""
    start = threading.Thread.start
    undo_pools = _follow_pools()

    def start_in_context(self: threading.Thread) -> None:
        nonlocal undo_pools
        if current.get() is not None and not self.name.startswith("penstock-"):
            context, run = contextvars.copy_context(), self.run
            self.run = lambda: context.run(run)  # type: ignore[method-assign]
            report = getattr(self, "_invoke_excepthook", None)
            if report is not None:  # what is said of an exception that ends the thread is the run's as well
                self._invoke_excepthook = lambda thread: context.run(report, thread)  # type: ignore[attr-defined]
            if undo_pools is None:
                undo_pools = _follow_pools()
        start(self)

    def undo() -> None:
        threading.Thread.start = start  # type: ignore[method-assign]
        if undo_pools is not None:
            undo_pools()

    threading.Thread.start = start_in_context  # type: ignore[method-assign]
    return undo


def _follow_pools() -> Undo | None:
    """A pool keeps its threads for later callers, so each call must bring its own context.

    None in a program that has not imported it: it has no pool yet, and starts a thread when it has one.
    """
    pools = sys.modules.get("concurrent.futures.thread")
    if pools is None:
        return None
    pool = pools.ThreadPoolExecutor
    submit = pool.submit

    def submit_in_context(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        if current.get() is None:
            return submit(self, fn, *args, **kwargs)
        return submit(self, contextvars.copy_context().run, fn, *args, **kwargs)

    pool.submit = submit_in_context
    return lambda: setattr(pool, "submit", submit)

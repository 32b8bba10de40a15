"""`isolation="process"` of a task: its function is called in a worker process, however the task is called. There is one
set of workers for the whole program; they stay warm between calls and flow runs.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import functools
import os
import threading
from typing import TYPE_CHECKING, Any

from ...domain.errors import ConfigurationError
from ...domain.stops import CANCEL, Stop
from ...engine import blocking
from ...settings import current
from . import undertaking
from .workers import Workers, processors

if TYPE_CHECKING:
    from ...engine.effects import Script
    from ...engine.task_run import TaskCall

# How long a worker is kept that has nothing to do: starting another takes about a hundred times as long as a call.
IDLE_SECONDS = 30.0
INSTEAD = 'leave out isolation="process": then it runs in the process of the flow, and shares its memory'

_workers: Workers | None = None
_lock = threading.Lock()


def how_many() -> int:
    """How many isolated tasks may be at work at the same time."""
    return current().task_runner_process_pool_max_workers or processors()


def isolate(call: TaskCall) -> None:
    """Has the call's function called in a worker."""
    call.remote = functools.partial((_workers or _make()).perform, call)


def _make() -> Workers:
    global _workers
    if os.name != "posix":
        raise ConfigurationError('isolation="process" needs a POSIX system (Linux, macOS). Here, leave it out.')
    with _lock:
        if _workers is None:
            _workers = Workers(INSTEAD, how_many, IDLE_SECONDS)
        return _workers


async def run(call: TaskCall, script: Script[Any]) -> None:
    """Runs the call's script in a thread beside the event loop. When the asyncio task that awaits it is cancelled, the
    run is stopped, and its end awaited; when it is cancelled again, the code has no more time."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def tell(error: BaseException | None) -> None:
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    def work() -> None:
        problem: BaseException | None = None
        try:
            blocking.run(script)
        except BaseException as error:
            problem = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, problem)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), name="penstock-isolated-call", daemon=True).start()
    cancelled: asyncio.CancelledError | None = None
    while not ended.done():
        try:
            await asyncio.wait([ended])
        except asyncio.CancelledError as error:
            grace = None if cancelled is None else 0.0
            message = "The asyncio task that the run was in was cancelled."
            call.context.halt(Stop(CANCEL, message, grace=grace))
            cancelled = error
    ended.result()
    if cancelled is not None:
        raise cancelled


def close() -> None:
    """Ends all workers; code that was stopped and goes on is killed. The next isolated call starts new ones."""
    global _workers
    with _lock:
        workers, _workers = _workers, None
    undertaking.finish()
    if workers is not None:
        workers.close()


def _forget() -> None:
    global _lock, _workers
    _lock = threading.Lock()
    _workers = None


atexit.register(close)
with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)

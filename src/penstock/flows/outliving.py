"""Submitted tasks that no flow run waits for: those submitted outside flows, and detached ones. The program does.

Each is attended to like a run without a parent; and the program ends when they have, or have been stopped.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
from typing import Any

from .. import connect
from ..domain.stops import INTERRUPT, Stop
from ..engine.futures import PenstockFuture
from . import capture, loggers

_waiting: dict[PenstockFuture[Any], Any] = {}


def begin(call: Any) -> None:
    """A task was submitted for which nobody is bound to wait."""
    stack = contextlib.ExitStack()
    stack.enter_context(connect.attending(call.runtime))
    stack.enter_context(capture.following())
    stack.enter_context(loggers.following(call.runtime.settings))
    future = call.future
    _waiting[future] = call

    def ended(_: Any) -> None:
        _waiting.pop(future, None)
        stack.close()

    future.add_done_callback(ended)


def wait_for_all() -> None:
    """At the program's end. Ctrl-C stops what is left; a second one lets the program go at once."""
    try:
        for future in list(_waiting):
            future.wait()
    except KeyboardInterrupt:
        _stop_all()


def _stop_all() -> None:
    calls = list(_waiting.values())
    for call in calls:
        call.context.halt(Stop(INTERRUPT, "Interrupted by Ctrl-C.", "Ctrl-C"))
    with contextlib.suppress(KeyboardInterrupt):
        for call in calls:
            deadline = time.monotonic() + call.runtime.settings.stop_grace_seconds + 1.0
            call.future.wait(max(deadline - time.monotonic(), 0.0))


# Before Python waits for its threads and forbids new ones, which the tasks may need.
getattr(threading, "_register_atexit", atexit.register)(wait_for_all)

"""How a program ends that was told to: by SIGTERM when its run has ended, by a second Ctrl-C whatever its code does."""

from __future__ import annotations

import _thread
import atexit
import contextlib
import time
from typing import Any

from .. import connect
from ..domain.errors import RecordError
from ..domain.stops import GONE, KILLED
from ..engine import console, program, scopes
from ..engine.runtime import Runtime
from ..engine.signals import Signals
from ..ledger.contract import Flush

# How long the record may take to be closed before the program ends all the same.
PATIENCE = 2.0
INTERRUPTED = 130
# How long a main thread that is at its end waits for the thread that ends the process.
LEAVING_SECONDS = 10.0


def as_asked(signals: Signals, runtime: Runtime) -> None:
    """After SIGTERM: everything is recorded and shown, and then the process ends by that signal."""
    with contextlib.suppress(RecordError):
        if signals.was_terminated:
            scopes.still_all(GONE)
            runtime.ledger.ask(Flush())
            console.flush()
            connect.traces.flush()
    signals.end_if_terminated()


def at_once(call: Any) -> None:
    """A second Ctrl-C: the run goes on to its end without the code that is still at work, and the process ends.

    In a thread of its own, for this is called in a signal's handler, where any lock may be held by the very code that
    was interrupted (also those that `threading` takes to start one). A program that must not be killed is not; its run
    ends all the same.
    """
    leaving = _thread.allocate_lock()
    leaving.acquire()
    # The main thread may come to the program's end first: what is being killed would be left stopped, for ever.
    atexit.register(leaving.acquire, True, LEAVING_SECONDS)
    _thread.start_new_thread(_leave, (call, leaving))


def _leave(call: Any, leaving: _thread.LockType) -> None:
    try:
        _end(call)
    finally:
        leaving.release()


def _end(call: Any) -> None:
    scope = call.context.scope
    if scope is not None:
        scope.abandon()
    if not connect.may_be_killed():
        return
    deadline = time.monotonic() + PATIENCE
    while not call.state.is_final() and time.monotonic() < deadline:
        time.sleep(0.005)
    scopes.still_all(KILLED)
    with contextlib.suppress(RecordError):
        call.runtime.ledger.ask(Flush())
    console.flush()
    connect.traces.flush()
    program.end_at_once(INTERRUPTED)

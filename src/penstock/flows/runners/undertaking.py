"""What becomes of stopped code that its run went on without, because its time was over: it comes to its end by itself
in the grace, so that its `finally` blocks are run, or is killed. Then the record is told that it is still.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...domain.errors import PenstockError
from ...domain.stops import ABANDONED, Stilled
from ...engine.scopes import Scope
from .worker import Worker

if TYPE_CHECKING:
    from ...engine.task_run import TaskCall

# How long the end of the code may wait for the run's end to be reported; an author's own retry condition may take long.
REPORT_SECONDS = 10.0
# How long the end of the program may wait for killed processes to be gone, and for the record to say so.
LAST_SECONDS = 2.0

_at_work: set[Undertaker] = set()


class Undertaker:
    """A thread that has the worker from here on, and gives it back when the code has ended."""

    def __init__(self, worker: Worker, call: TaskCall, give_back: Callable[[Worker], None]) -> None:
        self.impatient = False
        self.thread = threading.Thread(target=self._work, name=f"penstock-undertaker-{worker.pid}", daemon=True)
        scope = call.context.scope
        assert scope is not None
        self._worker = worker
        self._call = call
        self._scope: Scope = scope
        self._attempt = call.context.run.run_count
        self._give_back = give_back

    def hurry(self) -> None:
        """The code gets no more time."""
        self.impatient = True
        self._worker.ring()

    def _work(self) -> None:
        try:
            scope, worker = self._scope, self._worker
            assert scope.stop is not None
            grace = self._call.runtime.grace_of(scope.stop)
            how = worker.see_out(scope.requested_at + grace - scope.clock.monotonic(), self)
            ended = scope.clock.monotonic()
            if how != ABANDONED:
                self._await_report()
                stilled = Stilled(self._call.context.run.id, self._attempt, how, ended - scope.requested_at)
                with contextlib.suppress(PenstockError):  # the record was closed; the worker is to be given back
                    self._call.runtime.ledger.write(stilled)
            self._give_back(worker)
        finally:
            _at_work.discard(self)

    def _await_report(self) -> None:
        """The run's own end comes first. (A scope that is closed has no timer: then the attempt has been reported.)"""
        deadline = time.monotonic() + REPORT_SECONDS
        run = self._call.context.run
        while self._scope.timer is not None and run.run_count == self._attempt and time.monotonic() < deadline:
            if run.state.is_scheduled():  # it waits for its next attempt
                return
            time.sleep(0.002)


def undertake(worker: Worker, call: TaskCall, give_back: Callable[[Worker], None]) -> None:
    """Leaves the worker, with the call's code in it, to a thread; `give_back(worker)` is called in the end."""
    undertaker = Undertaker(worker, call, give_back)
    _at_work.add(undertaker)
    undertaker.thread.start()


def finish() -> None:
    """Kills what is left, and waits until that is reported."""
    deadline = time.monotonic() + LAST_SECONDS
    waiting = list(_at_work)
    for undertaker in waiting:
        undertaker.hurry()
    for undertaker in waiting:
        undertaker.thread.join(max(deadline - time.monotonic(), 0.0))


# Functions registered later are called earlier: the record, which is told of all this, is closed after it.
atexit.register(finish)
with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_at_work.clear)

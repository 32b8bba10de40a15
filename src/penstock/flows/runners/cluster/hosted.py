"""A worker process on a cluster, as the flow's process sees it: it is there for one call.

Law: what is said and heard is what a worker process of this machine says and hears (see `worker.Worker`); only where
the line comes from, how the code is killed, and how it is known that all is lost, is the cluster's.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from ....engine.scopes import NOWHERE, Scope
from ....ledger.piped import Receiver
from .. import parcels
from ..channel import Bell, Channel
from ..parcels import Answer, Job
from ..worker import RemoteFrame, Worker, surroundings, unlimited
from . import orders

if TYPE_CHECKING:
    from ....engine.task_run import TaskCall


class Submission(Protocol):
    """A call that was handed to the cluster's scheduler."""

    @property
    def value(self) -> Any:
        """The cluster's own handle of the value that stays there."""

    def cancel(self) -> None:
        """It is not to begin, if it has not."""


class HostedWorker(Worker):
    """`submit(worker)` hands the call to the scheduler, which calls `failed` when nothing will come of it."""

    def __init__(self, submit: Callable[[HostedWorker], Submission]) -> None:
        self.ready = self.gone = self.sent = self.loaded = self.left = False
        self.answer: Answer | None = None
        self.known: set[int] = set()
        self.flow: tuple[UUID, int] | None = None
        self.settings: Any = None
        self.surroundings = surroundings()
        self.secrets = 0
        self.pid = 0
        self.submission: Submission | None = None
        # why it cannot do the call, in words, or what the cluster says
        self.problem: str | None = None
        self._where = NOWHERE
        self._receiver: Receiver | None = None
        self._submit = submit
        self._how = "was lost with its node"
        self._lock = threading.Lock()
        self._wire: Channel | None = None
        self._bell: Bell | None = Bell()

    def attach(self, line: Channel) -> None:
        """The host has dialled. In another thread."""
        with self._lock:
            if self.gone or self._bell is None:
                line.close()
                return
            self._wire = line
            self._bell.watch(line)
            self.ready = True
        self.ring()

    def failed(self, problem: str) -> None:
        """The scheduler says that nothing will come of it. In another thread. (Of a call that a host has answered, or
        will, the host says more.)"""
        with self._lock:
            if not self.ready:
                self.problem = problem
                self.gone = True
        self.ring()

    def _await_start(self, call: TaskCall, scope: Scope) -> None:
        """The wait for a place on the cluster does not count."""
        with unlimited(call):
            self.submission = self._submit(self)
            while not (self.ready or self._settled(scope)):
                self.wait()

    def _do(self, call: TaskCall, make_job: Callable[[], Job], frame: RemoteFrame) -> None:
        self.sent = True
        self._await_loading(call, frame.scope)
        while not self._settled(frame.scope):
            self.wait()
        if frame.scope.stop is not None:
            self._stop(call, frame, 0)

    def wait(self, seconds: float | None = None) -> None:
        bell, line = self._bell, self._wire
        if bell is None or not bell.wait(seconds) or line is None:
            return
        try:
            line.read()
        except (EOFError, OSError):
            self.reap()
            return
        while (message := line.next()) is not None:
            self._take(*message)

    def _take(self, kind: bytes, data: bytes) -> None:
        if kind == parcels.ANSWER:
            answer = parcels.decode_answer(data)
            if answer.payload is None:
                assert self._wire is not None
                answer.payload = self._wire.receive()[1]
            parcels.take_secrets(answer.secrets)
            self.answer = answer
        elif kind == orders.GONE:
            self._how = data.decode()
        elif kind == orders.UNFIT:
            self.problem = data.decode()
            self.reap()
        else:
            super()._take(kind, data)

    def reply(self, data: bytes, kind: bytes = parcels.REPLY) -> None:
        line = self._wire
        if line is not None:
            with contextlib.suppress(OSError):
                line.send(kind, data)

    def kill(self) -> None:
        if self._wire is not None:
            self.reply(b"", orders.KILL)
        else:
            self.finish()

    def finish(self) -> None:
        """The call is over, or is not wanted any more."""
        if not self.ready and self.submission is not None:
            self.submission.cancel()
        self._close()

    def end(self) -> None:
        self.finish()

    def reap(self) -> None:
        self._close()
        if self._receiver is not None:
            self._receiver.close_open(self._how)

    def forsake(self) -> None:
        self._close()

    def _close(self) -> None:
        with self._lock:
            self.gone = True
            self._bell = None
            line, self._wire = self._wire, None
        if line is not None:
            line.close()

    def how_it_ended(self) -> str:
        return self._how

"""A worker process, as the flow's process sees it.

Law: a thread waits for its worker in a way that a stop of the run ends. Then the worker is told to stop, and, when it
does not in time, killed with its process group; so the thread is never lost, and a run that is over does not run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...engine import console
from ...engine.attempts import time_limit
from ...engine.stopping import GENTLE_SECONDS, Frame, Scope, Stop, StopDelivered
from ...engine.task_run import KIND
from ...ledger.piped import Receiver
from . import parcels
from .channel import Bell, Channel
from .parcels import Answer, Job

if TYPE_CHECKING:
    from ...engine.task_run import TaskCall

# How long a killed process may take to be gone; only one that the kernel itself holds on to takes long.
GONE_SECONDS = 10.0

_GUESSES = {
    "SIGKILL": " (was the machine out of memory?)",
    "SIGSEGV": " (a fault in native code)",
    "SIGBUS": " (a fault in native code)",
    "SIGABRT": " (native code gave up)",
}
_all: weakref.WeakSet[Worker] = weakref.WeakSet()


class RemoteFrame(Frame):
    """A thread that waits for a worker on behalf of a scope. A stop wakes it; it is never abandoned."""

    __slots__ = ("_bell",)

    def __init__(self, scope: Scope, bell: Bell | None) -> None:
        super().__init__(scope, lambda: lambda: None)
        self._bell = bell

    def deliver(self) -> None:
        bell = self._bell
        if bell is not None:
            bell.ring()

    def close(self) -> None:
        """The wait is over. (Exceptions keep frames alive; the bell's descriptors must not be kept with them.)"""
        self._bell = None

    def abandon(self) -> None:
        pass

    def stuck(self) -> bool:
        return False

    def where(self) -> str | None:
        return None  # the worker says it


class Worker:
    """One worker process. All is done by the thread that has it: the one whose call it makes."""

    def __init__(self) -> None:
        self.ready = False
        self.gone = False
        # whether it was sent the present job, and what it answered
        self.sent = False
        self.answer: Answer | None = None
        # what it has been told: numbers of tasks, the version of the flow run, the settings
        self.known: set[int] = set()
        self.flow_version: int | None = None
        self.settings: Any = None
        self._where: str | None = None
        self._receiver: Receiver | None = None
        ours, theirs = socket.socketpair()
        jobs, to_jobs = os.pipe()
        self._line, self._jobs = Channel(ours.detach()), Channel(to_jobs)
        self._bell: Bell | None = Bell(self._line)
        self._process = self._launch(theirs.detach(), jobs)
        self.pid = self._process.pid
        _all.add(self)

    def _launch(self, line: int, jobs: int) -> subprocess.Popen[bytes]:
        """Starts an interpreter that knows nothing of the program; a session of its own keeps Ctrl-C from it."""
        before = os.environ.get("PYTHONPATH")
        home = str(Path(__file__).parents[3])
        environment = {**os.environ, "PYTHONPATH": home if not before else f"{home}{os.pathsep}{before}"}
        options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # -O, -W, -X …
        try:
            process = subprocess.Popen(
                [sys.executable, *options, "-m", "penstock.flows.runners.worker_process", str(line), str(jobs)],
                stdin=subprocess.DEVNULL,
                env=environment,
                pass_fds=(line, jobs),
                start_new_session=True,
            )
        finally:
            os.close(line)
            os.close(jobs)
        with contextlib.suppress(OSError):  # gone already, which is noticed when it is waited for
            self._jobs.send(parcels.WELCOME, parcels.encode(parcels.Welcome(sys.path, sys.argv, before)))
        return process

    def perform(self, call: TaskCall, receiver: Receiver, make_job: Callable[[], Job]) -> Answer | None:
        """Has the worker do a job: its answer, or None when it died.

        Raises `StopDelivered` when the run was stopped; then its code has ended.
        """
        scope = call.context.scope
        assert scope is not None
        self._begin(receiver)
        scope.frame = frame = RemoteFrame(scope, self._bell)
        try:
            if not self.ready:
                self._await_start(call, scope)
            if not self._settled(scope):
                self._do(make_job, scope)
        finally:
            frame.close()
        if scope.stop is not None:
            scope.where = self._where
            raise StopDelivered
        return self.answer

    def _do(self, make_job: Callable[[], Job], scope: Scope) -> None:
        self.sent = True
        job = make_job()
        console.flush()  # so that the worker's lines come after those that came before
        with contextlib.suppress(OSError):
            parcels.send_job(self._jobs, job)
        while not self._settled(scope):
            self.wait()
        if scope.stop is not None:
            self._stop(scope.stop, job.number)

    def _begin(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.sent = False
        self.answer = self._where = None

    def _settled(self, scope: Scope) -> bool:
        """Whether there is nothing more to wait for."""
        return self.answer is not None or self.gone or scope.stop is not None

    def _await_start(self, call: TaskCall, scope: Scope) -> None:
        """Starting the process does not count against the time that the task's code may take."""
        seconds, timer = call.task.timeout_seconds, scope.timer
        if timer is not None:
            timer.cancel()
        while not (self.ready or self._settled(scope)):
            self.wait()
        if timer is not None and seconds is not None and scope.stop is None:
            scope.limit(seconds, time_limit(KIND, seconds))

    def _stop(self, stop: Stop, number: int) -> None:
        """Gently first, then for good. Afterwards the job is over."""
        self.reply(parcels.encode(parcels.StopOrder(number, stop.reason, stop.message)), parcels.STOP)
        if not self._is_over_in(GENTLE_SECONDS):
            self.kill()
            self._is_over_in(GONE_SECONDS)

    def _is_over_in(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.answer is None and not self.gone and (left := deadline - time.monotonic()) > 0:
            self.wait(left)
        return self.answer is not None or self.gone

    def wait(self, seconds: float | None = None) -> None:
        """Takes what the worker says; returns when it said something, or the bell rang, or the time is over."""
        bell = self._bell
        if bell is None or not bell.wait(seconds):
            return
        try:
            self._line.read()
        except (EOFError, OSError):
            self.reap()
            return
        while (message := self._line.next()) is not None:
            self._take(*message)

    def _take(self, kind: bytes, data: bytes) -> None:
        if kind == parcels.LEDGER:
            if self._receiver is not None:
                self._receiver.take(data)
        elif kind == parcels.ANSWER:
            answer = parcels.decode_answer(data)
            if answer.payload is None:
                answer.payload = self._line.receive()[1]
            self.answer = answer
        elif kind == parcels.WHERE:
            self._where = data.decode()
        else:
            self.ready = True

    def reply(self, data: bytes, kind: bytes = parcels.REPLY) -> None:
        """Says something to a worker that is at a job; one that is gone does not hear it."""
        with contextlib.suppress(OSError):
            self._line.send(kind, data)

    def is_spent(self) -> bool:
        """Whether it cannot be given another job: it does not answer, or code of the last one still runs in it."""
        return self.sent and (self.answer is None or self.answer.spent)

    def kill(self) -> None:
        """Ends the process and all that its task started."""
        if not self.gone:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """No more jobs will come: the process ends by itself."""
        self._jobs.close()

    def reap(self) -> None:
        """Its end of the line was closed. What it has started goes with it, unless it was sent away in peace."""
        if not self._jobs.closed:
            self.kill()
        self._line.close()
        self._jobs.close()
        self._bell = None
        self._process.wait()
        self.gone = True
        if self._receiver is not None:
            self._receiver.close_open(self.how_it_ended())

    def forsake(self) -> None:
        """In a forked child of this process: the worker must not take the child for us."""
        self.gone = True
        with contextlib.suppress(OSError):
            self._jobs.close()
            self._line.close()

    def how_it_ended(self) -> str:
        """`was killed by SIGKILL`, `ended with exit code 3`."""
        code = self._process.returncode
        if code is None:
            return "does not answer"
        if code >= 0:
            return f"ended with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"was killed by {name}{_GUESSES.get(name, '')}"


def _forsake_all() -> None:
    for worker in list(_all):
        worker.forsake()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forsake_all)

"""A worker process, as the flow's process sees it.

Law: a thread waits for its worker in a way that a stop of the run ends. Then the worker is told to stop. When its code
does not end at once, a run whose time is over goes on without it, and leaves the worker to an undertaker; any other
stop waits for the code's end, in the grace. After the grace the worker is killed with its process group; so no thread
is ever lost, and no code outlives its stop.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from ...domain.stops import ABANDONED, GONE, IDLE, KILLED, RAISED, RETURNED, TIMEOUT
from ...engine import console
from ...engine.scopes import GENTLE_SECONDS, NOWHERE, Frame, Scope, Where
from ...engine.stopping import StopDelivered
from ...ledger.piped import Receiver
from ..descriptors import outputs
from . import parcels
from .channel import Bell, Channel
from .parcels import Answer, Job, Surroundings

if TYPE_CHECKING:
    from ...engine.task_run import TaskCall

# How long a killed process may take to be gone; only one that the kernel itself holds on to takes long.
GONE_SECONDS = 10.0
# How much time a worker is given to import what a task needs, before the task's own limit begins all the same.
LOADING_SECONDS = 60.0

_GUESSES = {
    "SIGKILL": " (was the machine out of memory?)",
    "SIGSEGV": " (a fault in native code)",
    "SIGBUS": " (a fault in native code)",
    "SIGABRT": " (native code gave up)",
}
_all: weakref.WeakSet[Worker] = weakref.WeakSet()


class RemoteFrame(Frame):
    """A thread that waits for a worker on behalf of a scope. A stop wakes it; it is never abandoned.

    `impatient`: nobody will wait for the code any longer.
    """

    __slots__ = ("_bell", "impatient")
    here = False

    def __init__(self, scope: Scope, bell: Bell | None) -> None:
        super().__init__(scope, lambda: lambda: None)
        self._bell = bell
        self.impatient = False

    def deliver(self) -> None:
        bell = self._bell
        if bell is not None:
            bell.ring()

    def close(self) -> None:
        """The wait is over. (Exceptions keep frames alive; the bell's descriptors must not be kept with them.)"""
        self._bell = None

    def abandon(self) -> None:
        self.impatient = True
        self.deliver()

    def stuck(self) -> bool:
        return False

    def where(self) -> Where:
        return NOWHERE  # the worker says it


class Watcher(Protocol):
    """Who waits for the end of code that is to stop, and may lose patience; then the worker's bell is rung."""

    impatient: bool


@contextlib.contextmanager
def unlimited(call: TaskCall) -> Iterator[None]:
    """What is done in here does not count against the time that the attempt may take."""
    scope, seconds = call.context.scope, call.task.timeout_seconds
    assert scope is not None
    limit = scope.lift_limit()
    yield
    if limit is not None and seconds is not None and scope.stop is None:
        scope.limit(seconds, limit)


def surroundings() -> Surroundings:
    """What code can see of this process that may change while a worker lives."""
    try:
        folder: str | None = os.getcwd()
    except OSError:  # it was deleted
        folder = None
    return Surroundings(folder, list(sys.path), _environ.copy())


# The dictionary behind it: to copy os.environ itself takes a hundred times as long, and this is done for each call.
_environ: dict[bytes, bytes] = getattr(os.environ, "_data")  # noqa: B009 - it is not in the types


class Told:
    """What a worker process was told, and need not be told again. `anew`: it may have worked for somebody else, whose
    tasks it is to forget."""

    __slots__ = ("anew", "flow", "known", "secrets", "settings", "surroundings")

    def __init__(self, surroundings: Surroundings | None, anew: bool = False) -> None:
        self.surroundings = surroundings
        self.anew = anew
        # numbers of tasks; the flow run and its version; how many secrets
        self.known: set[int] = set()
        self.flow: tuple[UUID, int] | None = None
        self.settings: Any = None
        self.secrets = 0


class Worker:
    """One worker process. All is done by the thread that has it: the one whose call it makes."""

    def __init__(self) -> None:
        self.ready = False
        self.gone = False
        # whether it was sent the present job, has loaded what that needs, and what it answered
        self.sent = self.loaded = False
        self.answer: Answer | None = None
        # whether its present job was left to an undertaker; since when it has no job
        self.left = False
        self.idle_since = 0.0
        self.told = Told(surroundings())
        # jobs that it has, by number, and has not answered (where it was given several)
        self.in_hand: list[int] = []
        self._where = NOWHERE
        self._receiver: Receiver | None = None
        ours, theirs = socket.socketpair()
        jobs, to_jobs = os.pipe()
        life, to_life = os.pipe()
        self._line, self._jobs, self._life = Channel(ours.detach()), Channel(to_jobs), Channel(to_life)
        self._bell: Bell | None = Bell(self._line)
        self._process = self._launch(theirs.detach(), jobs, life)
        self.pid = self._process.pid
        _all.add(self)

    def _launch(self, *fds: int) -> subprocess.Popen[bytes]:
        """Starts an interpreter that knows nothing of the program; a session of its own keeps Ctrl-C from it."""
        before = os.environ.get("PYTHONPATH")
        home = str(Path(__file__).parents[3])
        environment = {**os.environ, "PYTHONPATH": home if not before else f"{home}{os.pathsep}{before}"}
        options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # -O, -W, -X …
        out, err = outputs()
        try:
            # In no run's context: it is not a program that a run has started.
            process: subprocess.Popen[bytes] = contextvars.Context().run(
                subprocess.Popen,
                [sys.executable, *options, "-m", "penstock.flows.runners.worker_process", *map(str, fds)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment,
                pass_fds=fds,
                start_new_session=True,
            )
        finally:
            for fd in fds:
                os.close(fd)
        with contextlib.suppress(OSError):  # gone already, which is noticed when it is waited for
            self._jobs.send(parcels.WELCOME, parcels.encode(parcels.Welcome(sys.path, sys.argv, before)))
        return process

    def perform(self, call: TaskCall, receiver: Receiver, make_job: Callable[[], Job]) -> Answer | None:
        """Has the worker do a job: its answer, or None when it died.

        Raises `StopDelivered` when the run was stopped; then its code has ended, or the worker is `left` to be seen
        off.
        """
        scope = call.context.scope
        assert scope is not None
        self._receiver = receiver
        self.sent = self.loaded = self.left = False
        self.answer, self._where = None, NOWHERE
        scope.frame = frame = RemoteFrame(scope, self._bell)
        try:
            if not self.ready:
                self._await_start(call, scope)
            if not self._settled(scope):
                self._do(call, make_job, frame)
        finally:
            frame.close()
        if scope.stop is not None:
            if scope.ended is None:
                scope.finish(IDLE)
            raise StopDelivered
        return self.answer

    def _do(self, call: TaskCall, make_job: Callable[[], Job], frame: RemoteFrame) -> None:
        self.sent = True
        job = make_job()
        if job.number not in self.in_hand:
            self.send([job])
        if job.task is not None:
            self._await_loading(call, frame.scope)
        while not self._settled(frame.scope):
            self.wait()
        if frame.scope.stop is not None:
            self._stop(call, frame, job.number)

    def send(self, jobs: list[Job]) -> None:
        """Puts jobs into the worker's pipe. One that is gone does not hear it."""
        console.flush()  # so that the worker's lines come after those that came before
        with contextlib.suppress(OSError):
            parcels.send_jobs(self._jobs, jobs)

    def _await_start(self, call: TaskCall, scope: Scope) -> None:
        with unlimited(call):
            while not (self.ready or self._settled(scope)):
                self.wait()

    def _await_loading(self, call: TaskCall, scope: Scope) -> None:
        """Modules that a worker imports for a task which is new to it do not count either, within reason."""
        deadline = time.monotonic() + LOADING_SECONDS
        with unlimited(call):
            while not (self.loaded or self._settled(scope)) and (left := deadline - time.monotonic()) > 0:
                self.wait(left)

    def _settled(self, scope: Scope) -> bool:
        """Whether there is nothing more to wait for."""
        return self.answer is not None or self.gone or scope.stop is not None

    def _stop(self, call: TaskCall, frame: RemoteFrame, number: int) -> None:
        """Gently first. Afterwards the job is over, or the worker is left with it."""
        scope = frame.scope
        stop = scope.stop
        assert stop is not None
        grace = call.runtime.grace_of(stop)
        self.reply(parcels.encode(parcels.StopOrder(number, stop.reason, stop.message)), parcels.STOP)
        if stop.reason == TIMEOUT:
            self.left = not self.outlast(GENTLE_SECONDS, frame)
            how = ABANDONED if self.left else self.how_code_ended()
        else:
            how = self.see_out(grace - (scope.clock.monotonic() - scope.requested_at), frame)
        if scope.ended is None:
            scope.finish(how)
        scope.where, scope.stack = self._where
        if self.left:
            scope.release_guards()  # this process can do without the code

    def see_out(self, seconds: float, watcher: Watcher) -> str:
        """Waits for the end of the code, so many seconds or until the watcher is impatient; then there is one."""
        if self.outlast(seconds, watcher):
            return self.how_code_ended()
        self.kill()
        return KILLED if self.outlast(GONE_SECONDS) else ABANDONED

    def outlast(self, seconds: float, watcher: Watcher | None = None) -> bool:
        """Whether the job is over in so many seconds."""
        deadline = time.monotonic() + seconds
        while self.answer is None and not self.gone and (left := deadline - time.monotonic()) > 0:
            if watcher is not None and watcher.impatient:
                break
            self.wait(left)
        return self.answer is not None or self.gone

    def how_code_ended(self) -> str:
        if self.answer is None:
            return GONE
        return RAISED if self.answer.kind == "error" else RETURNED

    def wait(self, seconds: float | None = None) -> None:
        """Takes what the worker says; returns when it said something, or the bell rang, or the time is over."""
        bell = self._bell
        if self.in_hand and self._take_some():
            return
        if bell is None or not bell.wait(seconds):
            return
        try:
            self._line.read()
        except (EOFError, OSError):
            self.reap()
            return
        self._take_some()

    def _take_some(self) -> bool:
        """Takes what was read, up to the answer; what the worker says about its next job waits for that one's turn."""
        taken = False
        while not (self.in_hand and self.answer is not None) and (message := self._line.next()) is not None:
            self._take(*message)
            taken = True
        return taken

    def _take(self, kind: bytes, data: bytes) -> None:
        if kind == parcels.LEDGER:
            if self._receiver is not None:
                self._receiver.take(data)
        elif kind == parcels.ANSWER:
            answer = parcels.decode_answer(data)
            if answer.payload is None:
                answer.payload = self._line.receive()[1]
            parcels.take_secrets(answer.secrets)  # before anybody looks at the value
            self.answer = answer
        elif kind == parcels.WHERE:
            self._where = parcels.decode_where(data)
        elif kind == parcels.LOADED:
            self.loaded = True
        else:
            self.ready = True

    def next_answer(self) -> Answer | None:
        return self.answer

    def reply(self, data: bytes, kind: bytes = parcels.REPLY) -> None:
        """Says something to a worker that is at a job; one that is gone does not hear it."""
        with contextlib.suppress(OSError):
            self._line.send(kind, data)

    def is_spent(self) -> bool:
        """Whether it cannot be given another job: it does not answer, or code of the last one still runs in it."""
        return self.sent and (self.answer is None or self.answer.spent or bool(self.in_hand))

    def ring(self) -> None:
        """Wakes the thread that has it."""
        bell = self._bell
        if bell is not None:
            bell.ring()

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
        for channel in (self._line, self._jobs, self._life):
            channel.close()
        self._bell = None
        self._process.wait()
        self.gone = True
        if self._receiver is not None:
            self._receiver.close_open(self.how_it_ended())

    def forsake(self) -> None:
        """In a forked child of this process: the worker must not take the child for us."""
        self.gone = True
        for channel in (self._line, self._jobs, self._life):
            with contextlib.suppress(OSError):
                channel.close()

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

"""Worker processes, as the flow's process sees them: one that is lent a call, and all of one runner.

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
import threading
import time
import weakref
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...domain.errors import CrashedRun
from ...domain.logs import LogLine
from ...domain.states import State, make
from ...engine import console
from ...engine.attempts import time_limit
from ...engine.context import FlowRunContext, current_tags
from ...engine.results import keep_if_small
from ...engine.stopping import GENTLE_SECONDS, Frame, Scope, StopDelivered, release, shielded
from ...engine.task_run import KIND
from ...ledger.piped import Receiver
from . import parcels
from .channel import Channel
from .parcels import Answer, FlowFacts, Job, TaskFacts

if TYPE_CHECKING:
    from ...engine.task_run import TaskCall

# A worker that has received so many tasks is told to forget them: programs may make tasks without end.
MOST_KNOWN = 256
# Flow parameters of up to so many bytes are told to workers whole; of others they know what people are shown.
LARGEST_PARAMETERS = 65_536
# How long a killed process may take to be gone; only one that the kernel itself holds on to takes long.
GONE_SECONDS = 10.0

_numbers = count(1)
_all: weakref.WeakSet[Worker] = weakref.WeakSet()
_all_pools: weakref.WeakSet[Workers] = weakref.WeakSet()


class Outcome:
    """What became of a job: the worker's answer, or None when the worker died."""

    __slots__ = ("answer",)

    def __init__(self, answer: Answer | None) -> None:
        self.answer = answer


class RemoteFrame(Frame):
    """A thread that waits for a worker on behalf of a scope. A stop wakes it; it is never abandoned."""

    __slots__ = ("_bell",)

    def __init__(self, scope: Scope, bell: threading.Lock) -> None:
        super().__init__(scope, lambda: lambda: None)
        self._bell = bell

    def deliver(self) -> None:
        release(self._bell)  # also called in a signal handler: no other lock may be taken here

    def abandon(self) -> None:
        pass

    def where(self) -> str | None:
        return None  # the worker says it


class Worker:
    """One worker process. It is given a job by one thread at a time."""

    def __init__(self) -> None:
        self.ready = False
        self.gone = False
        self.sent = False
        self.outcome: Outcome | None = None
        self.where: str | None = None
        self.known: set[int] = set()
        self.flow_version: int | None = None
        self.settings: Any = None
        self._call: TaskCall | None = None
        self._receiver: Receiver | None = None
        self._bell = threading.Lock()
        self._lock = threading.Lock()
        self._jobs_lock = threading.Lock()
        self._line: Channel
        self._jobs: Channel
        self._process = self._launch()
        self.pid = self._process.pid
        _all.add(self)
        threading.Thread(target=self._listen, name=f"penstock-process-{self.pid}", daemon=True).start()

    def _launch(self) -> subprocess.Popen[bytes]:
        """Starts an interpreter that knows nothing of the program; a session of its own keeps Ctrl-C from it."""
        line, jobs = self._open_channels()
        before = os.environ.get("PYTHONPATH")
        home = str(Path(__file__).parents[3])
        environment = {**os.environ, "PYTHONPATH": home if not before else f"{home}{os.pathsep}{before}"}
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "penstock.flows.runners.worker_process", str(line), str(jobs)],
                stdin=subprocess.DEVNULL,
                env=environment,
                pass_fds=(line, jobs),
                start_new_session=True,
            )
        finally:
            os.close(line)
            os.close(jobs)
        # A worker that is gone already is noticed by the reader.
        with contextlib.suppress(OSError):
            self._jobs.send(parcels.WELCOME, parcels.encode(parcels.Welcome(sys.path, sys.argv, before)))
        return process

    def _open_channels(self) -> tuple[int, int]:
        """The worker's ends: for talking both ways, and for jobs."""
        ours, theirs = socket.socketpair()
        jobs, to_jobs = os.pipe()
        self._line, self._jobs = Channel(ours.detach()), Channel(to_jobs)
        return theirs.detach(), jobs

    def perform(self, call: TaskCall, make_job: Callable[[], Job]) -> Outcome:
        """Has the worker do a job. Raises `StopDelivered` when the run was stopped; then its code has ended."""
        scope = call.context.scope
        assert scope is not None
        bell = self._begin(call)
        scope.frame = RemoteFrame(scope, bell)
        if not self.ready:
            self._await_start(call, scope, bell)
        if not self._settled(scope):
            self.sent = True
            job = make_job()
            console.flush()  # so that the worker's lines come after those that came before
            self._send(job)
            while not self._settled(scope):
                bell.acquire()
            self._stop(scope, job.number, bell)
        if scope.stop is not None:
            raise StopDelivered
        assert self.outcome is not None
        return self.outcome

    def _begin(self, call: TaskCall) -> threading.Lock:
        """The lock that is released when there is something to look at."""
        self._bell = threading.Lock()
        self._bell.acquire()
        self._call, self.where, self.sent = call, None, False
        if not self.gone:
            self.outcome = None
        # The worker was idle, so nobody is using the receiver. From here on its messages are about this job.
        self._receiver = _receiver_for(call, self._reply)
        return self._bell

    def _settled(self, scope: Scope) -> bool:
        """Whether there is nothing more to wait for."""
        return self.outcome is not None or scope.stop is not None

    def _await_start(self, call: TaskCall, scope: Scope, bell: threading.Lock) -> None:
        """Starting the process does not count against the time that the task's code may take."""
        seconds, timer = call.task.timeout_seconds, scope.timer
        if timer is not None:
            timer.cancel()
        while not (self.ready or self._settled(scope)):
            bell.acquire()
        if timer is not None and seconds is not None and scope.stop is None:
            scope.limit(seconds, time_limit(KIND, seconds))

    def _send(self, job: Job) -> None:
        # That nobody is there to take it is noticed by the reader, which says how the process ended.
        with self._jobs_lock, contextlib.suppress(OSError):
            parcels.send_job(self._jobs, job)

    def _stop(self, scope: Scope, number: int, bell: threading.Lock) -> None:
        """If a stop came: gently first, then for good. Afterwards the job is over."""
        stop = scope.stop
        if stop is None:
            return
        if self.outcome is None:
            order = parcels.StopOrder(number, stop.reason, stop.message)
            self._reply(parcels.encode(order), parcels.STOP)
            if not self._await(bell, GENTLE_SECONDS):
                self.kill()
                self._await(bell, GONE_SECONDS)
        scope.where = self.where or scope.where

    def _await(self, bell: threading.Lock, seconds: float) -> bool:
        """Whether the job was over in time."""
        deadline = time.monotonic() + seconds
        while self.outcome is None and (left := deadline - time.monotonic()) > 0:
            bell.acquire(timeout=left)
        return self.outcome is not None

    def _reply(self, data: bytes, kind: bytes = parcels.REPLY) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._line.send(kind, data)

    def kill(self) -> None:
        """Ends the process and all that its task started."""
        with self._lock:
            if not self.gone:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """No more jobs will come: the process ends by itself."""
        with self._jobs_lock:
            self._jobs.close()

    def forsake(self) -> None:
        """In a forked child of this process: the worker must not take the child for us."""
        self.gone = True
        self._lock = threading.Lock()
        with contextlib.suppress(OSError):
            self._jobs.close()
            self._line.close()

    def _listen(self) -> None:
        """What the worker's own thread here does, until the process is gone."""
        try:
            while True:
                self._take(*self._line.receive())
        except (EOFError, OSError):
            pass
        finally:
            self._reap()

    def _take(self, kind: bytes, data: bytes) -> None:
        if kind == parcels.LEDGER:
            if self._receiver is not None:
                self._receiver.take(data)
        elif kind == parcels.ANSWER:
            self._settle(Outcome(parcels.receive_answer(self._line, data)))
        elif kind == parcels.WHERE:
            self.where = data.decode()
        else:
            self.ready = True
            release(self._bell)

    def _settle(self, outcome: Outcome) -> None:
        self.outcome = outcome
        release(self._bell)

    def _reap(self) -> None:
        """The pipe was closed. Its other processes go with one that was not sent away."""
        if not self._jobs.closed:
            self.kill()
        with self._lock:
            self._line.close()
        self.end()
        if hasattr(os, "waitid"):  # waits without making the pid free for others
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            self._process.wait()
            self.gone = True
        if self._call is not None and self._receiver is not None:
            self._receiver.close_open(_ending_below(self._call, self.how_it_ended()))
        if self.outcome is None:
            self._settle(Outcome(None))

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


_GUESSES = {
    "SIGKILL": " (was the machine out of memory?)",
    "SIGSEGV": " (a fault in native code)",
    "SIGBUS": " (a fault in native code)",
    "SIGABRT": " (native code gave up)",
}


def _receiver_for(call: TaskCall, send: Any) -> Receiver:
    context = call.context
    flow = context.flow_context

    def seq(line: LogLine) -> int | None:
        ours = line.task_run_id == context.run.id if flow is None else line.flow_run_id == flow.run.id
        return context.next_seq() if ours else None

    def number(task_name: str) -> int:
        return 0 if flow is None else flow.number(task_name)

    return Receiver(call.runtime.ledger, send, seq, number)


def _ending_below(call: TaskCall, how: str) -> State[Any]:
    """The state of runs that a task had begun in a worker that is gone."""
    now, scope = call.runtime.clock.now(), call.context.scope
    stop = None if scope is None else scope.stop
    if stop is not None:
        details = {"reason": "parent", "stopped": "killed"}
        return make("Cancelled", now, message=f"Stopped with its parent: {stop.message}.", details=details)
    return make("Crashed", now, message=f"The worker process that it was in {how}.", details={"stopped": "gone"})


class Workers:
    """The worker processes of one runner: started when there is none to spare, kept for the next job."""

    def __init__(self) -> None:
        self._closed = False
        self.forget()
        _all_pools.add(self)
        self._packed: weakref.WeakKeyDictionary[Any, tuple[int, TaskFacts, dict[str, str]]]
        self._packed = weakref.WeakKeyDictionary()

    def forget(self) -> None:
        """In a forked child: the workers are the parent's."""
        self._idle: list[Worker] = []
        self._lock = threading.Lock()

    def perform(self, call: TaskCall, /, *args: Any, **kwargs: Any) -> Any:
        """Calls the task's function in a worker, whatever its colour. Gives its value, or raises what it raised;
        `SerializationError` for what cannot be sent, and `CrashedRun` when the worker died."""
        return shielded(self._perform, call, args, kwargs)

    def _perform(self, call: TaskCall, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        number, facts, modules = self._pack(call.task)
        arguments, more = parcels.pack_arguments(call.task, args, kwargs, call.context.parameters)
        worker = self._take()
        try:
            outcome = worker.perform(call, lambda: _job(call, worker, number, facts, arguments, {**modules, **more}))
        finally:
            self._give_back(worker)
        answer = outcome.answer
        if answer is None:
            call.crash = CrashedRun(
                f"The worker process (pid {worker.pid}) {worker.how_it_ended()} while it "
                f"{'ran' if worker.sent else 'started, for'} task {call.task.name!r}."
            )
            raise call.crash
        flow = call.context.flow_context
        if flow is not None and answer.tally:
            flow.tally.update(answer.tally)
        if answer.kind == "value":
            return parcels.unpack_value(call.task, answer)
        if answer.kind == "error":
            raise parcels.unpack_error(answer)
        raise parcels.refused_result(call.task, answer)

    def _pack(self, task: Any) -> tuple[int, TaskFacts, dict[str, str]]:
        packed = self._packed.get(task)
        if packed is None:
            packed = self._packed[task] = (next(_numbers), *parcels.pack_task(task))
        return packed

    def _take(self) -> Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if not worker.gone:
                    return worker
        return Worker()

    def _give_back(self, worker: Worker) -> None:
        outcome = worker.outcome
        if worker.sent and (outcome is None or outcome.answer is None or outcome.answer.spent):
            worker.kill()
            return
        with self._lock:
            if not self._closed:
                self._idle.append(worker)
                return
        worker.end()

    def close(self) -> None:
        """Idle workers end now, others when they have answered."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()


def _job(
    call: TaskCall, worker: Worker, number: int, facts: TaskFacts, arguments: bytes, modules: dict[str, str]
) -> Job:
    """The job, without what the worker has been told before."""
    context = call.context
    forget = len(worker.known) >= MOST_KNOWN
    if forget:
        worker.known.clear()
    told = number in worker.known
    worker.known.add(number)
    flow = context.flow_context
    flow_facts = None
    if flow is not None and worker.flow_version != flow.run.version:
        worker.flow_version = flow.run.version
        flow_facts = _flow_facts(flow)
    settings: Any = call.runtime.settings
    environment = None
    if worker.settings is not settings:
        worker.settings = settings
        environment = settings.to_environment()
    return Job(
        number=next(_numbers),
        run=context.run,
        log_prints=context.log_prints,
        tags=current_tags.get(),
        task_number=number,
        task=None if told else facts,
        flow=flow_facts,
        in_flow=flow is not None,
        settings=environment,
        modules=modules,
        forget=forget,
        arguments=arguments,
    )


def _flow_facts(flow: FlowRunContext) -> FlowFacts:
    kept = keep_if_small(flow.parameters, LARGEST_PARAMETERS)
    return FlowFacts(flow.run, flow.log_prints, None if kept is None else kept.inline)


def _forsake_all() -> None:
    for worker in list(_all):
        worker.forsake()
    for workers in list(_all_pools):
        workers.forget()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forsake_all)

"""Worker processes of one runner, or of all isolated tasks, and what they are told of a task's call."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from ...domain.errors import CrashedRun
from ...domain.logs import LogLine
from ...domain.states import State, make
from ...domain.stops import IDLE
from ...engine import identity
from ...engine.context import FlowRunContext, current_tags
from ...engine.masking import MASKER
from ...engine.results import pickled_within
from ...engine.scopes import Scope
from ...engine.stopping import Ready, StopDelivered, WaitFrame, my_post, shielded
from ...engine.timers import TIMERS, Timer
from ...ledger.piped import Receiver
from . import parcels, undertaking
from .parcels import Answer, FlowFacts, Job, Surroundings, TaskFacts
from .worker import Told, Worker, surroundings, unlimited

if TYPE_CHECKING:
    from ...engine.task_run import TaskCall

# A worker that has received so many tasks is told to forget them: programs may make tasks without end.
MOST_KNOWN = 256
# Flow parameters of up to so many bytes are told to workers whole; of others they know what people are shown.
LARGEST_PARAMETERS = 65_536
# How long a worker may take to end by itself.
FAREWELL_SECONDS = 5.0

_numbers = count(1)
_all: weakref.WeakSet[Workers] = weakref.WeakSet()


class Workers:
    """Worker processes: started when there is none to spare, kept for the next job.

    `limit()` is how many may be at work at the same time, `idle_seconds` how long one is kept that has nothing to do,
    `instead` what the author of a task can do for whom something cannot be sent.
    """

    def __init__(self, instead: str, limit: Callable[[], int] | None = None, idle_seconds: float | None = None) -> None:
        self._instead = instead
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._closed = False
        self.forget()
        _all.add(self)
        self._packing = Packing(instead)

    def forget(self) -> None:
        """In a forked child: the workers are the parent's."""
        self._idle: list[Worker] = []
        self._sweeping: Timer | None = None
        self._at_work = 0
        self._waiting: deque[Ready] = deque()  # told when it is the turn of the one who waits for it
        self._lock = threading.Lock()

    def perform(self, call: TaskCall, /, *args: Any, **kwargs: Any) -> Any:
        """Calls the task's function in a worker, whatever its colour. Gives its value, or raises what it raised;
        `SerializationError` for what cannot be sent, and `CrashedRun` when the worker died."""
        return shielded(self._perform, call, args, kwargs)

    def _perform(self, call: TaskCall, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        packed, arguments, more = self.pack(call, args, kwargs)
        self._begin(call)
        try:
            worker = self.take()
            try:
                answer = worker.perform(
                    call, RunReceiver(call, worker), lambda: job_of(call, worker.told, packed, arguments, more)
                )
            finally:
                if worker.left:
                    undertaking.undertake(worker, call, self.give_back)
                else:
                    self.give_back(worker)
        finally:
            self._end()
        return self.outcome(call, worker, answer)

    def pack(self, call: TaskCall, args: Any, kwargs: dict[str, Any]) -> tuple[_Packed, bytes, dict[str, str]]:
        """What `job_of` needs. Raises `SerializationError`."""
        task, flow = call.task, call.context.flow_context
        packed = self._packing.of(task, None if flow is None else flow.run.id)
        return packed, *parcels.pack_arguments(task, args, kwargs, call.context.parameters, self._instead)

    def outcome(self, call: TaskCall, worker: Worker, answer: Answer | None) -> Any:
        """The value in an answer, or raises what it says; None is the answer of a worker that died."""
        task, flow = call.task, call.context.flow_context
        if answer is None:
            doing = "ran" if worker.sent else "started, for"
            crash = CrashedRun(
                f"The worker process (pid {worker.pid}) {worker.how_it_ended()} while it {doing} task {task.name!r}."
            )
            crash.task_run_id = call.context.run.id
            raise crash
        if flow is not None and answer.tally:
            flow.tally.update(answer.tally)
        if answer.kind == "value":
            return parcels.unpack_value(task, answer)
        if answer.kind == "error":
            raise parcels.unpack_error(answer)
        raise parcels.refused_result(task, answer, self._instead)

    def _begin(self, call: TaskCall) -> None:
        """Takes one of the limited number of places, when there is one. The wait does not count against the time that
        the attempt may take. Raises `StopDelivered` when the run is stopped meanwhile."""
        if self._limit is None:
            return
        limit = self._limit()
        with self._lock:
            if self._at_work < limit:
                self._at_work += 1
                return
            turn = Ready()
            self._waiting.append(turn)
        try:
            with unlimited(call):
                _await(turn, call.context.scope)
        except BaseException:
            with self._lock:
                waits = turn in self._waiting
                if waits:
                    self._waiting.remove(turn)
            if not waits:  # its turn came in the same moment
                self._end()
            raise

    def _end(self) -> None:
        """Gives the place to the one who waited longest."""
        if self._limit is None:
            return
        with self._lock:
            if self._waiting:
                self._waiting.popleft().tell()
            else:
                self._at_work -= 1

    def take(self) -> Worker:
        """An idle worker, or a new one."""
        while True:
            with self._lock:
                worker = self._idle.pop() if self._idle else None
            if worker is None:
                return Worker()
            worker.wait(0.0)
            if worker.gone:
                continue
            if identity.started(worker.pid) is not None:
                return worker
            # Killed a moment ago: its first thread has ended, its last has not, so its pipe is still open.
            worker.kill()
            _see_off([worker])

    def give_back(self, worker: Worker) -> None:
        """For the next job, if it is fit for one."""
        if worker.gone:
            return
        if worker.is_spent():
            worker.kill()
        else:
            with self._lock:
                if not self._closed:
                    self._keep(worker)
                    return
            worker.end()
        _see_off([worker])

    def _keep(self, worker: Worker) -> None:
        """For the next job. The lock is held."""
        self._idle.append(worker)
        if self._idle_seconds is not None:
            worker.idle_since = time.monotonic()
            if self._sweeping is None:
                self._sweeping = TIMERS.after(self._idle_seconds, self._sweep)

    def _sweep(self) -> None:
        """Lets go of workers that have had nothing to do for long. (The last that worked is the first to be taken.)"""
        assert self._idle_seconds is not None
        with self._lock:
            now = time.monotonic()
            stale = [worker for worker in self._idle if now - worker.idle_since >= self._idle_seconds]
            self._idle = self._idle[len(stale) :]
            left = self._idle[0].idle_since + self._idle_seconds - now if self._idle else None
            self._sweeping = None if left is None else TIMERS.after(left, self._sweep)
        _dismiss(stale)

    def close(self) -> None:
        """Idle workers end now, others when they have answered."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            if self._sweeping is not None:
                self._sweeping.cancel()
        _dismiss(idle)


def processors() -> int:
    """Those that this process may use, which in a container are fewer than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


class _Packed(NamedTuple):
    """A task as workers are told of it, under a number; for calls of this flow run."""

    number: int
    facts: TaskFacts
    modules: dict[str, str]
    flow_run: UUID | None


class Packing:
    """Tasks as workers are told of them. `instead`: what the author of one can do that cannot be sent."""

    def __init__(self, instead: str) -> None:
        self._instead = instead
        self._packed: weakref.WeakKeyDictionary[Any, _Packed] = weakref.WeakKeyDictionary()

    def of(self, task: Any, flow_run: UUID | None) -> _Packed:
        """What workers must know of a task. A function that is sent whole uses the globals as they are at its first
        call in a flow run (outside of flows: at each call). Raises `SerializationError`."""
        packed = self._packed.get(task)
        if packed is None or flow_run is None or packed.flow_run != flow_run:
            facts, modules = parcels.pack_task(task, self._instead)
            number = packed.number if packed is not None and packed.facts == facts else next(_numbers)
            packed = self._packed[task] = _Packed(number, facts, modules, flow_run)
        return packed


def _await(turn: Ready, scope: Scope | None) -> None:
    """Waits in a way that a stop ends."""
    assert scope is not None
    post = my_post()
    scope.frame = WaitFrame(scope, post)
    try:
        post.wait(turn, None, scope)
    finally:
        scope.frame = None
    if scope.stop is not None:
        scope.finish(IDLE)
        raise StopDelivered


def _dismiss(workers: list[Worker]) -> None:
    for worker in workers:
        worker.end()
    if workers and not sys.is_finalizing():
        threading.Thread(target=_see_off, args=(workers,), name="penstock-process-end", daemon=True).start()


def _see_off(workers: list[Worker]) -> None:
    """Hears what they still have to say, until they are gone."""
    deadline = time.monotonic() + FAREWELL_SECONDS
    for worker in workers:
        while not worker.gone and (left := deadline - time.monotonic()) > 0:
            worker.wait(left)
        if not worker.gone:
            worker.kill()
            worker.reap()


class RunReceiver(Receiver):
    """Takes what a worker says about a call, and what is below it, to the record of the call's run."""

    def __init__(self, call: TaskCall, worker: Worker) -> None:
        super().__init__(call.runtime.ledger, worker.reply, MASKER)
        self._call = call

    def seq(self, line: LogLine) -> int | None:
        context = self._call.context
        flow = context.flow_context
        ours = line.task_run_id == context.run.id if flow is None else line.flow_run_id == flow.run.id
        return context.next_seq() if ours else None

    def count(self, task_name: str) -> int:
        flow = self._call.context.flow_context
        return 0 if flow is None else flow.number(task_name)

    def ending(self, how: str) -> State[Any]:
        now, scope = self._call.runtime.clock.now(), self._call.context.scope
        stop = None if scope is None else scope.stop
        if stop is not None:
            details = {"reason": "parent", "stopped": "killed"}
            return make("Cancelled", now, message=f"Stopped with its parent: {stop.message}.", details=details)
        return make("Crashed", now, message=f"The worker process that it was in {how}.", details={"stopped": "gone"})


def job_of(
    call: TaskCall,
    told: Told,
    packed: _Packed,
    arguments: bytes,
    modules: dict[str, str],
    now: Surroundings | None = None,
) -> Job:
    """The job, without what the worker has been told before. `now`: the surroundings, where the caller has just looked
    (which costs as much as all the rest)."""
    context = call.context
    forget, told.anew = told.anew or len(told.known) >= MOST_KNOWN, False
    if forget:
        told.known.clear()
    known = packed.number in told.known
    told.known.add(packed.number)
    flow = context.flow_context
    flow_facts = None
    if flow is not None and told.flow != (flow.run.id, flow.run.version):
        told.flow = flow.run.id, flow.run.version
        flow_facts = _flow_facts(flow)
    settings: Any = call.runtime.settings
    environment = None
    if told.settings is not settings:
        told.settings = settings
        environment = settings.to_environment()
    now = now or surroundings()
    changed = now != told.surroundings
    told.surroundings = now
    secrets, told.secrets = parcels.secrets_after(told.secrets)
    return Job(
        number=next(_numbers),
        run=context.run,
        log_prints=context.log_prints,
        captures_all=context.captures_all,
        tags=current_tags.get(),
        task_number=packed.number,
        task=None if known else packed.facts,
        flow=flow_facts,
        in_flow=flow is not None,
        settings=environment,
        surroundings=now if changed else None,
        modules={**packed.modules, **modules},
        forget=forget,
        arguments=arguments,
        secrets=secrets,
        trace=None if context.trace is None else context.trace.carrier(),
    )


def _flow_facts(flow: FlowRunContext) -> FlowFacts:
    parameters: bytes | None = None
    with contextlib.suppress(Exception):  # too large, or whatever a value's own pickling raises
        parameters = pickled_within(LARGEST_PARAMETERS, flow.parameters)
    return FlowFacts(flow.run, flow.log_prints, parameters)


def _forget_all() -> None:
    for workers in list(_all):
        workers.forget()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_all)

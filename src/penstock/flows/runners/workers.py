"""All worker processes of one runner, and what they are told of a task's call."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from itertools import count
from typing import TYPE_CHECKING, Any

from ...domain.errors import CrashedRun
from ...domain.logs import LogLine
from ...domain.states import State, make
from ...engine import identity
from ...engine.context import FlowRunContext, current_tags
from ...engine.results import keep_if_small
from ...engine.stopping import shielded
from ...ledger.piped import Receiver
from . import parcels
from .parcels import FlowFacts, Job, TaskFacts
from .worker import Worker

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
    """The worker processes of one runner: started when there is none to spare, kept for the next job."""

    def __init__(self) -> None:
        self._closed = False
        self.forget()
        _all.add(self)
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
        task = call.task
        number, facts, modules = self._pack(task)
        arguments, more = parcels.pack_arguments(task, args, kwargs, call.context.parameters)
        worker = self._take()
        try:
            receiver = _RunReceiver(call, worker)
            answer = worker.perform(
                call, receiver, lambda: _job(call, worker, number, facts, arguments, {**modules, **more})
            )
        finally:
            self._give_back(worker)
        if answer is None:
            doing = "ran" if worker.sent else "started, for"
            call.crash = CrashedRun(
                f"The worker process (pid {worker.pid}) {worker.how_it_ended()} while it {doing} task {task.name!r}."
            )
            raise call.crash
        flow = call.context.flow_context
        if flow is not None and answer.tally:
            flow.tally.update(answer.tally)
        if answer.kind == "value":
            return parcels.unpack_value(task, answer)
        if answer.kind == "error":
            raise parcels.unpack_error(answer)
        raise parcels.refused_result(task, answer)

    def _pack(self, task: Any) -> tuple[int, TaskFacts, dict[str, str]]:
        packed = self._packed.get(task)
        if packed is None:
            packed = self._packed[task] = (next(_numbers), *parcels.pack_task(task))
        return packed

    def _take(self) -> Worker:
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

    def _give_back(self, worker: Worker) -> None:
        if worker.gone:
            return
        if worker.is_spent():
            worker.kill()
        else:
            with self._lock:
                if not self._closed:
                    self._idle.append(worker)
                    return
            worker.end()
        _see_off([worker])

    def close(self) -> None:
        """Idle workers end now, others when they have answered."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()
        if idle:
            threading.Thread(target=_see_off, args=(idle,), name="penstock-process-end", daemon=True).start()


def _see_off(workers: list[Worker]) -> None:
    """Hears what they still have to say, until they are gone."""
    deadline = time.monotonic() + FAREWELL_SECONDS
    for worker in workers:
        while not worker.gone and (left := deadline - time.monotonic()) > 0:
            worker.wait(left)
        if not worker.gone:
            worker.kill()
            worker.reap()


class _RunReceiver(Receiver):
    """Takes what a worker says about a call, and what is below it, to the record of the call's run."""

    def __init__(self, call: TaskCall, worker: Worker) -> None:
        super().__init__(call.runtime.ledger, worker.reply)
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


def _forget_all() -> None:
    for workers in list(_all):
        workers.forget()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_all)

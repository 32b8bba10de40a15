"""Calls that one worker process makes, one after the other: it has the next jobs before it has answered the present
one, so that neither side waits for the other between two short tasks.

Law: each call is a run of its own, and the record says of it what became of its code. Jobs are done and answered in
their order, so what a worker was at when it died is the first that it has not answered. When runs are stopped, jobs
that the worker has not begun are called back, and of each it is known whether it was begun. Calls whose code must not
begin before something else (a slot of a limit, a hook, a cached value, the clock of a time limit) are sent when it is
their turn.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from ...domain.errors import SerializationError
from ...domain.states import RUNNING, State
from ...domain.stops import PARENT
from ...engine.stopping import shielded
from . import parcels
from .parcels import Answer, Job, Surroundings
from .worker import Worker, surroundings
from .workers import RunReceiver, Workers, job_of

if TYPE_CHECKING:
    from ...engine.task_run import TaskCall

# So many jobs, and bytes of them, may be with a worker. (Fewer than a pipe holds: sending never waits.)
MOST_AHEAD = 16
MOST_BYTES = 1 << 15


class Chunk:
    """The calls of one hand-over. One thread at a time may have it."""

    def __init__(self, workers: Workers, calls: list[TaskCall]) -> None:
        self._workers = workers
        self._worker: Worker | None = None
        self._left = deque(calls)  # not sent yet
        self._jobs: dict[int, tuple[Job, int]] = {}  # by the identity of the call: sent and not answered; its bytes
        self._bytes = 0
        self._early: dict[int, Answer] = {}
        self._recalled = False

    @staticmethod
    def is_plain(call: TaskCall) -> bool:
        """Whether nothing needs to come between the call's turn and its code."""
        task, context = call.task, call.context
        return (
            context.flow_context is not None
            and not context.run.tags
            and task.cache_policy is None
            and task.timeout_seconds is None
            and not task.on_running_hooks
            and not call.needs
            and not call.upstream
            and call.earlier is None
            and call.runtime.double is None
        )

    def turn(self, call: TaskCall, run: Callable[[], None]) -> None:
        """Runs the script of a call, whose turn it is."""
        if id(call) in self._jobs:
            if self._is_disturbed(call):
                self._find_out(call)
        elif self._left and self._left[0] is call and self._is_disturbed(call):
            self._left.popleft()  # it does not begin
        run()
        if self._left and self._left[0] is call:
            self._left.popleft()
        if id(call) in self._jobs:  # its run ended, or waits, without it
            self._find_out(call)
            self._early.pop(id(call), None)

    def perform(self, call: TaskCall, /, *args: Any, **kwargs: Any) -> Any:
        """As `Workers.perform`. A further attempt is made by another worker."""
        if call.context.run.run_count > 1:
            return self._workers.perform(call, *args, **kwargs)
        return shielded(self._perform, call, args, kwargs)

    def close(self) -> None:
        """All had their turn."""
        worker, self._worker = self._worker, None
        if worker is not None:
            self._workers.give_back(worker)

    def _perform(self, call: TaskCall, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        early = self._early.pop(id(call), None)
        if early is not None:
            assert self._worker is not None
            call.context.detached = False
            return self._workers.outcome(call, self._worker, early)
        packed = None if id(call) in self._jobs else self._workers.pack(call, args, kwargs)
        if self._worker is None:
            self._worker = self._workers.take()
        worker = self._worker
        try:
            answer = worker.perform(call, RunReceiver(call, worker), lambda: self._send(call, worker, packed))
        finally:
            self._answered(call)
            if worker.gone:
                self._lose()
        return self._workers.outcome(call, worker, answer)

    def _send(self, call: TaskCall, worker: Worker, packed: Any) -> Job:
        """Sees to it that the worker has the call's job, and some of the next."""
        jobs = []
        now = None
        if packed is not None:
            now = surroundings()
            facts, arguments, modules = packed
            jobs.append(self._job(call, worker, job_of(call, worker.told, facts, arguments, modules, now)))
            if self._left and self._left[0] is call:
                self._left.popleft()
        if len(self._jobs) <= MOST_AHEAD // 2:
            flow, now = call.context.flow_context, now or surroundings()
            while (
                self._left
                and len(self._jobs) < MOST_AHEAD
                and self._bytes < MOST_BYTES
                and flow is not None
                and flow.gate is None
                and not self._is_disturbed(self._left[0])
            ):
                job = self._next(worker, now)
                if job is None:
                    break
                jobs.append(job)
        if jobs:
            worker.send(jobs)
        return self._jobs[id(call)][0]

    def _next(self, worker: Worker, now: Surroundings) -> Job | None:
        """The job of the next call; None for one that has to be sent by itself, when it is its turn."""
        call = self._left[0]
        try:
            packed, arguments, modules = self._workers.pack(call, call.args, call.kwargs)
        except SerializationError:
            return None  # it is raised when it is its turn
        if len(arguments) > MOST_BYTES // 2:
            return None
        self._left.popleft()
        job = job_of(call, worker.told, packed, arguments, modules, now)
        run = call.context.run
        begun: State[Any] = State(RUNNING, "Running", call.runtime.clock.now())
        job.run = msgspec.structs.replace(run, states=(*run.states, begun), run_count=1)
        return self._job(call, worker, job)

    def _job(self, call: TaskCall, worker: Worker, job: Job) -> Job:
        size = len(job.arguments or b"") + 1000
        self._jobs[id(call)] = job, size
        self._bytes += size
        worker.in_hand.append(job.number)
        self._recalled = False
        return job

    def _answered(self, call: TaskCall) -> None:
        sent = self._jobs.pop(id(call), None)
        if sent is not None:
            self._bytes -= sent[1]
        if sent is not None and self._worker is not None and sent[0].number in self._worker.in_hand:
            self._worker.in_hand.remove(sent[0].number)

    def _lose(self) -> None:
        """The worker is gone. What it had and did not begin is sent to another, when it is its turn."""
        self._worker = None
        self._jobs.clear()
        self._bytes = 0

    def _is_disturbed(self, call: TaskCall) -> bool:
        """Whether the call's run, or one above it, is to end or to wait."""
        context = call.context
        flow, above = context.flow_context, None if context.parent is None else context.parent.scope
        assert flow is not None
        return (
            context.halted is not None
            or flow.dropping
            or flow.gate is not None
            or (above is not None and above.stop is not None)
        )

    def _find_out(self, call: TaskCall) -> None:
        """The call's job was sent, and its run is to end: whether its code was begun, and what became of it."""
        worker, (job, _) = self._worker, self._jobs[id(call)]
        assert worker is not None
        above = None if call.context.parent is None else call.context.parent.scope
        if not self._recalled and worker.in_hand:
            self._recalled = True
            worker.reply(parcels.encode(parcels.Recall(worker.in_hand[-1])), parcels.RECALL)
        stop = call.context.halted or (None if above is None else above.stop)
        if stop is not None:
            worker.reply(parcels.encode(parcels.StopOrder(job.number, PARENT, stop.message)), parcels.STOP)
        deadline = None if stop is None else time.monotonic() + call.runtime.grace_of(stop)
        answer = _answer_by(worker, deadline)
        self._answered(call)
        if answer is None:
            self._lose()
        elif answer.kind == "value" or (stop is None and answer.kind != "recalled"):
            # It came to its end before it could be stopped. That is how its run ends, whatever else is stopped.
            self._early[id(call)] = answer
            call.context.detached, call.context.halted = True, None


def _answer_by(worker: Worker, deadline: float | None) -> Answer | None:
    """The worker's next answer. One that has none by then is killed, and so has none at all."""
    worker.answer = None
    while worker.next_answer() is None and not worker.gone:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            worker.kill()
            deadline = left = None
        worker.wait(left)
    return worker.next_answer()

"""The run that the calling code is in: a context variable, so that threads and coroutines each know their own."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from contextvars import ContextVar
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar
from uuid import UUID

from ..domain.errors import MissingContextError
from ..domain.runs import FlowRun, TaskRun
from ..domain.states import State
from ..domain.stops import Signal, Stop
from .gates import Gate
from .links import Links
from .scopes import Guard, Scope

if TYPE_CHECKING:
    from .definitions import FlowDefinition, TaskDefinition
    from .futures import PenstockFuture
    from .progress import Progress
    from .replay import Replay
    from .runtime import Runtime
    from .tracing import Trace

# How long after the grace a program is ended in which code goes on: its record was closed meanwhile.
KILL_SECONDS = 0.1
Run = TypeVar("Run", FlowRun, TaskRun)
current: ContextVar[RunContext[Any] | None] = ContextVar("penstock_run", default=None)
current_tags: ContextVar[frozenset[str]] = ContextVar("penstock_tags", default=frozenset())


class RunContext(Generic[Run]):
    """What code inside a run can know of it."""

    __slots__ = (
        "_halt_guard", "captures_all", "decoders", "detached", "flow_context", "halted", "log_prints", "parameters",
        "parent", "partial", "run", "runtime", "scope", "source", "start_time", "trace",
    )  # fmt: skip
    kind: ClassVar[str]
    run: Run

    def __init__(self, run: Run, runtime: Runtime, parent: RunContext[Any] | None, log_prints: bool) -> None:
        self.run = run
        self.runtime = runtime
        self.parent = parent
        self.log_prints = log_prints
        self.parameters: dict[str, Any] = {}
        self.scope: Scope | None = None
        # somebody's request to stop the run: it holds for all that the run does from then on
        self.halted: Stop | None = None
        self._halt_guard: Guard | None = None
        # it goes on when its parent is stopped
        self.detached = False
        self.start_time: datetime = run.created
        self.flow_context: FlowRunContext | None = None
        self.source = ""
        # told of what becomes of the run, where runs are traced
        self.trace: Trace | None = None
        # text that was written without an end of line yet, by thread and stream (see `printed`)
        self.partial: dict[tuple[int, str], Any] | None = None
        # bytes that were written and may be the beginning of a character, likewise
        self.decoders: dict[tuple[int, str], Any] | None = None
        # with `log_prints`: also what programs and native code write
        self.captures_all: bool = (
            parent.captures_all if parent is not None else runtime.settings.logging_capture == "all"
        )

    def halt(self, stop: Stop) -> None:
        """Stops the run, whatever it does at the moment. Asked again, the new grace counts, from then on."""
        self.halted = stop
        scope = self.scope
        if scope is None:
            return
        grace = self.runtime.grace_of(stop)
        kill_in = self._kill_in(grace)
        before, self._halt_guard = self._halt_guard, None
        if before is not None:
            scope.unguard(before)
        if kill_in is not None and not scope.suspended:
            self._halt_guard = guard = self.runtime.watchdog.guard(self, stop, 0.0, None, kill_in)
            scope.guarded_by(guard)
        scope.wind_up(stop, grace)

    def hold(self, signal: Signal) -> None:
        """Somebody outside asks that the run waits. (A task run does so with its flow.)"""

    def answered(self) -> None:
        """The run's pause was answered, or there is other news of it."""

    def _kill_in(self, grace: float) -> float | None:
        """In how many seconds the program is ended, should the run's code go on until then; None for never."""
        raise NotImplementedError

    def next_seq(self) -> int:
        """The number of the run's next log line."""
        raise NotImplementedError

    def stored_under(self) -> tuple[UUID | None, UUID | None]:
        """The flow run and the task run that a line written here belongs to."""
        raise NotImplementedError


class FlowRunContext(RunContext[FlowRun]):
    """Inside a flow run: `.flow`, `.flow_run`, `.parameters`, `.task_runner`."""

    __slots__ = (
        "_seq", "dropping", "flow", "gate", "links", "names", "_pauses", "_tallying", "outstanding", "replay",
        "streams", "tally", "task_runner",
    )  # fmt: skip
    kind = "Flow run"

    def __init__(
        self,
        run: FlowRun,
        runtime: Runtime,
        parent: RunContext[Any] | None,
        log_prints: bool,
        flow: FlowDefinition,
        task_runner: Any,
    ) -> None:
        super().__init__(run, runtime, parent, log_prints)
        self.flow = flow
        self.task_runner = task_runner
        self.source = f"Flow run {run.name!r}"
        self.flow_context = self
        self._seq = count()
        # how many runs of each task there were: the next one's number
        self.names: dict[str, count[int]] = {}
        # states of the tasks and subflows that ended, by name; how many in all
        self.tally: Counter[str] = Counter()
        self._tallying = threading.Lock()
        self.outstanding: set[PenstockFuture[Any]] = set()
        # streams of mapped tasks that may take more of their inputs
        self.streams: list[Any] = []
        self.links = Links()
        # the flow has failed: tasks that were submitted and have not begun will not begin
        self.dropping = False
        # what earlier attempts left, where the run was entered again
        self.replay: Replay | None = None
        # the run waits, or is to: before it, what has not begun waits as well (see `pausing`)
        self.gate: Gate | None = None
        self._pauses = count(1)

    def begin_at(self, seq: int, names: dict[str, count[int]]) -> None:
        """For a run that was entered again: the numbers of its lines, and of its tasks' runs, go on."""
        self._seq, self.names = count(seq), names

    def _kill_in(self, grace: float) -> float | None:
        # Hooks come after the record, which is closed when the grace is over; they have as long again.
        return grace + KILL_SECONDS + (grace if self.flow.on_cancellation_hooks or self.flow.on_crashed_hooks else 0.0)

    @property
    def flow_run(self) -> FlowRun:
        return self.run

    def next_seq(self) -> int:
        return next(self._seq)

    def stored_under(self) -> tuple[UUID | None, UUID | None]:
        return self.run.id, None

    def count(self, state: State[Any]) -> None:
        """A task or subflow of this run ended in `state` (or never will begin)."""
        with self._tallying:
            self.tally[state.type.value if state.is_final() else state.name] += 1

    def number(self, name: str) -> int:
        """0 for the first run of a task in this flow run, then 1, …"""
        counter = self.names.get(name)
        if counter is None:
            counter = self.names.setdefault(name, count())
        return next(counter)

    def hold(self, signal: Signal) -> None:
        if self.gate is None:
            self.gate = Gate(signal)

    def answered(self) -> None:
        if self.gate is not None:
            self.gate.told.happen()

    def begin_attempt(self) -> None:
        """The code is called from its beginning."""
        self.dropping = False
        self.tally.clear()
        self._pauses = count(1)
        if self.replay is not None:
            self.replay.begin_attempt()

    def next_pause(self) -> str:
        """The key of a pause that was given none: the how-manieth it is in this attempt."""
        return str(next(self._pauses))

    @classmethod
    def get(cls) -> FlowRunContext | None:
        """The flow run that the caller is in, also from within its tasks; None outside."""
        context = current.get()
        return None if context is None else context.flow_context


class TaskRunContext(RunContext[TaskRun]):
    """Inside a task run: `.task`, `.task_run`, `.parameters`."""

    __slots__ = ("_seq", "collapsed", "progress", "task")
    kind = "Task run"

    def __init__(
        self, run: TaskRun, runtime: Runtime, parent: RunContext[Any] | None, log_prints: bool, task: TaskDefinition
    ) -> None:
        super().__init__(run, runtime, parent, log_prints)
        self.task = task
        # of the large map that it is an item of, on a terminal; and whether its usual lines are left out there
        self.progress: Progress | None = None
        self.collapsed = False
        self.source = f"Task run {run.name!r}"
        self.flow_context = parent.flow_context if parent is not None else None
        self._seq = count() if self.flow_context is None else None

    def _kill_in(self, grace: float) -> float | None:
        # A task run of a flow is no reason to end the program: its flow is to go on.
        return grace + KILL_SECONDS if self.flow_context is None else None

    @property
    def task_run(self) -> TaskRun:
        return self.run

    def next_seq(self) -> int:
        if self._seq is not None:
            return next(self._seq)
        assert self.flow_context is not None
        return self.flow_context.next_seq()

    def stored_under(self) -> tuple[UUID | None, UUID | None]:
        return self.run.flow_run_id, self.run.id

    @classmethod
    def get(cls) -> TaskRunContext | None:
        """The task run that the caller is in; None outside."""
        context = current.get()
        return context if isinstance(context, TaskRunContext) else None


def is_awaited(context: RunContext[Any] | None) -> bool:
    """Whether the code that calls something is asynchronous, and awaits what it is given: that of the run that it is
    in; outside of runs, whatever has a loop that runs."""
    if context is None:
        asyncio = sys.modules.get("asyncio")  # who has not loaded it has no loop
        return asyncio is not None and asyncio._get_running_loop() is not None
    definition: Any = context.flow if isinstance(context, FlowRunContext) else context.task  # type: ignore[attr-defined]
    return bool(definition.isasync)


def get_run_context() -> FlowRunContext | TaskRunContext:
    """The run that the caller is in: a task's inside a task, else the flow's.

    Raises `MissingContextError` outside of runs.

    Example::

        @flow
        def my_flow():
            print(get_run_context().flow_run.name)
    """
    context = current.get()
    if isinstance(context, FlowRunContext | TaskRunContext):
        return context
    raise MissingContextError(
        "There is no run here: get_run_context() works inside a flow or a task, and in threads that they start."
    )

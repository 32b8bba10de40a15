"""Entering a flow run again: what its earlier attempts completed is not done a second time.

A call is known by its *place*: the how-manieth call of its task (or of its flow) it is, in the flow run or in the task
run that makes it. So the same code, called with the same arguments, finds what it left; and where a part is skipped,
or runs of several threads come in another order, the places of the others stay what they were.

Law: a value is used only where place, version and the arguments (as people are shown them, and by the runs that they
came from) are those of a run that completed, and its result can be read. Whether it is used or not, and why, is said
in the run's log.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Generator, Iterable
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from ..domain.errors import TransitionRefused
from ..domain.log_forms import ENGINE
from ..domain.pauses import RESUMING, is_same_attempt
from ..domain.reopening import Reopened, waits_for_process
from ..domain.rules import Facts
from ..domain.runs import FlowRun, TaskRun
from ..domain.states import FINAL, RUNNING, SCHEDULED, State, make
from ..ledger.contract import Enter, Reopen
from .attempts import INFO, WARNING
from .context import FlowRunContext
from .effects import Ask, Effect
from .inputs import resolve
from .live import RUNS
from .parameters import bind
from .previews import previews
from .results import StoredResult
from .runlog import say

if TYPE_CHECKING:
    from .flow_run import FlowCall
    from .task_run import TaskCall

Run = TypeVar("Run", TaskRun, FlowRun)
# what calls are counted in: (the place of the task run that makes them, "task" or "flow", whose calls)
Group = tuple[Any, str, str]
Place = tuple[Group, int]


ONE_BY_ONE = "it gave its values one by one, and they were not kept"


class Replay:
    """What earlier attempts of a flow run left. One for each time it is entered again; retries of its own use it, too.

    `notes` are warnings to be said when the run begins. `is_first`: it never began before.
    """

    is_first = False

    def __init__(self, reopened: Reopened, notes: Iterable[str] = ()) -> None:
        self.run = reopened.run
        self.first_seq = reopened.first_seq
        self.notes = list(notes)
        # how many attempts there were: those that are to come have retries of their own
        self.attempts = reopened.run.run_count
        self.who = _asker(reopened.run)
        # it waited, and was told to go on
        self.resumed = _was_resumed(reopened.run)
        # each attempt's beginning, and whether the run was entered again by then
        self._begun, self._reentered = _attempts(reopened.run)
        self._lock = threading.Lock()
        self._places: dict[UUID, Place] = {}
        self._runs: dict[Group, list[list[Any]]] = {}
        # the labels of a group's places: by its label a run of a later attempt finds the place of the one it repeats
        self._labels: dict[Group, dict[str, int]] = {}
        self._named: dict[Place, str] = {}
        self._counts: Counter[Group] = Counter()
        self.numbers: Counter[str] = Counter()
        ranks: Counter[tuple[int, Group]] = Counter()
        runs: list[TaskRun | FlowRun] = [*reopened.task_runs, *reopened.subflow_runs]
        for run in sorted(runs, key=lambda each: each.id):
            self._file(run, ranks)

    def _file(self, run: TaskRun | FlowRun, ranks: Counter[tuple[int, Group]]) -> None:
        """Puts a run to its place."""
        attempt = self._attempt(run)
        if isinstance(run, TaskRun):
            group, label = self._group(run.parent_task_run_id, "task", _key(run)), run.dynamic_key
            if label.isdecimal():
                self.numbers[run.task_name] = max(self.numbers[run.task_name], int(label) + 1)
        else:
            group, label = self._group(run.parent_task_run_id, "flow", run.flow_name), run.id.hex
        labels = self._labels.setdefault(group, {})
        runs = self._runs.setdefault(group, [])
        position = labels.get(label)
        if position is None:
            position = len(runs)
            if not self._reentered[attempt]:
                # (Where nothing is skipped, the calls of each attempt are counted from its beginning.)
                position = ranks[attempt, group]
                ranks[attempt, group] += 1
            labels[label] = position
            self._named.setdefault((group, position), label)
        if position == len(runs):
            runs.append([])
        runs[position].append(run)
        self._places[run.id] = (group, position)

    def _group(self, parent: UUID | None, kind: str, key: str) -> Group:
        return (None if parent is None else self._places.get(parent, parent), kind, key)

    def _attempt(self, run: TaskRun | FlowRun) -> int:
        return max(bisect_right(self._begun, run.created) - 1, 0)

    def begin_attempt(self) -> None:
        """The run's code is called from its beginning: calls are counted anew."""
        with self._lock:
            self._counts.clear()

    def _take_place(self, parent: UUID | None, kind: str, key: str, id: UUID) -> tuple[Place, list[Any]]:
        """The place of the next call, and the runs that earlier attempts had there."""
        with self._lock:
            group = self._group(parent, kind, key)
            place = group, self._counts[group]
            self._counts[group] += 1
            self._places[id] = place
        runs = self._runs.get(group, [])
        return place, (runs[place[1]] if place[1] < len(runs) else [])

    def _otherwise_made(self, earlier: TaskRun | FlowRun, run: TaskRun | FlowRun) -> str | None:
        """Whether an argument came from another run then: two values may look the same that are not. (Where it is not
        known of both where they came from, nothing speaks against them.)"""
        for name, ids in run.upstream.items():
            before = earlier.upstream.get(name)
            if before is not None and self._places_of(before) != self._places_of(ids):
                return f"its argument {name!r} was the value of another run"
        return None

    def _places_of(self, ids: Iterable[UUID]) -> list[Any]:
        return [self._places.get(id, id) for id in ids]

    # --- tasks -------------------------------------------------------------------------------------------------------

    def begin(self, call: TaskCall) -> None:
        """A task is called: its run gets the number of its place, and, if that can be told already, its value."""
        context, task = call.context, call.task
        run = context.run
        place, runs = self._take_place(run.parent_task_run_id, "task", _key(run), run.id)
        label = self._named.get(place)
        if label is None:
            assert context.flow_context is not None
            label = self._named[place] = str(context.flow_context.number(task.name))
        run.dynamic_key = label
        if task.task_run_name is None or call.needs:
            run.name = f"{task.name}-{label}"
            context.source = f"Task run {run.name!r}"
        call.earlier = _best(runs)
        if call.earlier is None:
            announce(call)
        elif not task.isgenerator and all(future.done() for future in call.upstream):
            # (Whether a generator's items are handed on or collected, is not known yet.)
            if not call.needs:
                self.decide(call)
            elif (resolved := _resolved(call)) is not None:
                self.decide(call, resolved)

    def decide(self, call: TaskCall, parameters: dict[str, Any] | None = None) -> bool:
        """Whether an earlier run stands for this call, whose arguments are known now; else it begins as a new one."""
        earlier, call.earlier = call.earlier, None
        assert earlier is not None
        attempt = self._attempt(earlier) + 1
        shown = call.context.run.parameters if parameters is None else previews(parameters)
        why = _unlike(earlier, call.task.version, shown) or self._otherwise_made(earlier, call.context.run)
        if why is None and call.generator:
            why = ONE_BY_ONE
        if why is None:
            try:
                call.value = StoredResult(earlier.result, f"task run {earlier.name!r}", call.runtime.vault).load()
            except Exception as error:  # the result was not kept, is lost, or cannot be read any more
                why = str(error)
        if why is None:
            self._use(call, earlier, attempt)
            return True
        announce(call)
        say(call.context, INFO, _again("Task run", earlier, attempt, why))
        return False

    def _use(self, call: TaskCall, earlier: TaskRun, attempt: int) -> None:
        context = call.context
        RUNS.pop(context.run.id, None)
        context.run = earlier
        context.source = f"Task run {earlier.name!r}"
        call.state = earlier.state
        if call.future is not None:
            call.future.task_run = earlier
        if context.flow_context is not None:
            context.flow_context.links.add(call.value, earlier.id)
        message = f"Task run {earlier.name!r} was completed in attempt {attempt}; its result is used"
        say(context, INFO, message, shown=context.collapsed)
        if context.progress is not None:
            context.progress.ended(earlier.state)

    # --- flows -------------------------------------------------------------------------------------------------------

    def place_subflow(self, call: FlowCall) -> list[FlowRun]:
        """A flow is called in this run: the runs that earlier attempts had at its place."""
        run = call.context.run
        return self._take_place(run.parent_task_run_id, "flow", run.flow_name, run.id)[1]

    def subflow(self, call: FlowCall) -> Generator[Effect[Any], Any, bool]:
        """Whether an earlier run stands for this call of a flow. One that did not complete is entered again."""
        earlier = _best(call.earlier)
        assert earlier is not None
        # (It may have been entered again since it was created: what counts is when it ended.)
        attempt = max(bisect_right(self._begun, earlier.state.timestamp), 1)
        run = call.context.run
        why = _unlike(earlier, call.flow.version, run.parameters) or self._otherwise_made(earlier, run)
        if why is None and call.generator:
            why = ONE_BY_ONE
        if why is None:
            try:
                of = f"flow run {earlier.name!r}"
                call.value = StoredResult(earlier.result, of, call.runtime.vault).load()
            except Exception as error:
                why = str(error)
        if why is None:
            RUNS.pop(call.context.run.id, None)
            call.context.run, call.state = earlier, earlier.state
            call.context.source = f"Flow run {earlier.name!r}"
            self._say_above(
                call, f"Subflow run {earlier.name!r} was completed in attempt {attempt}; its result is used"
            )
            return True
        self._say_above(call, _again("Subflow run", earlier, attempt, why))
        if not earlier.state.is_completed() and (earlier.state.type in FINAL or waits_for_process(earlier)):
            clock = call.runtime.clock
            question = Reopen(earlier.id, self.who, clock.now(), call.runtime.holder)
            try:
                reopened: Reopened = yield from Ask(call.runtime.ledger, question)
            except TransitionRefused as error:
                self._say_above(call, f"{error} A new run is begun.")
            else:
                adopt(call, Replay(reopened))
        return False

    def _say_above(self, call: FlowCall, message: str) -> None:
        assert call.parent is not None
        say(call.parent.flow_context or call.parent, INFO, message)

    def entering(self, context: FlowRunContext, first: State[Any]) -> Enter:
        """The question by which the run begins anew: it is in the record already."""
        run = context.run
        run.run_count = self.attempts + (not first.is_final())
        name = "Running" if self.resumed else "Retrying"
        state = first if first.is_final() else make(name, first.timestamp)
        facts = Facts(epoch_of_writer=run.epoch)
        return Enter(run.id, state, facts, run.run_count, None, run.deadline, labels=traced(context))

    def say_begun(self, context: FlowRunContext, kind: str) -> None:
        """What the log says when the run was entered again."""
        run = context.run
        verb = "Resuming" if self.resumed else "Retrying"
        message = f"{verb} {kind} {run.name!r} of flow {run.flow_name!r}, attempt {run.run_count}"
        say(context, INFO, f"{message}: asked for by {self.who}", ENGINE)
        for note in self.notes:
            say(context, WARNING, note)


def traced(context: FlowRunContext) -> dict[str, str] | None:
    """The run's labels, which name its trace, where it has one."""
    return None if context.trace is None else context.run.labels


def begin(call: TaskCall) -> None:
    """A task is called: its run begins, or, in a flow run that was entered again, an earlier one may stand for it."""
    flow = call.context.flow_context
    if flow is None or flow.replay is None:
        announce(call)
    else:
        flow.replay.begin(call)


def decide(call: TaskCall) -> bool:
    """Whether an earlier run stands for this call, whose arguments are known now; else it begins as a new one."""
    flow = call.context.flow_context
    assert flow is not None
    assert flow.replay is not None
    return flow.replay.decide(call)


def announce(call: TaskCall) -> None:
    """Says that a task's run was created; and reports it, unless it begins at once, which is reported then."""
    context = call.context
    flow = context.flow_context
    message = f"Created task run {context.run.name!r} for task {call.task.name!r}"
    if flow is None:
        say(context, INFO, message, ENGINE, moment=context.run.created)
    else:
        say(flow, INFO, message, moment=context.run.created, shown=context.collapsed)
    if call.needs or call.upstream or call.task.cache_policy is not None:
        call.runtime.ledger.write(context.run)
    else:
        call.unreported = True


def earlier_runs(call: FlowCall) -> list[FlowRun]:
    """For a subflow of a run that was entered again: the runs that earlier attempts had in its place."""
    above = None if call.parent is None else call.parent.flow_context
    return [] if above is None or above.replay is None else above.replay.place_subflow(call)


def subflow(call: FlowCall) -> Generator[Effect[Any], Any, bool]:
    """Whether an earlier run stands for this call of a flow; one that did not complete is entered again."""
    above = None if call.parent is None else call.parent.flow_context
    if above is None or above.replay is None or not call.earlier:
        return False
    return (yield from above.replay.subflow(call))


def adopt(call: FlowCall, replay: Replay) -> None:
    """The call goes on with a run that is in the record, instead of a new one."""
    context, run = call.context, replay.run
    RUNS.pop(context.run.id, None)
    run.parameters = context.run.parameters
    context.run, context.replay = run, replay
    context.source = f"Flow run {run.name!r}"
    context.begin_at(replay.first_seq, {name: count(number) for name, number in replay.numbers.items()})
    call.state = run.state
    RUNS[run.id] = context


def _key(run: TaskRun) -> str:
    """Runs are numbered by their task's name, which several tasks may have, as several may have a function."""
    return f"{run.task_key} {run.task_name}"


def _asker(run: FlowRun) -> str:
    """Who asked for the retry; since then a worker may have claimed the run."""
    asked = (state.details["who"] for state in reversed(run.states) if state.details and "who" in state.details)
    return str(next(asked, "somebody"))


def _was_resumed(run: FlowRun) -> bool:
    """Whether the run is entered again because it was resumed, and not to be tried again."""
    states = (state for state in reversed(run.states) if state.type is SCHEDULED)
    return next((state.name == RESUMING for state in states), False)


def _attempts(run: FlowRun) -> tuple[list[Any], list[bool]]:
    """The beginnings of a run's attempts, and for each whether the run had been entered again by then."""
    begun, reentered = [], []
    again = resumed = False
    for before, state in zip((None, *run.states), run.states, strict=False):
        again = again or (before is not None and before.type in FINAL and state.type is SCHEDULED)
        resumed = resumed or state.name == RESUMING
        if state.type is RUNNING:
            if not is_same_attempt(state):
                again = again or resumed
                begun.append(state.timestamp)
                reentered.append(again)
            resumed = False
    return begun or [run.created], reentered or [False]


def _best(runs: list[Run]) -> Run | None:
    """Of the runs at one place the latest that completed, else the latest."""
    return next((run for run in reversed(runs) if run.state.is_completed()), runs[-1] if runs else None)


def _unlike(run: TaskRun | FlowRun, version: str | None, parameters: dict[str, str]) -> str | None:
    """Why a run cannot stand for a call with these arguments; None when it can, if its result is there."""
    if not run.state.is_completed():
        return f"it is {run.state_name}"
    before = run.task_version if isinstance(run, TaskRun) else run.flow_version
    if before != version:
        return f"its version was {before!r} and is {version!r} now"
    if run.parameters != parameters:
        names = [name for name in (run.parameters | parameters) if run.parameters.get(name) != parameters.get(name)]
        name = names[0]
        was, now = run.parameters.get(name, "nothing"), parameters.get(name, "nothing")
        return f"its argument {name!r} was {was} and is {now} now"
    return None


def _again(kind: str, run: TaskRun | FlowRun, attempt: int, why: str) -> str:
    if run.state.is_completed():
        return f"{kind} {run.name!r} was completed in attempt {attempt}, and is run again: {why}"
    return f"{kind} {run.name!r} was {run.state_name} in attempt {attempt}; it is run again"


def _resolved(call: TaskCall) -> dict[str, Any] | None:
    """The arguments with the values of upstream runs in their places; None where one did not complete."""
    try:
        args = [resolve(value) for value in call.args]
        kwargs = {name: resolve(value) for name, value in call.kwargs.items()}
        if call.wait_for is not None:
            resolve(call.wait_for)
        return bind(call.task, args, kwargs)
    except Exception:  # it is told, and recorded, when the run begins
        return None

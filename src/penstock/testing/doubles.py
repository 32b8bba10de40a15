"""What stands for the code of runs in a test: a stub in the place of a function, or something that goes wrong.

Law: the engine does not know that it is a test. What is to happen is made to happen by the same ways as in earnest: an
exception is raised, a limit passes, a person cancels, a pause is answered.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from .. import connect, flow_runs
from ..domain.accounts import Asker, Role
from ..domain.errors import CrashedRun, DefinitionError, NotPausedError
from ..domain.pauses import Pause
from ..domain.stops import SHUTDOWN, Stop
from ..engine.clock import Clock
from ..engine.context import FlowRunContext, RunContext, TaskRunContext
from ..flows.pausing import resume_now
from ..flows.run_inputs import jsonable
from ..protocol.flow_runs import APPROVE_FLOW_RUN, REJECT_FLOW_RUN, RejectRun, ResumeRun
from ..settings import current

# For how long code waits for the stop that it has asked for itself.
STOP_SECONDS = 30.0
Code = Callable[..., Any]


class Crash(BaseException):
    """Raised by a flow that a test has crash: what comes after it would not have run."""


class Happening:
    """Something that befalls runs of one flow or task, `times` times (None: each time)."""

    def __init__(
        self, target: Any, times: Any, code: Callable[[RunContext[Any], Code, bool], Code], within: Any = None
    ) -> None:
        if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
            raise ValueError(f"times is a whole number, 1 or more, or None; it is {times!r}.")
        self.target = target
        self.left = times
        self.code = code
        self.happened = 0
        self._within = within

    def befalls(self, context: RunContext[Any]) -> bool:
        if self.left == 0 or not is_of(context, self.target):
            return False
        return self._within is None or above(context, self._within) is not None

    def happens(self) -> None:
        self.happened += 1
        if self.left is not None:
            self.left -= 1


def is_of(context: RunContext[Any], target: Any) -> bool:
    """Whether a run is of this flow or task: the object, its name, or the run's own name."""
    definition: Any = context.flow if isinstance(context, FlowRunContext) else _task_of(context)
    if isinstance(target, str):
        return target in (definition.name, context.run.name)
    fn, meant = definition.fn, getattr(target, "fn", target)
    return fn is meant or getattr(fn, "func", fn) is meant  # (of a method, for its instance)


def above(context: RunContext[Any], target: Any) -> RunContext[Any] | None:
    """The run, or the nearest above it, that is of this flow or task."""
    each: RunContext[Any] | None = context
    while each is not None and not is_of(each, target):
        each = each.parent
    return each


def _task_of(context: RunContext[Any]) -> Any:
    assert isinstance(context, TaskRunContext)
    return context.task


def check_target(target: Any) -> Any:
    """Raises `TypeError` for what is neither a flow, nor a task, nor a name."""
    if not isinstance(target, str) and not callable(getattr(target, "fn", None)):
        raise TypeError(f"Say which runs by a flow, a task, or a name; not by {target!r:.80}.")
    return target


class Answer:
    """What a person will say to the pauses of a flow's runs, `after` so many seconds of the clock."""

    def __init__(self, target: Any, key: str | None, after: float, times: int | None, give: Callable[[Pause], Any]):
        self.target, self.key, self.after, self.left, self.give = target, key, after, times, give

    def fits(self, context: RunContext[Any], pause: Pause) -> bool:
        return self.left != 0 and is_of(context, self.target) and self.key in (None, pause.key)


class Doubles:
    """All that a test has prepared. (`engine.runtime.Double`)"""

    def __init__(self, clock: Clock, prepare: Callable[[Code], None]) -> None:
        self._clock = clock
        self._prepare = prepare
        self._happenings: list[Happening] = []
        self._answers: list[Answer] = []
        self._lock = threading.Lock()
        self.problems: list[BaseException] = []
        self.over = False

    def add(self, happening: Happening) -> Happening:
        with self._lock:
            self._happenings.append(happening)
        return happening

    def add_answer(self, answer: Answer) -> None:
        with self._lock:
            self._answers.append(answer)

    def code_of(self, context: RunContext[Any], fn: Code, awaits: bool) -> Code:
        """See `engine.runtime.Double`."""
        self._prepare(fn)
        with self._lock:
            found = next((each for each in self._happenings if each.befalls(context)), None)
            if found is None:
                return fn
            found.happens()
        return found.code(context, fn, awaits)

    def waits(self, context: RunContext[Any], pause: Pause) -> None:
        """See `engine.runtime.Double`."""
        with self._lock:
            found = next((each for each in self._answers if each.fits(context, pause)), None)
            if found is None:
                return
            if found.left is not None:
                found.left -= 1
        self._clock.after(found.after, lambda: self._say(found, pause, context))

    def _say(self, answer: Answer, pause: Pause, context: RunContext[Any]) -> None:
        """In a timer's thread, where nobody would see what goes wrong: the harness says so at its end, and the run does
        not wait any more for what will not come."""
        if self.over:
            return
        try:
            answer.give(pause)
        except NotPausedError:  # its time was over before
            return
        except Exception as error:
            self.problems.append(error)
            context.halt(Stop(SHUTDOWN, f"What the test had prepared could not be answered: {error}", "test_harness"))


# --- code ------------------------------------------------------------------------------------------------------------


def stub(given: Any, error: BaseException | type[BaseException] | None, function: Code | None) -> Any:
    """Code that returns something, raises something, or calls another function with the run's arguments."""

    def code(context: RunContext[Any], fn: Code, awaits: bool) -> Code:
        def answer(*args: Any, **kwargs: Any) -> Any:
            if error is not None:
                raise error
            return given if function is None else function(*args, **kwargs)

        async def answer_later(*args: Any, **kwargs: Any) -> Any:
            found = answer(*args, **kwargs)
            return await found if inspect.isawaitable(found) else found

        def items(*args: Any, **kwargs: Any) -> Any:
            yield from answer(*args, **kwargs)

        async def items_later(*args: Any, **kwargs: Any) -> Any:
            for item in answer(*args, **kwargs):
                yield item

        if inspect.isasyncgenfunction(fn):
            return items_later
        if inspect.isgeneratorfunction(fn):
            return items
        return answer_later if awaits else answer

    return code


def timing_out(context: RunContext[Any], fn: Code, awaits: bool) -> Code:
    """Code that is at work when its time is over."""
    scope = context.scope
    if scope is None or scope.deadline is None:
        raise DefinitionError(f"{context.source} has no timeout_seconds: it cannot time out.")

    def pass_by() -> None:
        scope.deadline = context.runtime.clock.monotonic()
        scope.check_limits()

    return _stopped_by(pass_by, awaits)


def cancelled(of: Any) -> Callable[[RunContext[Any], Code, bool], Code]:
    """Code during which somebody cancels the run, or the flow run above it that is `of` this flow."""

    def code(context: RunContext[Any], fn: Code, awaits: bool) -> Code:
        each = above(context, of)
        assert each is not None
        cancel = flow_runs.cancel_flow_run if isinstance(each, FlowRunContext) else flow_runs.cancel_task_run
        return _stopped_by(lambda: cancel(each.run.id, wait=False), awaits)

    return code


def crashing(context: RunContext[Any], fn: Code, awaits: bool) -> Code:
    """Code whose process is gone. A task's flow goes on, as it does when the process of a task alone is gone."""

    def crash() -> None:
        if isinstance(context, FlowRunContext):
            raise Crash(f"{context.source} crashed, as the test has it.")
        error = CrashedRun(
            f"The process of {context.source[0].lower()}{context.source[1:]} is gone, as the test has it."
        )
        error.task_run_id = context.run.id
        raise error

    return stub(None, None, lambda *args, **kwargs: crash())(context, fn, awaits)  # type: ignore[no-any-return]


def _stopped_by(request: Callable[[], Any], awaits: bool) -> Code:
    """Code that asks for a stop and waits until it is stopped."""

    def wait(*args: Any, **kwargs: Any) -> None:
        request()
        threading.Event().wait(STOP_SECONDS)

    async def wait_async(*args: Any, **kwargs: Any) -> None:
        await asyncio.to_thread(request)
        await asyncio.Event().wait()

    return wait_async if awaits else wait


# --- answers ---------------------------------------------------------------------------------------------------------


def resuming(run_input: Any, comment: str | None) -> Callable[[Pause], Any]:
    given = jsonable(run_input)
    return lambda pause: resume_now(pause.flow_run_id, given, comment)


def approving(run_input: Any, comment: str | None, by: str | None) -> Callable[[Pause], Any]:
    given = jsonable(run_input)

    def approve(pause: Pause) -> None:
        _decide(by, APPROVE_FLOW_RUN, ResumeRun(id=pause.flow_run_id, run_input=given, comment=comment))

    return approve


def rejecting(comment: str | None, by: str | None) -> Callable[[Pause], Any]:
    return lambda pause: _decide(by, REJECT_FLOW_RUN, RejectRun(id=pause.flow_run_id, comment=comment))


def _decide(by: str | None, operation: Any, argument: Any) -> None:
    """By whoever runs the test, or by a user of that name."""
    if by is None:
        connect.call(operation, argument)
        return
    desk = connect.desk(connect.local_ledger(current()).store)
    desk.asked_by(Asker(who=f"user {by}", user=by, role=Role.OPERATOR)).answer(operation, argument)


def seconds_of(after: float | timedelta) -> float:
    """Raises `ValueError` for what is no time to come."""
    seconds = after.total_seconds() if isinstance(after, timedelta) else float(after)
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"after is how many seconds later; it is {after!r}.")
    return seconds


def names(targets: Iterable[Any]) -> str:
    return ", ".join(getattr(each, "name", str(each)) for each in targets)

"""The script of a pause: from the moment when a flow run is to wait to the moment when it goes on.

A run waits at a *gate*: while there is one, no task and no subflow of the run begins; what had begun goes on. Who asked
for the pause (the run's own code, or a task that came to a gate which somebody outside had put up) performs it, and
takes the gate away.

Law: nothing is waited for but a word: that the pause was answered, that its time is over, or that the run is to stop.
Time limits do not count meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ..domain.errors import FlowPauseTimeout, PenstockError, RunSuspended
from ..domain.events import EventMatch
from ..domain.pauses import NEVER_RESUMED, SUSPENDED, WAITS_FOR, OnTimeout, Outcome, Pause, going_on, waiting
from ..domain.rules import Facts
from ..domain.states import State, make
from ..domain.stops import Signal
from ..ledger.awaited import Awaited
from ..ledger.contract import BeginPause, Enter, TakeAnswer
from . import attempts
from .attempts import INFO, WARNING
from .context import FlowRunContext, RunContext
from .effects import Ask, Call, Join, Script
from .gates import Gate, Suspending
from .runlog import say
from .scopes import Scope
from .stopping import StopDelivered

if TYPE_CHECKING:
    from .task_run import TaskCall

Check = Callable[[Any], Any]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for with a pause: `timeout` in seconds (None: for ever); `check` makes of an answer's input what
    the code gets, or raises what is wrong with it."""

    key: str
    timeout: float | None = None
    who: str | None = None
    text: str | None = None
    schema: dict[str, Any] | None = None
    plain: bool = False
    initial: Any = None
    on_timeout: OnTimeout = OnTimeout.FAIL
    default: Any = None
    check: Check | None = None
    approval: bool = False
    approvers: tuple[str, ...] = ()
    quorum: int = 1
    event: EventMatch | None = None
    # told when the run waits, with its pause, and again every so many seconds
    tell: Callable[[Pause], Any] | None = None
    tell_every: float | None = None


# --- in the process --------------------------------------------------------------------------------------------------


def check_call(parent: RunContext[Any] | None) -> None:
    """A flow's code calls a task or a flow: where its run is to be suspended, that is now."""
    if not isinstance(parent, FlowRunContext) or parent.gate is None:
        return
    wanted = parent.gate.wanted
    if wanted is not None and parent.gate.suspends:
        wish = _wish_of(wanted)
        raise Suspending(_pause(parent, wish, suspended=True))


def is_held(flow: FlowRunContext | None) -> bool:
    """Whether a task or subflow of this run has to wait before it begins."""
    return flow is not None and flow.gate is not None and not flow.gate.suspends


def admitted(context: RunContext[Any], flow: FlowRunContext, scope: Scope) -> Script[None]:
    """Waits before the gate of the run that a task or subflow is of; or performs the pause that it was put up for."""
    while is_held(flow):
        gate = flow.gate
        assert gate is not None
        wanted = gate.claim()
        if wanted is None:
            yield from Join([gate.opened], scope)
        else:
            yield from _perform(context, flow, gate, _wish_of(wanted), scope)


def let_in(call: TaskCall, flow: FlowRunContext, end_stopped: Callable[..., Any]) -> Script[bool]:
    """`admitted` for a task run; False when it was stopped meanwhile. (How it ends then, its script knows.)"""
    scope = attempts.open_scope(call.context)
    try:
        yield from admitted(call.context, flow, scope)
    except StopDelivered as stopped:
        end_stopped(call, scope, stopped)
        return False
    finally:
        scope.close()
    return True


def _wish_of(wanted: Signal) -> Wish:
    return Wish(key=f"{wanted.kind} {wanted.at.isoformat()}", timeout=wanted.grace, who=wanted.who)


# --- pauses ----------------------------------------------------------------------------------------------------------


class Answered(NamedTuple):
    """What a pause came to, and what the code gets of its input."""

    pause: Pause
    value: Any


def pause(context: RunContext[Any], flow: FlowRunContext, wish: Wish) -> Script[Answered]:
    """Has a flow run wait, for its code or that of a task of it.

    Raises `FlowPauseTimeout`, and `TransitionRefused` where the run cannot be paused.
    """
    scope = Scope(context.scope, context.runtime.clock)
    try:
        while flow.gate is not None and flow.gate.wanted is None:  # of another task, or thread
            yield from Join([flow.gate.opened], scope)
        gate = flow.gate = Gate()  # in the place of one that somebody outside asked for: the run waits now
        return (yield from _perform(context, flow, gate, wish, scope))
    finally:
        scope.close()


def _perform(context: RunContext[Any], flow: FlowRunContext, gate: Gate, wish: Wish, scope: Scope) -> Script[Answered]:
    lifted = attempts.lift_limits(context)
    runtime = context.runtime
    begun: Pause | None = None
    try:
        made = _pause(flow, wish, suspended=False)
        begun = yield from Ask(runtime.ledger, BeginPause(made, flow.run.epoch, made.begun))
        if begun.answer is None:
            _enter(flow, waiting(begun, made.begun))
            say(flow, INFO, f"Pausing flow, execution will continue when {_when(wish)}.")
            yield from _tell(context, wish, begun, scope)
            if runtime.double is not None:
                runtime.double.waits(flow, begun)
        begun, value = yield from _answer(context, flow, gate, begun, wish, scope, attempts.left_of(lifted, flow))
    except GeneratorExit:  # nobody performs this script any more
        raise
    except BaseException:
        if begun is not None and begun.answer is None and (flow.scope is None or flow.scope.stop is None):
            yield from _withdraw(flow, begun)
        raise
    finally:
        attempts.limit_again(lifted)
        flow.gate = None
        gate.opened.happen()
    assert begun.answer is not None
    if begun.answer.outcome in (Outcome.EXPIRED, Outcome.WITHDRAWN):
        raise FlowPauseTimeout(NEVER_RESUMED)
    return Answered(begun, value)


def _when(wish: Wish) -> str:
    return f"this flow run is {_word(wish)}" if wish.event is None else f"event {wish.event.event!r} happens"


def _word(wish: Wish) -> str:
    return "approved" if wish.approval else "resumed"


def _tell(context: RunContext[Any], wish: Wish, pause: Pause, scope: Scope) -> Script[None]:
    """Tells whoever is asked. What goes wrong with that is a warning, and no reason not to wait."""
    if wish.tell is None:
        return
    inner = Scope(scope, scope.clock)
    try:
        yield from Call(wish.tell, (pause,), None, context, inner)
    except Exception as error:
        say(context, WARNING, f"Nobody could be told that the flow run waits: {attempts.describe(error)}")
    finally:
        inner.close()


def _answer(
    context: RunContext[Any], flow: FlowRunContext, gate: Gate, pause: Pause, wish: Wish, scope: Scope,
    left: float | None,
) -> Script[tuple[Pause, Any]]:  # fmt: skip
    """The pause with its answer, and what the code gets of it."""
    runtime, epoch = context.runtime, flow.run.epoch
    remind_at = runtime.clock.monotonic() + (wish.tell_every or 0.0)
    while True:
        if pause.answer is not None:  # of an earlier attempt: the run did not wait
            return pause, (yield from _checked(context, wish, pause, scope))
        gate.told = Awaited()
        now = runtime.clock.now()
        stands: Pause = yield from Ask(runtime.ledger, TakeAnswer(pause.id, epoch, now))
        if stands.answer is None:
            left_seconds = None if stands.deadline is None else max((stands.deadline - now).total_seconds(), 0.0)
            if wish.tell_every is not None and wish.tell is not None:
                again = max(remind_at - runtime.clock.monotonic(), 0.0)
                if again == 0.0:
                    yield from _tell(context, wish, stands, scope)
                    remind_at = runtime.clock.monotonic() + wish.tell_every
                    continue
                left_seconds = again if left_seconds is None else min(left_seconds, again)
            timer = None if left_seconds is None else runtime.clock.after(left_seconds, gate.told.happen)
            try:
                yield from Join([gate.told], scope)
            finally:
                if timer is not None:
                    timer.cancel()
            continue
        value: Any = None
        problem: str | None = None
        if stands.answer.outcome is Outcome.RESUMED:
            try:
                value = yield from _checked(context, wish, stands, scope)
            except Exception as error:
                problem = attempts.describe(error)
        now = runtime.clock.now()
        deadline = None if left is None else now + timedelta(seconds=left)
        taken: Pause = yield from Ask(
            runtime.ledger,
            TakeAnswer(pause.id, epoch, now, goes_on=True, deadline=deadline, problem=problem),
        )
        if problem is not None and taken.answer is None:
            _enter(flow, waiting(taken, now))
            say(flow, WARNING, f"The input that the flow run was resumed with cannot be used: {problem}")
            continue
        _enter(flow, going_on(taken, now))
        if problem is None and stands.answer.outcome is not Outcome.EXPIRED:
            how = "rejected" if stands.answer.outcome is Outcome.REJECTED else _word(wish)
            say(flow, INFO, f"Resuming flow run execution: {how} by {stands.answer.who}")
        return taken, value


def _checked(context: RunContext[Any], wish: Wish, pause: Pause, scope: Scope) -> Script[Any]:
    """What the code gets of an answer: its author's types say whether it can be used."""
    answer = pause.answer
    given = None if answer is None else answer.input
    if wish.check is None or answer is None or answer.outcome is not Outcome.RESUMED:
        return given
    inner = Scope(scope, scope.clock)
    try:
        return (yield from Call(wish.check, (given,), None, context, inner))
    finally:
        inner.close()


def _withdraw(flow: FlowRunContext, pause: Pause) -> Script[None]:
    """Who waited does not wait any more, and the run goes on."""
    runtime = flow.runtime
    now = runtime.clock.now()
    try:
        ended: Pause = yield from Ask(
            runtime.ledger, TakeAnswer(pause.id, flow.run.epoch, now, goes_on=True, withdrawn=True)
        )
    except PenstockError:  # the run has ended meanwhile, and is no more ours
        return
    _enter(flow, going_on(ended, now))


def _pause(flow: FlowRunContext, wish: Wish, *, suspended: bool) -> Pause:
    clock = flow.runtime.clock
    now = clock.now()
    return Pause(
        id=clock.new_id(),
        flow_run_id=flow.run.id,
        key=wish.key,
        begun=now,
        deadline=None if wish.timeout is None else now + timedelta(seconds=wish.timeout),
        suspended=suspended,
        who=wish.who,
        text=wish.text,
        schema=wish.schema,
        plain=wish.plain,
        initial=wish.initial,
        on_timeout=wish.on_timeout,
        default=wish.default,
        approval=wish.approval,
        approvers=wish.approvers,
        quorum=wish.quorum,
        event=wish.event,
    )


def _enter(flow: FlowRunContext, state: State[Any]) -> None:
    """What the record has said is taken over."""
    run = flow.run
    run.states, run.version = (*run.states, state), run.version + 1
    if flow.trace is not None:
        flow.trace.entered(state)


# --- suspending ------------------------------------------------------------------------------------------------------


def suspend(context: RunContext[Any], flow: FlowRunContext, wish: Wish) -> Script[Answered]:
    """Has a flow run's code left, for its own code; where it was answered since, gives that instead."""
    made = _pause(flow, wish, suspended=True)
    stands: Pause = yield from Ask(context.runtime.ledger, BeginPause(made, flow.run.epoch, made.begun, look=True))
    scope = Scope(context.scope, context.runtime.clock)
    try:
        if stands.answer is None:
            yield from _tell(context, wish, made, scope)
            raise Suspending(made)
        return Answered(stands, (yield from _checked(context, wish, stands, scope)))
    finally:
        scope.close()


def suspended(flow: FlowRunContext, leaving: Suspending) -> Script[State[Any]]:
    """The code was left, and nothing of the run is at work: the record says so. The state that the run is in then."""
    runtime, run = flow.runtime, flow.run
    now = runtime.clock.now()
    if leaving.pause.flow_run_id == run.id:
        begun: Pause = yield from Ask(runtime.ledger, BeginPause(leaving.pause, run.epoch, now))
        state = waiting(begun, now)
    else:
        below = leaving.pause.flow_run_id
        details = {WAITS_FOR: str(below)}
        state = make(SUSPENDED, now, message=f"Its subflow run {below} is suspended.", details=details)
        facts = Facts(epoch_of_writer=run.epoch)
        yield from Ask(runtime.ledger, Enter(run.id, state, facts, run.run_count))
    _enter(flow, state)
    return state


def error_of(context: FlowRunContext) -> RunSuspended:
    """What the program that called the flow gets to see."""
    run = context.run
    return RunSuspended(f"Flow run {run.name!r} is suspended: `penstock flow-run resume {run.id}` continues it.")

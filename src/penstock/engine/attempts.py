"""What one attempt of any run has to settle, a flow's and a task's alike: states for its ends, hooks, delays, texts."""

from __future__ import annotations

import os
import random
import traceback
from collections.abc import Callable, Generator, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..domain.errors import (
    CancelledRun,
    FlowPauseTimeout,
    FlowRunTimeoutError,
    RunSuspended,
    ServerRefusedError,
    ServerUnavailableError,
    TaskRunTimeoutError,
)
from ..domain.states import EndedState, State, make, value_of
from ..domain.stops import CANCEL, IDLE, INTERRUPT, SHUTDOWN, TIMEOUT, Stilled, Stop, details_of, time_limit
from . import live
from .context import KILL_SECONDS, RunContext
from .definitions import Definition, Hook
from .effects import Call, Effect
from .gates import Suspending
from .masking import MASKER
from .runlog import say
from .scopes import Scope
from .stopping import StopDelivered

OURS = str(Path(__file__).parent.parent)
ERROR, WARNING, INFO = 40, 30, 20
# How long after a deadline somebody outside closes the record: later than the engine would, and within 0.1 s.
GUARD_SECONDS = 0.08


class RunCall:
    """One call of a flow or a task: what it came to. Its script sets these."""

    __slots__ = ("error", "state", "value")
    error: BaseException | None
    state: State[Any]
    value: Any

    def outcome(self) -> Any:
        """The value, or the exception, for the one who made the call."""
        if self.error is not None:
            raise self.error
        return self.value if self.state.is_completed() else value_of(self.state)

    def final_state(self) -> State[Any]:
        """The state with its value or exception in it. (Who called a flow that is suspended is left as well.)"""
        if isinstance(self.error, Suspending):
            raise self.error
        data = self.error if isinstance(self.error, Exception) and self.value is None else self.value
        context: RunContext[Any] = self.context  # type: ignore[attr-defined]  # each kind has its own
        state, (flow_run, task_run) = self.state, context.stored_under()
        return EndedState(
            state.type, state.name, state.timestamp, state.message, state.details, state.data if data is None else data,
            flow_run, task_run,
        )  # fmt: skip


def open_scope(context: RunContext[Any]) -> Scope:
    """A scope for what the run does next. A request to stop the run finds it, or has come before and is found here."""
    if live.begins is not None:
        live.begins(context)
    parent = None if context.detached else context.parent
    scope = Scope(None if parent is None else parent.scope, context.runtime.clock)
    context.scope = scope
    if context.halted is not None:
        scope.request(context.halted)
    return scope


def code_of(context: RunContext[Any], fn: Callable[..., Any], awaits: bool) -> Callable[..., Any]:
    """The author's function, or what stands for it in a test."""
    double = context.runtime.double
    return fn if double is None else double.code_of(context, fn, awaits)


def limit(context: RunContext[Any], scope: Scope, seconds: float, last: bool) -> None:
    """Limits what is done in `scope` to so many seconds. `last`: no further attempt follows, so the run itself ends."""
    scope.limit(seconds, time_limit(context.kind, seconds, context.run.name))
    _guard(context, scope, seconds, last)


def _guard(context: RunContext[Any], scope: Scope, seconds: float, last: bool) -> None:
    """Has the watchdog see to the scope's limit, which passes in so many seconds."""
    runtime, stop = context.runtime, scope.limiting
    record_in = seconds + GUARD_SECONDS if last else None
    kill_in = seconds + runtime.grace_of(stop)
    scope.guarded_by(runtime.watchdog.guard(context, stop, seconds, record_in, kill_in))


def suspend(scope: Scope) -> None:
    """No code is at work until the consumer of a generator comes back: nothing is there to be ended."""
    scope.suspended = True
    scope.release_guards()


def resume(context: RunContext[Any], scope: Scope) -> None:
    """The consumer has come back."""
    scope.suspended = False
    if scope.deadline is not None and scope.stop is None:
        _guard(context, scope, scope.deadline - context.runtime.clock.monotonic(), True)


class Lifted(NamedTuple):
    """A limit that does not count for a while, with what was left of it in seconds."""

    context: RunContext[Any]
    scope: Scope
    left: float


def lift_limits(context: RunContext[Any]) -> list[Lifted]:
    """Nobody's time counts while a run waits for a person: not its own, and not that of the runs above it."""
    lifted = []
    each: RunContext[Any] | None = context
    while each is not None:
        scope = each.scope
        if scope is not None and scope.deadline is not None and scope.stop is None:
            lifted.append(Lifted(each, scope, scope.deadline - each.runtime.clock.monotonic()))
            scope.lift_limit()
        each = each.parent
    return lifted


def limit_again(lifted: Iterable[Lifted]) -> None:
    """What was left of the limits counts from now on."""
    for context, scope, left in lifted:
        if not scope.closed and scope.stop is None:
            scope.limit(max(left, 0.0), scope.limiting)
            _guard(context, scope, max(left, 0.0), True)


def left_of(lifted: Iterable[Lifted], context: RunContext[Any]) -> float | None:
    """What is left of a run's own limit."""
    return next((each.left for each in lifted if each.context is context), None)


def last_scope(context: RunContext[Any]) -> Scope:
    """For code that comes to its end after its run was stopped: it has the grace for that."""
    scope = Scope(None, context.runtime.clock)
    grace = context.runtime.settings.stop_grace_seconds
    scope.limit(grace, Stop(TIMEOUT, f"it took more than {grace:g} second(s)"))
    return scope


def holds_program(context: RunContext[Any]) -> bool:
    """Whether code of the attempt goes on that the program cannot go on without: it is not tried again beside that."""
    return context.scope is not None and context.scope.holds_program


def stopped_state(context: RunContext[Any], scope: Scope, now: datetime) -> State[Any]:
    """The final state of an attempt whose scope was stopped. How its code was stopped is said in the run's log, too."""
    stop, proof = scope.stop, scope.proof()
    assert stop is not None
    run, ledger, attempt = context.run, context.runtime.ledger, context.run.run_count
    if not proof.confirmed:
        scope.late = lambda how, seconds: ledger.write(Stilled(run.id, attempt, how, seconds))
    if proof.stopped != IDLE:
        doubt = "" if proof.confirmed else ": its code goes on, and what it returns is discarded"
        where = f", was at {proof.where}" if proof.where else ""
        say(
            context,
            INFO if proof.confirmed else WARNING,
            f"Stopped after {proof.seconds:.3f} s ({proof.stopped}){where}{doubt}",
        )
    name = {TIMEOUT: "TimedOut", SHUTDOWN: "Crashed"}.get(stop.reason, "Cancelled")
    return make(name, now, message=stop.message, details=details_of(stop, proof))


def confirm_late(context: RunContext[Any], state: State[Any]) -> None:
    """To be called after a run's end was reported: the watchdog may have closed the record while the code was on its
    way to its end, of which it could not know."""
    details = state.details
    if details and details.get("confirmed") and details.get("reason") == TIMEOUT:
        run, stack = context.run, tuple(details.get("stack", ()))
        stilled = Stilled(
            run.id, run.run_count, details["stopped"], details["seconds_to_stop"], details.get("where"), stack
        )
        context.runtime.ledger.write(stilled)


def stopped_error(scope: Scope, kind: str) -> BaseException | None:
    """What the caller of a stopped run gets to see; None when the stop is only passing through on its way up."""
    stop = scope.stop
    if stop is None:
        return None
    if stop.reason == INTERRUPT:
        return KeyboardInterrupt()
    if stop.reason == CANCEL:
        return CancelledRun(f"{kind} was cancelled: {stop.message}")
    if stop.reason != TIMEOUT:
        return None
    error = FlowRunTimeoutError if kind == "Flow run" else TaskRunTimeoutError
    return error(stop.message)


def error_of(state: State[Any]) -> BaseException | None:
    """The exception that a state carries."""
    error = value_of(state, raise_on_failure=False)
    return error if isinstance(error, BaseException) else None


def ended(returned: State[Any], kind: str, now: datetime) -> State[Any]:
    """A state that code returned, which must be an end."""
    if returned.is_final():
        if type(returned) is State:
            return returned
        # (Of another run, which does not matter any more.)
        return State(
            returned.type, returned.name, returned.timestamp, returned.message, returned.details, returned.data
        )
    return make("Failed", now, message=f"{kind} returned the state {returned}, which is not an end.")


def failed_state(kind: str, error: BaseException, now: datetime) -> State[Any]:
    """The final state of an attempt whose code raised."""
    if isinstance(error, FlowPauseTimeout):
        return make("Failed", now, message=str(error))
    return make("Failed", now, message=f"{kind} encountered an exception: {describe(error)}")


def aborted_state(error: BaseException, now: datetime) -> State[Any]:
    """The final state of a run that was torn down by something that is not an Exception."""
    if isinstance(error, SystemExit):
        details = {"exit_code": error.code if isinstance(error.code, int | None) else str(error.code)}
        return make("Crashed", now, message=f"Execution was aborted by sys.exit({error.code!r}).", details=details)
    if isinstance(error, KeyboardInterrupt):
        return make("Cancelled", now, message="Interrupted by Ctrl-C.", details={"reason": "interrupt"})
    if isinstance(error, Suspending):
        return make("Cancelled", now, message="Its flow was suspended: it is run again when that is resumed.")
    if type(error).__name__ == "CancelledError":
        message = "The asyncio task that the run was in was cancelled."
        return make("Cancelled", now, message=message, details={"reason": "asyncio"})
    return make("Crashed", now, message=f"Execution was aborted by {describe(error)}.")


def describe(error: BaseException) -> str:
    """`ValueError: boom`, at most 2,000 characters; an exception whose own text fails is named all the same."""
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be had)"
    name = type(error).__name__
    return MASKER.head(f"{name}: {text}" if text else name, 2000)


def report_failure(context: RunContext[Any], error: BaseException, then: str) -> None:
    """An ERROR line with the user's traceback; an error that was reported by the run below is not spelled out again."""
    message = f"{context.kind} failed with exception: {_repr(error)}{then}"
    if getattr(error, "__penstock_reported__", False):
        say(context, ERROR, message)
        return
    say(context, ERROR, f"{message}\n{user_traceback(error)}")
    try:
        error.__penstock_reported__ = True  # type: ignore[attr-defined]
    except AttributeError:
        return


def _repr(error: BaseException) -> str:
    try:
        return MASKER.head(repr(error), 2000)
    except Exception:
        return type(error).__name__


def user_traceback(error: BaseException) -> str:
    """The traceback without the engine's own frames."""
    report = traceback.TracebackException.from_exception(error)
    part: traceback.TracebackException | None = report
    while part is not None:
        part.stack[:] = [frame for frame in part.stack if not frame.filename.startswith(OURS)]
        part = part.__cause__ or part.__context__
    return "".join(report.format()).rstrip()


def without_ours(error: BaseException) -> BaseException:
    """The exception with a traceback of user code only: what lies between a flow and its task is not their affair.

    An error without user code in it is ours, and shown whole, unless it only says how a run was ended, or that a server
    lets none begin; with PENSTOCK_INTERNAL_DEBUG set every one is.
    """
    if os.environ.get("PENSTOCK_INTERNAL_DEBUG"):
        return error
    kept = []
    entry = error.__traceback__
    while entry is not None:
        if not entry.tb_frame.f_code.co_filename.startswith(OURS):
            kept.append(entry)
        entry = entry.tb_next
    for place, one in enumerate(kept):
        one.tb_next = kept[place + 1] if place + 1 < len(kept) else None
    if not kept:
        return error.with_traceback(None) if isinstance(error, _TIDINGS) else error
    return error.with_traceback(kept[0])


# These say how a run was ended, or why it did not begin. Where they were made tells nothing; where the code was, the
# log says.
_TIDINGS = (
    KeyboardInterrupt,
    FlowRunTimeoutError,
    TaskRunTimeoutError,
    CancelledRun,
    FlowPauseTimeout,
    RunSuspended,
    ServerRefusedError,
    ServerUnavailableError,
)


def retry_delay(definition: Definition, attempt: int, default: float, jitter: float | None = None) -> float:
    """Seconds until the attempt after number `attempt` (1, 2, …): from a number, a list (its last entry for all
    further ones), or a function of the number of retries to one of these."""
    delay: Any = definition.retry_delay_seconds
    if callable(delay):
        delay = delay(definition.retries or 0)
    if isinstance(delay, list | tuple):
        delay = delay[min(attempt, len(delay)) - 1] if delay else 0.0
    seconds = float(default if delay is None else delay)
    if jitter:
        seconds *= 1 + jitter * random.uniform(-1, 1)
    return max(seconds, 0.0)


def call_hooks(
    context: RunContext[Any], definition: Definition, hooks: Iterable[Hook], state: State[Any]
) -> Generator[Effect[Any], Any, None]:
    """Calls the author's functions for a state, in their order. One that raises, or takes too long, is reported in the
    run's log, and changes nothing."""
    attempt = context.scope
    # What the author called it with; the record has what people are shown of that.
    run = msgspec.structs.replace(context.run, parameters=context.parameters)
    for hook in hooks:
        name = getattr(hook, "__name__", type(hook).__name__)
        say(context, INFO, f"Running hook {name!r} in response to entering state {state.name!r}")
        scope = _hook_scope(context, bool(state.details and "stopped" in state.details))
        try:
            yield from Call(hook, (definition, run, state), None, context, scope, is_async(hook))
        except StopDelivered:
            why = "was stopped" if scope.stop is None else scope.stop.message
            say(context, ERROR, f"Hook {name!r} failed: {why} {_place(scope)}".rstrip())
        except Exception as error:
            say(context, ERROR, f"Hook {name!r} failed: {_repr(error)}\n{user_traceback(error)}")
        else:
            say(context, INFO, f"Hook {name!r} finished running successfully")
        finally:
            scope.close()
    end_if_held(context, attempt)


def end_if_held(context: RunContext[Any], attempt: Scope | None) -> None:
    """All is done that was to be done for a run: the program need not wait for code of it that goes on."""
    if attempt is not None and attempt.holds_program and attempt.stop is not None and attempt.stop.reason != TIMEOUT:
        since = context.runtime.clock.monotonic() - attempt.requested_at
        attempt.guarded_by(context.runtime.watchdog.guard(context, attempt.stop, -since, None, KILL_SECONDS))


def _hook_scope(context: RunContext[Any], stopped: bool) -> Scope:
    """Hooks of a run that was stopped are not stopped with it; but none may keep a run from its end for ever."""
    scope = context.scope = Scope(None, context.runtime.clock)
    settings, halted = context.runtime.settings, context.halted
    seconds, grace = settings.hooks_timeout_seconds, settings.stop_grace_seconds
    if halted is not None and halted.grace is not None:
        grace = halted.grace
    if stopped:
        seconds = min(seconds or grace, grace)
    if seconds:
        stop = Stop(TIMEOUT, f"it took more than {seconds:g} second(s)")
        guard = context.runtime.watchdog.guard(context, stop, seconds, None, seconds + grace)
        if guard is not None:
            guard.recorded()  # the hook is limited, and not its run
            scope.guarded_by(guard)
        scope.limit(seconds, stop)
    return scope


def _place(scope: Scope) -> str:
    return f"(was at {scope.where})" if scope.where else ""


def is_async(fn: Any) -> bool:
    """Whether calling `fn` gives a coroutine."""
    while hasattr(fn, "func"):  # functools.partial
        fn = fn.func
    code = getattr(fn, "__code__", None) or getattr(getattr(fn, "__call__", None), "__code__", None)  # noqa: B004
    return bool(code is not None and code.co_flags & 0x80)

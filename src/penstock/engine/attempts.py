"""What one attempt of any run has to settle, a flow's and a task's alike: states for its ends, hooks, delays, texts."""

from __future__ import annotations

import os
import random
import traceback
from collections.abc import Generator, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from ..domain.errors import FlowRunTimeoutError, TaskRunTimeoutError
from ..domain.states import State, make
from .context import RunContext
from .definitions import Definition, Hook
from .effects import Call, Effect
from .runlog import say
from .stopping import Scope, Stop

OURS = str(Path(__file__).parent.parent)
ERROR, WARNING, INFO = 40, 30, 20


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
        return self.value if self.state.is_completed() else self.state.result()

    def final_state(self) -> State[Any]:
        """The state with its value or exception in it."""
        data = self.error if isinstance(self.error, Exception) else self.value
        return self.state if data is None else msgspec.structs.replace(self.state, data=data)


def time_limit(kind: str, seconds: float) -> Stop:
    """The stop that a passed `timeout_seconds` is."""
    return Stop("timeout", f"{kind} exceeded timeout of {seconds} second(s)")


def stopped_state(scope: Scope, now: datetime) -> State[Any]:
    """The final state of an attempt whose scope was stopped."""
    stop = scope.stop
    assert stop is not None
    details: dict[str, Any] = {"reason": stop.reason}
    if scope.where:
        details["where"] = scope.where
    if stop.reason == "timeout":
        return make("TimedOut", now, message=stop.message, details=details)
    if stop.reason == "parent":
        return make("Cancelled", now, message=f"Stopped with its parent: {stop.message}.", details=details)
    return make("Cancelled", now, message=stop.message, details=details)


def stopped_error(scope: Scope, kind: str) -> BaseException | None:
    """What the caller of a stopped run gets to see; None when the stop is only passing through on its way up."""
    stop = scope.stop
    if stop is not None and stop.reason == "interrupt":
        return KeyboardInterrupt()
    if stop is None or stop.reason != "timeout":
        return None
    error = FlowRunTimeoutError if kind == "Flow run" else TaskRunTimeoutError
    return error(stop.message)


def ended(returned: State[Any], kind: str, now: datetime) -> State[Any]:
    """A state that code returned, which must be an end."""
    if returned.is_final():
        return returned
    return make("Failed", now, message=f"{kind} returned the state {returned}, which is not an end.")


def failed_state(kind: str, error: BaseException, now: datetime) -> State[Any]:
    """The final state of an attempt whose code raised."""
    return make("Failed", now, message=f"{kind} encountered an exception: {describe(error)}")


def aborted_state(error: BaseException, now: datetime) -> State[Any]:
    """The final state of a run that was torn down by something that is not an Exception."""
    if isinstance(error, SystemExit):
        details = {"exit_code": error.code if isinstance(error.code, int | None) else str(error.code)}
        return make("Crashed", now, message=f"Execution was aborted by sys.exit({error.code!r}).", details=details)
    if isinstance(error, KeyboardInterrupt):
        return make("Cancelled", now, message="Interrupted by Ctrl-C.", details={"reason": "interrupt"})
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
    return (f"{name}: {text}" if text else name)[:2000]


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
        return repr(error)[:2000]
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

    An error without user code in it is ours, and shown whole; so is every one with PENSTOCK_INTERNAL_DEBUG set.
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
    return error.with_traceback(kept[0]) if kept else error


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
    """Calls the author's functions for a state, in their order. One that raises is reported in the run's log."""
    for hook in hooks:
        name = getattr(hook, "__name__", type(hook).__name__)
        say(context, INFO, f"Running hook {name!r} in response to entering state {state.name!r}")
        try:
            yield from Call(hook, (definition, context.run, state), context=context, awaits=is_async(hook))
        except Exception as error:
            say(context, ERROR, f"Hook {name!r} failed: {_repr(error)}\n{user_traceback(error)}")
        else:
            say(context, INFO, f"Hook {name!r} finished running successfully")


def is_async(fn: Any) -> bool:
    """Whether calling `fn` gives a coroutine."""
    while hasattr(fn, "func"):  # functools.partial
        fn = fn.func
    code = getattr(fn, "__code__", None) or getattr(getattr(fn, "__call__", None), "__code__", None)  # noqa: B004
    return bool(code is not None and code.co_flags & 0x80)

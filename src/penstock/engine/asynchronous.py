"""The asynchronous driver: performs a script's effects in the calling asyncio task."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import threading
from collections.abc import AsyncGenerator, Callable
from types import FrameType
from typing import Any, TypeVar

from ..domain.stops import INTERRUPT, RAISED, RETURNED
from . import stopping
from .blocking import Lost, take_over
from .context import current
from .delicate import is_delicate
from .effects import Ask, Call, ConsumerLeft, Effect, Emit, Join, Script
from .scopes import Frame, Scope, Where
from .stopping import MOST_LINES, StopDelivered, line_of, place_of

T = TypeVar("T")


# how coroutines, generators and asynchronous generators name their frame, and what they wait for
_FRAMES = ("cr_frame", "gi_frame", "ag_frame")
_RUNNING = ("cr_running", "gi_running", "ag_running")
_AWAITED = ("cr_await", "gi_yieldfrom", "ag_await")


class _AnsweredLate(BaseException):
    """A question was answered; while it was, the asyncio task was cancelled."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer


class TaskFrame(Frame):
    """User code awaited in an asyncio task, or the engine awaiting for a scope."""

    __slots__ = ("_ident", "_is_main", "_loop", "_task", "cancelled", "interrupted", "open")

    def __init__(self, scope: Scope, take_over: Callable[[], Callable[[], Any]]) -> None:
        super().__init__(scope, take_over)
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._ident = threading.get_ident()
        self._is_main = threading.current_thread() is threading.main_thread()
        self.cancelled = False
        self.interrupted = False
        self.open = True

    def deliver(self) -> None:
        # The loop may be closing; then its tasks are being cancelled anyway.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        """In the loop's thread: the task stands at an await, so the cancellation reaches the code that is to stop."""
        stop = self.scope.stop
        if stop is not None and stop.reason == INTERRUPT and self._task.cancelling():
            return  # `asyncio.run` has done it, and counts how often
        if self.open and not self.cancelled:  # once: `close` takes back one
            self.cancelled = True
            self._task.cancel()

    def stuck(self) -> bool:
        return self.open and not self.cancelled  # the loop has not come round to it

    def unblock(self) -> None:
        super().unblock()
        number = stopping.STOP_SIGNAL
        if self._is_main and number is not None and signal.getsignal(number) is stopping.on_stop_signal:
            signal.pthread_kill(self._ident, number)

    def close(self) -> None:
        self.open = False
        if self.cancelled:
            self._task.uncancel()

    def where(self) -> Where:
        """The lines of the user's on the chain of awaits, down to the one that waits."""
        awaited: Any = self._task.get_coro()
        lines: list[str] = []
        runs = False
        while awaited is not None:
            frame = next((f for name in _FRAMES if (f := getattr(awaited, name, None)) is not None), None)
            line = None if frame is None else line_of(frame)
            if line is not None:
                lines.append(line)
            runs = any(getattr(awaited, name, False) for name in _RUNNING)
            awaited = next((a for name in _AWAITED if (a := getattr(awaited, name, None)) is not None), None)
        if not lines or runs:  # the coroutine blocks its loop: it awaits nothing, it runs
            return place_of(self._ident)
        return Where(lines[-1], tuple(lines[-MOST_LINES:]))

    def ends_with_program(self) -> bool:
        return self._is_main


def _interrupt(frame: FrameType | None) -> None:
    """In a signal's handler: raises a stop in a coroutine that blocks its loop, if what runs there is the user's."""
    each = frame
    while each is not None and each.f_code is not _stoppable.__code__:
        if each.f_code.co_filename.startswith(stopping.OURS):
            return
        each = each.f_back
    if each is None or is_delicate(frame):
        return
    blocked: TaskFrame = each.f_locals["frame"]
    stopping.undisturbed(blocked.scope.check_limits)
    if blocked.scope.stop is not None and blocked.open and not (blocked.cancelled or blocked.interrupted):
        blocked.interrupted = True
        raise StopDelivered


stopping.in_coroutine = _interrupt


# Told of each event loop in which a script begins, by whoever wants to know.
begins: Callable[[asyncio.AbstractEventLoop], None] | None = None


async def run(script: Script[T]) -> T:
    """Runs a script to its end and gives its value, or raises its exception."""
    return (await _drive(script, script.send, None))[1]  # type: ignore[no-any-return]


async def iterate(script: Script[Any]) -> AsyncGenerator[Any, Any]:
    """Runs the script of an asynchronous generator; gives what it emits."""
    resume: Callable[[Any], Any] = script.send
    argument: Any = None
    while True:
        ended, value = await _drive(script, resume, argument)
        if ended:
            return
        try:
            argument = yield value
            resume = script.send
        except GeneratorExit:
            resume, argument = script.throw, ConsumerLeft()
        except BaseException as error:
            resume, argument = script.throw, error


async def _drive(script: Script[Any], resume: Callable[[Any], Any], argument: Any) -> tuple[bool, Any]:
    """Performs effects until the script emits a value (False, value) or ends (True, value)."""
    cancelled = False
    if begins is not None:
        begins(asyncio.get_running_loop())
    try:
        while True:
            effect: Effect[Any] = resume(argument)
            kind = type(effect)
            if kind is Emit:
                return False, effect.value  # type: ignore[attr-defined]
            try:
                if cancelled and kind is not Ask:
                    cancelled = False
                    raise asyncio.CancelledError
                argument = await _PERFORM[kind](effect, script)
                resume = script.send
            except _AnsweredLate as late:
                cancelled, argument, resume = True, late.answer, script.send
            except Lost as lost:
                return True, await asyncio.to_thread(lost.ending_elsewhere)
            except BaseException as error:
                resume, argument = script.throw, error
    except StopIteration as done:
        if cancelled:
            raise asyncio.CancelledError from None
        return True, done.value


async def _call(effect: Call, script: Script[Any]) -> Any:
    context = effect.context
    token = current.set(context) if context is not None else None
    trace = context.trace if context is not None else None
    traced = trace.attach() if trace is not None else None
    try:
        if effect.scope is None:
            value = effect.fn(*effect.args, **effect.kwargs)
            return await value if effect.awaits else value
        return await _stoppable(effect, script)
    finally:
        if trace is not None:
            trace.detach(traced)
        if token is not None:
            current.reset(token)


async def _stoppable(effect: Call, script: Script[Any]) -> Any:
    """User code with the floor. However it ends, it counts only if nobody went on without it, and no stop came."""
    scope = effect.scope
    assert scope is not None
    context = contextvars.copy_context()
    frame = TaskFrame(scope, lambda: take_over(script, context))
    scope.frame = frame
    value: Any = None
    failure: BaseException | None = None
    try:
        if scope.stop is None:
            value = effect.fn(*effect.args, **effect.kwargs)
            if effect.awaits:
                value = await value
    except BaseException as error:
        failure = error
    scope.frame = None
    frame.close()
    how = RETURNED if failure is None else RAISED
    if not frame.claim():
        raise Lost(frame, how)
    scope.check_limits()
    if scope.stop is not None:
        scope.finish(how)
        raise StopDelivered from failure
    if failure is not None:
        raise failure
    return value


async def _join(effect: Join, script: Script[Any]) -> None:
    loop = asyncio.get_running_loop()
    for future in effect.futures:
        ready = asyncio.Event()

        def done(_: Any, ready: asyncio.Event = ready) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(ready.set)

        future.add_done_callback(done)
        await _await(ready.wait(), effect.scope)


async def _await(awaitable: Any, scope: Scope | None) -> None:
    if scope is None:
        await awaitable
        return
    frame = TaskFrame(scope, lambda: lambda: None)
    frame.claim()  # there is no user code here to go on without
    scope.frame = frame
    try:
        if scope.stop is None:
            await awaitable
        else:
            awaitable.close()
    except asyncio.CancelledError:
        if not frame.cancelled:
            raise
    finally:
        scope.frame = None
        frame.close()
    if scope.stop is not None:
        raise StopDelivered


async def _ask(effect: Ask, script: Script[Any]) -> Any:
    """An answer is waited for even when the task is cancelled meanwhile: the record must not be left half said.

    The cancellation is not lost: it is raised at the next thing that is not a question, or at the end.
    """
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Any] = loop.create_future()

    def reply(value: Any, error: BaseException | None) -> None:
        if loop.is_closed():
            return
        if error is not None:
            loop.call_soon_threadsafe(answered.set_exception, error)
        else:
            loop.call_soon_threadsafe(answered.set_result, value)

    effect.ledger.ask_then(effect.question, reply)
    cancelled = False
    while not answered.done():
        try:
            await asyncio.wait([answered])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise _AnsweredLate(answered.result())
    return answered.result()


_PERFORM: dict[type, Callable[[Any, Script[Any]], Any]] = {Call: _call, Join: _join, Ask: _ask}

"""The blocking driver: performs a script's effects in the calling thread, where the user's code stays."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from ..domain.stops import RAISED, RETURNED
from .context import current
from .delicate import give_back
from .effects import Ask, Call, ConsumerLeft, Effect, Emit, Join, Script
from .scopes import Frame
from .stopping import Post, Ready, StopDelivered, ThreadFrame, WaitFrame, my_post, shielded

T = TypeVar("T")


class Lost(BaseException):
    """The script went on elsewhere while user code would not stop. That code has ended now; `how` says the way."""

    def __init__(self, frame: Frame, how: str) -> None:
        self._frame = frame
        self._how = how

    def ending_elsewhere(self) -> Any:
        """Waits for how the script ended. What is said of the code then comes after what was said of the run."""
        try:
            return self._frame.lost()()
        finally:
            self._frame.stilled(self._how)


def run(script: Script[T]) -> T:
    """Runs a script to its end and gives its value, or raises its exception."""
    return shielded(_drive, script, script.send, None, my_post())[1]  # type: ignore[no-any-return]


def iterate(script: Script[T]) -> Generator[Any, Any, T]:
    """Runs the script of a generator; gives what it emits, and returns its value."""
    resume: Callable[[Any], Any] = script.send
    argument: Any = None
    while True:
        ended, value = shielded(_drive, script, resume, argument, my_post())
        if ended:
            return value  # type: ignore[no-any-return]
        try:
            argument = yield value
            resume = script.send
        except GeneratorExit:
            resume, argument = script.throw, ConsumerLeft()
        except BaseException as error:
            resume, argument = script.throw, error


def _drive(script: Script[Any], resume: Callable[[Any], Any], argument: Any, post: Post) -> tuple[bool, Any]:
    """Performs effects until the script emits a value (False, value) or ends (True, value)."""
    try:
        while True:
            effect: Effect[Any] = resume(argument)
            kind = type(effect)
            if kind is Emit:
                return False, effect.value  # type: ignore[attr-defined]
            try:
                argument = _PERFORM[kind](effect, script, post)
                resume = script.send
            except Lost as lost:
                return True, lost.ending_elsewhere()
            except BaseException as error:
                resume, argument = script.throw, error
    except StopIteration as done:
        return True, done.value


def _call(effect: Call, script: Script[Any], post: Post) -> Any:
    context = effect.context
    token = current.set(context) if context is not None else None
    trace = context.trace if context is not None else None
    traced = trace.attach() if trace is not None else None
    try:
        if effect.scope is None:
            value = effect.fn(*effect.args, **effect.kwargs)
            return awaited(value) if effect.awaits else value
        return _stoppable(effect, script, post)
    finally:
        if trace is not None:
            trace.detach(traced)
        if token is not None:
            current.reset(token)


def _stoppable(effect: Call, script: Script[Any], post: Post) -> Any:
    """User code with the floor. However it ends, it counts only if nobody went on without it, and no stop came."""
    scope = effect.scope
    assert scope is not None
    context = contextvars.copy_context()
    frame = ThreadFrame(scope, post, lambda: take_over(script, context))
    scope.frame = frame
    post.frames.append(frame)
    value: Any = None
    failure: BaseException | None = None
    try:
        try:
            post.arm()
            value = effect.fn(*effect.args, **effect.kwargs)
            if effect.awaits:
                value = awaited(value)
        finally:
            post.disarm()
    except StopDelivered as error:
        give_back(error)
        failure = error
    except BaseException as error:
        failure = error
    if post.armed:  # a stop came in the very moment before the floor was taken away
        post.disarm()
    post.frames.pop()
    scope.frame = None
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


def awaited(coroutine: Any) -> Any:
    """The value of a coroutine, for synchronous code."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    # This thread's loop is busy with us: synchronous code that was called from a coroutine. So another's is used.
    ending: list[Any] = []

    def run_it() -> None:
        try:
            ending.extend((True, asyncio.run(coroutine)))
        except BaseException as error:
            ending.extend((False, error))

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run_it,), name="penstock-coroutine")
    thread.start()
    thread.join()
    if not ending[0]:
        raise ending[1]
    return ending[1]


def take_over(script: Script[Any], context: contextvars.Context) -> Callable[[], Any]:
    """Goes on with a script whose user code would not stop, in a thread of its own; gives what waits for its end."""
    done = threading.Event()
    ending: list[Any] = []

    def go_on() -> None:
        try:
            ending.extend(_drive(script, script.throw, StopDelivered(), my_post()))
        except BaseException as error:
            ending.extend((None, error))
        finally:
            done.set()

    def wait() -> Any:
        done.wait()
        if ending[0] is None:
            raise ending[1]
        return ending[1]

    name = f"penstock-instead-of-{threading.current_thread().name}"
    threading.Thread(target=context.run, args=(go_on,), name=name, daemon=True).start()
    return wait


def _join(effect: Join, script: Script[Any], post: Post) -> None:
    for future in effect.futures:
        ready = Ready()
        future.add_done_callback(lambda _, ready=ready: ready.tell())  # type: ignore[misc]
        _wait(ready, effect.scope, post)


def _wait(ready: Ready, scope: Any, post: Post) -> None:
    if scope is None:
        post.wait(ready, None, None)
        return
    scope.frame = WaitFrame(scope, post)
    try:
        post.wait(ready, None, scope)
    finally:
        scope.frame = None
    if scope.stop is not None:
        raise StopDelivered


def _ask(effect: Ask, script: Script[Any], post: Post) -> Any:
    return effect.ledger.ask(effect.question)


_PERFORM: dict[type, Callable[[Any, Script[Any], Post], Any]] = {Call: _call, Join: _join, Ask: _ask}

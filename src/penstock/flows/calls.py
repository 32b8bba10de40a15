"""From a call of a flow or a task to its script and the driver of its colour. Loaded at the first call."""

from __future__ import annotations

import atexit
import contextlib
import weakref
from collections.abc import AsyncGenerator, Generator, Iterator
from typing import Any

from .. import connect
from ..domain.stops import INTERRUPT, SHUTDOWN, Stop
from ..engine import blocking
from ..engine.attempts import without_ours
from ..engine.context import FlowRunContext, RunContext, current
from ..engine.flow_run import FlowCall, run_flow
from ..engine.futures import PenstockFuture
from ..engine.progress import Progress
from ..engine.replay import Replay, adopt
from ..engine.runtime import Runtime
from ..engine.signals import Signals
from ..engine.stopping import StopDelivered, shielded
from ..engine.task_run import TaskCall, run_task
from . import capture, ending, loggers, mapping, outliving
from .runners.thread import ThreadPoolTaskRunner, hand_over

_outside: ThreadPoolTaskRunner | None = None


def call_task(task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A direct call: the value, a coroutine, or a generator."""
    return_state, wait_for = _options(kwargs)
    if task.isgenerator:
        return _generator(task.isasync, _make_task_call, run_task, (task, args, kwargs, wait_for))
    if task.isasync:
        return _run_async(_make_task_call, run_task, (task, args, kwargs, wait_for), return_state)
    parent = current.get()
    if parent is not None:
        return shielded(_run_task, parent, task, args, kwargs, wait_for, return_state)
    return _run_root(_make_task_call, run_task, (task, args, kwargs, wait_for), return_state)


def _run_task(
    parent: RunContext[Any], task: Any, args: Any, kwargs: dict[str, Any], wait_for: Any, return_state: bool
) -> Any:
    call = TaskCall(task, args, kwargs, parent.runtime, parent, wait_for)
    if call.context.log_prints:
        capture.streams()
    if task.isolation is not None:
        _isolate(call)
    blocking.run(run_task(call))
    return call.final_state() if return_state else call.outcome()


def _isolate(call: TaskCall) -> None:
    from .runners import isolation

    isolation.isolate(call)


def call_flow(flow: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of a flow: the value, a coroutine, or a generator."""
    return_state, wait_for = _options(kwargs)
    if flow.isgenerator:
        return _generator(flow.isasync, _make_flow_call, run_flow, (flow, args, kwargs, wait_for))
    run = _run_async if flow.isasync else _run_root
    return run(_make_flow_call, run_flow, (flow, args, kwargs, wait_for), return_state)


def reenter_flow(flow: Any, args: tuple[Any, ...], kwargs: dict[str, Any], replay: Replay) -> Any:
    """Calls a flow for a run that is in the record already; the state in which it ended. What a generator yields goes
    to nobody."""
    arguments = (flow, args, kwargs, replay)
    if flow.isasync:
        import asyncio

        return asyncio.run(_run_async(_make_reentry, run_flow, arguments, True))
    return _run_root(_make_reentry, run_flow, arguments, True)


def submit_task(task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Hands a task to the runner: a future, or, with `return_state`, the state when it ended."""
    return_state, wait_for = _options(kwargs)
    future: PenstockFuture[Any] = shielded(_submit, current.get(), task, args, kwargs, wait_for)
    if return_state:
        future.wait()
        return future.state
    return future


def _submit(
    parent: RunContext[Any] | None, task: Any, args: Any, kwargs: dict[str, Any], wait_for: Any
) -> PenstockFuture[Any]:
    call = _prepare(parent, task, args, kwargs, wait_for)
    if call.state.is_final():  # in a flow run that was entered again: an earlier run stands for this one
        blocking.run(run_task(call))
    else:
        runner_of(call.context.flow_context).submit(call)
    assert call.future is not None
    return call.future


def _prepare(
    parent: RunContext[Any] | None,
    task: Any,
    args: Any,
    kwargs: dict[str, Any],
    wait_for: Any,
    progress: Progress | None = None,
) -> TaskCall:
    """A call that is to be submitted, with its future."""
    runtime = parent.runtime if parent is not None else connect.runtime()
    call = TaskCall(task, args, kwargs, runtime, parent, wait_for, progress)
    call.context.detached = task.detach
    if call.unreported:
        runtime.ledger.write(call.context.run)
    if call.context.log_prints:
        capture.streams()
    future: PenstockFuture[Any] = PenstockFuture(call.context.run)
    call.future = future
    flow = call.context.flow_context
    if flow is None or call.task.detach:
        outliving.begin(call)
    else:
        flow.outstanding.add(future)
        future.add_done_callback(flow.outstanding.discard)
    return call


def runner_of(flow: FlowRunContext | None) -> Any:
    """The flow run's own runner, made when its first task is submitted; outside flows, one for the whole process."""
    global _outside
    if flow is None:
        if _outside is None:
            _outside = ThreadPoolTaskRunner()
        return _outside
    if flow.task_runner is None:
        flow.task_runner = (
            ThreadPoolTaskRunner() if flow.flow.task_runner is None else flow.flow.task_runner.duplicate()
        )
    return flow.task_runner


def forget_outside() -> None:
    """The runner of tasks outside of flows is given back; the next such task makes another."""
    global _outside
    runner, _outside = _outside, None
    if runner is not None:
        runner.close()


def map_task(task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Submits a task for each item; futures, or, with `return_state`, the states when all ended."""
    return mapping.map_task(_submit_rows, task, args, kwargs, _options(kwargs))


def stream_task(task: Any, args: tuple[Any, ...], kwargs: dict[str, Any], **options: Any) -> Any:
    """Submits a task for items as there is room for them: a stream of futures."""
    return mapping.PenstockFutureStream(_submit_rows, task, args, kwargs, **options)


def _submit_rows(
    parent: RunContext[Any] | None, task: Any, rows: Any, wait_for: Any, chunk: int, progress: Progress | None
) -> list[Any]:
    """Submits a call for each row of arguments, `chunk` of them to one worker. When the run above is stopped
    meanwhile, those that are left are not."""
    above = None if parent is None else parent.scope
    futures, calls = [], []
    for args, kwargs in rows:
        call = _prepare(parent, task, args, kwargs, wait_for, progress)
        futures.append(call.future)
        if call.state.is_final():
            blocking.run(run_task(call))
        else:
            calls.append(call)
        if above is not None and above.stop is not None:
            break
    if calls:
        hand_over(runner_of(calls[0].context.flow_context), calls, chunk)
    return futures


def _options(kwargs: dict[str, Any]) -> tuple[bool, Any]:
    """The options of a call, taken out of its arguments."""
    if not kwargs:
        return False, None
    return bool(kwargs.pop("return_state", False)), kwargs.pop("wait_for", None)


def _make_task_call(task: Any, args: Any, kwargs: dict[str, Any], wait_for: Any) -> TaskCall:
    parent, runtime = _surroundings()
    call = TaskCall(task, args, kwargs, runtime, parent, wait_for)
    if task.isolation is not None:
        _isolate(call)
    return call


def _make_flow_call(flow: Any, args: Any, kwargs: dict[str, Any], wait_for: Any) -> FlowCall:
    parent, runtime = _surroundings()
    return FlowCall(flow, args, kwargs, runtime, parent, None, wait_for)


def _make_reentry(flow: Any, args: Any, kwargs: dict[str, Any], replay: Replay) -> FlowCall:
    call = FlowCall(flow, args, kwargs, connect.runtime(), None, None)
    adopt(call, replay)
    return call


def _surroundings() -> tuple[RunContext[Any] | None, Runtime]:
    parent = current.get()
    return parent, parent.runtime if parent is not None else connect.runtime()


@contextlib.contextmanager
def _root(call: Any) -> Iterator[None]:
    """What a run that has no parent sets up for all below it: signals, attendance, and what follows threads and
    streams."""

    def interrupted(again: bool) -> None:
        call.context.halt(Stop(INTERRUPT, "Interrupted by Ctrl-C.", "Ctrl-C"))
        if again:
            ending.at_once(call)

    def terminated() -> None:
        call.context.halt(Stop(SHUTDOWN, "Terminated by SIGTERM.", "SIGTERM"))

    signals = Signals(interrupted, terminated)
    with connect.attending(call.runtime), capture.following(), loggers.following(call.runtime.settings), signals:
        yield
    ending.as_asked(signals, call.runtime)
    if signals.interrupts and not signals.behind_asyncio and not call.state.is_cancelled():
        raise KeyboardInterrupt  # it came when the run had nothing left to be interrupted


@contextlib.contextmanager
def _surrounded(call: TaskCall | FlowCall) -> Iterator[None]:
    """What is set up around a call's script: all of it for a run that has no parent, capture where it is asked for."""
    with contextlib.nullcontext() if call.context.parent is not None else _root(call):
        if not call.context.log_prints:
            yield
            return
        capture.streams()
        with _output(call.context):
            yield


def _output(context: RunContext[Any]) -> contextlib.AbstractContextManager[None]:
    """Captures also what others than Python code write, where that is asked for and no run above does it."""
    above = context.parent
    if not context.captures_all or (above is not None and above.captures_all):
        return contextlib.nullcontext()
    from . import descriptors

    return descriptors.capturing(context)


def _run_root(make: Any, script: Any, arguments: tuple[Any, ...], return_state: bool) -> Any:
    """Runs a synchronous flow, or a task outside flows, in the calling thread."""
    return shielded(_run_shielded, make, script, arguments, return_state)


def _run_shielded(make: Any, script: Any, arguments: tuple[Any, ...], return_state: bool) -> Any:
    call = make(*arguments)
    with _surrounded(call):
        blocking.run(script(call))
    return call.final_state() if return_state else call.outcome()


async def _run_async(make: Any, script: Any, arguments: tuple[Any, ...], return_state: bool) -> Any:
    import asyncio

    from ..engine import asynchronous

    call = make(*arguments)
    with _surrounded(call):
        if getattr(call, "remote", None) is None:
            await asynchronous.run(script(call))
        else:
            from .runners import isolation

            await isolation.run(call, script(call))
    above = call.context.parent
    if above is not None and above.scope is not None and above.scope.stop is not None:
        # The task was cancelled once for both, and the one that ended here has taken that up.
        raise asyncio.CancelledError
    try:
        return call.final_state() if return_state else call.outcome()
    except StopDelivered:  # who awaits it is not stopped, and sees no exception of ours
        raise asyncio.CancelledError(f"{call.context.kind} was cancelled: {call.state.message}") from None
    except KeyboardInterrupt:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from None  # from which `asyncio.run` makes a KeyboardInterrupt
        raise
    except BaseException as error:
        raise without_ours(error)  # noqa: B904 - the same exception, with less of us in its traceback


# Generators that nobody has closed. Their runs end, and are recorded so, before the program does.
_generators: weakref.WeakSet[Generator[Any, Any, None]] = weakref.WeakSet()


def _generator(asynchronous: bool, make: Any, script: Any, arguments: tuple[Any, ...]) -> Any:
    if asynchronous:
        return _iterate_async(make, script, arguments)
    generator = _iterate(make, script, arguments)
    _generators.add(generator)
    return generator


@atexit.register
def _close_generators() -> None:
    for generator in list(_generators):
        with contextlib.suppress(Exception):
            generator.close()


def _iterate(make: Any, script: Any, arguments: tuple[Any, ...]) -> Generator[Any, Any, None]:
    """All but the consumer's own time is the engine's: no stop of who consumes is raised in it."""
    call, stack = shielded(_enter, make, arguments)
    try:
        yield from blocking.iterate(script(call))
    finally:
        shielded(stack.close)
    call.outcome()


def _enter(make: Any, arguments: tuple[Any, ...]) -> tuple[Any, contextlib.ExitStack]:
    call = make(*arguments)
    call.generator = True
    stack = contextlib.ExitStack()
    stack.enter_context(_surrounded(call))
    return call, stack


async def _iterate_async(make: Any, script: Any, arguments: tuple[Any, ...]) -> AsyncGenerator[Any, Any]:
    from ..engine import asynchronous

    call = make(*arguments)
    call.generator = True
    with _surrounded(call):
        generator = asynchronous.iterate(script(call))
        sent: Any = None
        try:
            while True:
                item = await generator.asend(sent)
                sent = yield item
        except StopAsyncIteration:
            pass
        finally:
            await generator.aclose()
    call.outcome()

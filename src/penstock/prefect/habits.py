"""What Prefect's code does with things of ours that are otherwise the same: awaits them.

Law: taken once a process, when the module of Prefect's that has the thing is imported, and only where the alias is
active. Code that does not await sees no difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from functools import cache
from types import SimpleNamespace
from typing import Any

from ..engine.context import current, is_awaited
from . import environment
from .dispatched import dispatched, plainly


def take(module: str) -> None:
    """What goes with a module of Prefect's."""
    if module == "prefect":
        _deployments()
        _states()
        if environment.version() == "2":
            _futures()
            _calls()
    elif module.startswith(("prefect.blocks", "prefect.filesystems")):
        _blocks()
    elif module == "prefect.variables":
        _variables()


@cache
def _blocks() -> None:
    """`await Secret.load("x")`, `await block.save("x")` in coroutines."""
    from ..blocks.core import Block

    for name in ("load", "delete"):
        found = getattr(Block, name).__func__
        setattr(Block, name, classmethod(dispatched(found)))
        setattr(Block, f"a{name}", classmethod(_awaited(found)))
    Block.save, Block.asave = dispatched(Block.save), _awaited(Block.save)  # type: ignore[method-assign]


@cache
def _variables() -> None:
    from ..flows.variables import Variable

    for name in ("get", "set", "unset"):
        found = getattr(Variable, name).__func__
        setattr(Variable, name, classmethod(dispatched(found)))
        setattr(Variable, f"a{name}", classmethod(_awaited(found)))


@cache
def _deployments() -> None:
    """`await flow.to_deployment(...)`, which need not be awaited here, and `await flow.deploy(...)`, which must."""
    from ..flows.deploying import RunnerDeployment
    from ..flows.flow import Flow

    RunnerDeployment.__await__ = _itself  # type: ignore[attr-defined]
    RunnerDeployment.apply = dispatched(RunnerDeployment.apply)  # type: ignore[method-assign]
    Flow.to_deployment = _to_deployment(Flow.to_deployment)  # type: ignore[method-assign]
    Flow.__await__ = _itself  # type: ignore[attr-defined]
    Flow.deploy = dispatched(Flow.deploy)  # type: ignore[method-assign]


def _to_deployment(ours: Callable[..., Any]) -> Callable[..., Any]:
    """With options of Prefect's that say the same otherwise, or nothing here."""

    def to_deployment(self: Any, name: str, **options: Any) -> Any:
        active = options.pop("is_schedule_active", None)
        if active is not None:
            options.setdefault("paused", not active)
        for left_out in ("entrypoint_type", "version_type", "_sla"):
            options.pop(left_out, None)
        return ours(self, name, **options)

    to_deployment.__doc__ = ours.__doc__
    return to_deployment


@cache
def _states() -> None:
    """`await state.result()` in coroutines, and `state.state_details.flow_run_id`."""
    from ..domain.states import State, value_of

    def result(self: Any, raise_on_failure: bool = True, fetch: bool | None = None) -> Any:
        if is_awaited(current.get()):
            return _later(value_of, self, raise_on_failure)
        return value_of(self, raise_on_failure)

    State.result = result  # type: ignore[method-assign]
    State.state_details = property(_details)  # type: ignore[attr-defined]


def _details(state: Any) -> SimpleNamespace:
    flow_run, task_run = getattr(state, "flow_run_id", None), getattr(state, "task_run_id", None)
    return SimpleNamespace(flow_run_id=flow_run, task_run_id=task_run)


@cache
def _futures() -> None:
    """Futures of Prefect 2: `await task.submit(...)`, `await future.result()`, `future.wait()` gives the state."""
    from ..domain.states import value_of
    from ..engine.futures import PenstockFuture, PenstockFutureList

    wait = PenstockFuture.wait

    def plain_result(self: Any, timeout: float | None = None, raise_on_failure: bool = True) -> Any:
        wait(self, timeout)
        if not self.done():
            raise TimeoutError(f"Task run {self.task_run.name!r} has not ended within {timeout} second(s); it goes on.")
        return value_of(self.state, raise_on_failure)

    def wait_for_state(self: Any, timeout: float | None = None) -> Any:
        wait(self, timeout)
        return self.state if self.done() else None

    PenstockFuture.__await__ = PenstockFutureList.__await__ = _itself  # type: ignore[attr-defined]
    PenstockFuture.wait = dispatched(wait_for_state)  # type: ignore[method-assign]
    PenstockFuture.result = dispatched(plain_result)  # type: ignore[method-assign]
    PenstockFuture.get_state = dispatched(lambda self, client=None: self.state)  # type: ignore[attr-defined]


@cache
def _calls() -> None:
    """By the rules of Prefect 2 a synchronous flow that calls an asynchronous task, or flow, has its value."""
    from ..engine.blocking import awaited
    from ..flows.flow import Flow
    from ..flows.task import Task

    for kind in (Flow, Task):
        call = kind.__call__

        def either(self: Any, *args: Any, call: Any = call, **kwargs: Any) -> Any:
            made, caller = call(self, *args, **kwargs), current.get()
            if asyncio.iscoroutine(made) and caller is not None and not is_awaited(caller):
                return awaited(made)
            return made

        kind.__call__ = either  # type: ignore[method-assign,assignment]


def _itself(self: Any) -> Generator[Any, Any, Any]:
    """Awaiting gives the same thing, at once."""
    yield from ()
    return self


async def _later(fn: Callable[..., Any], *args: Any) -> Any:
    return fn(*args)


def _awaited(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A method that is always awaited."""

    async def later(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(plainly, fn, self, *args, **kwargs)

    later.__doc__ = fn.__doc__
    return later

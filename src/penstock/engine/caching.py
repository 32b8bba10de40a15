"""Cache policies: what a task's cache key is made of.

Add them (`INPUTS + TASK_SOURCE`), or leave inputs out (`INPUTS - "debug"`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..domain.errors import HashError
from .hashing import stable_hash

if TYPE_CHECKING:
    from .context import TaskRunContext

KeyFunction = Callable[["TaskRunContext", dict[str, Any]], str | None]


class CachePolicy:
    """The base of all policies. `compute_key` gives a key, or None for "do not cache"."""

    def compute_key(self, context: TaskRunContext, inputs: dict[str, Any]) -> str | None:
        raise NotImplementedError

    def __add__(self, other: CachePolicy) -> CachePolicy:
        if not isinstance(other, CachePolicy):
            return NotImplemented
        parts = [part for each in (self, other) for part in (each.parts if isinstance(each, Compound) else [each])]
        return Compound([part for part in parts if not isinstance(part, NoCache)]) if parts else NO_CACHE

    def __sub__(self, name: str | list[str]) -> CachePolicy:
        names = frozenset([name] if isinstance(name, str) else name)
        parts = self.parts if isinstance(self, Compound) else [self]
        left = [Inputs(part.exclude | names) if isinstance(part, Inputs) else part for part in parts]
        return left[0] if len(left) == 1 else Compound(left)


class NoCache(CachePolicy):
    """Nothing is cached."""

    def compute_key(self, context: TaskRunContext, inputs: dict[str, Any]) -> str | None:
        return None


class Inputs(CachePolicy):
    """The call's arguments, all but those in `exclude`."""

    def __init__(self, exclude: frozenset[str] = frozenset()) -> None:
        self.exclude = exclude

    def compute_key(self, context: TaskRunContext, inputs: dict[str, Any]) -> str | None:
        hashes = []
        for name in sorted(inputs.keys() - self.exclude):
            try:
                hashes.append((name, stable_hash(inputs[name])))
            except HashError as error:
                raise HashError(
                    f"Parameter {name!r} of task {context.task.name!r} cannot be part of a cache key: {error} "
                    f"Leave it out (cache_policy=INPUTS - {name!r}), or give a cache_key_fn."
                ) from error
        return stable_hash(hashes)


class TaskSource(CachePolicy):
    """The source code of the task's function."""

    def compute_key(self, context: TaskRunContext, inputs: dict[str, Any]) -> str | None:
        import inspect

        fn = context.task.fn
        try:
            source: Any = inspect.getsource(fn)
        except (OSError, TypeError):
            code = getattr(fn, "__code__", None)
            if code is None:
                raise HashError(
                    f"The source code of task {context.task.name!r} is not at hand, so TASK_SOURCE cannot be a part of "
                    "its cache key. Give a cache_key_fn."
                ) from None
            source = [code.co_code, [repr(constant) for constant in code.co_consts], list(code.co_names)]
        return stable_hash(source)


class RunId(CachePolicy):
    """The flow run (or, outside flows, the task run) itself: what is cached is not found by others."""

    def compute_key(self, context: TaskRunContext, inputs: dict[str, Any]) -> str | None:
        return str(context.run.flow_run_id or context.run.id)


class FlowParameters(CachePolicy):
    """The parameters of the flow run."""

    def compute_key(self, context: TaskRunContext, inputs: dict[str, Any]) -> str | None:
        flow = context.flow_context
        return None if flow is None else stable_hash(flow.parameters)


class CacheKeyFn(CachePolicy):
    """A function of the user's: `fn(context, parameters)` gives the key."""

    def __init__(self, fn: KeyFunction) -> None:
        self.fn = fn

    def compute_key(self, context: TaskRunContext, inputs: dict[str, Any]) -> str | None:
        key = self.fn(context, inputs)
        if key is not None and not isinstance(key, str):
            raise HashError(
                f"The cache_key_fn of task {context.task.name!r} gave a {type(key).__name__}; it must give text, or "
                "None to not cache."
            )
        return key


class Compound(CachePolicy):
    """Several policies together: all their keys make the key. One that gives None is left out."""

    def __init__(self, parts: list[CachePolicy]) -> None:
        self.parts = parts

    def compute_key(self, context: TaskRunContext, inputs: dict[str, Any]) -> str | None:
        keys = [part.compute_key(context, inputs) for part in self.parts]
        return stable_hash(keys) if any(key is not None for key in keys) else None


NO_CACHE = NONE = NoCache()
INPUTS = Inputs()
TASK_SOURCE = TaskSource()
RUN_ID = RunId()
FLOW_PARAMETERS = FlowParameters()
DEFAULT = INPUTS + TASK_SOURCE + RUN_ID


def task_input_hash(context: TaskRunContext, arguments: dict[str, Any]) -> str | None:
    """A `cache_key_fn` of the task and all its arguments. Raises `HashError` where an argument cannot be hashed."""
    return stable_hash(
        context.task.task_key, TASK_SOURCE.compute_key(context, arguments), INPUTS.compute_key(context, arguments)
    )

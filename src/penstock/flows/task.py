"""`@task`: a function whose calls are recorded, tried again, timed out, cached, and run beside each other."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, overload

from ..domain.errors import DefinitionError
from ..domain.limits import check_delay, check_jitter, check_retries, check_timeout
from . import definition

if TYPE_CHECKING:
    from datetime import timedelta

    from ..domain.states import State
    from ..engine.caching import CachePolicy
    from ..engine.futures import PenstockFuture, PenstockFutureList
    from .mapping import PenstockFutureStream


P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")

_calls: Any = None
TAKES_ANY = 0x08  # of a code object: it has **kwargs
# (module, name) -> where a task of that name was defined, to say so when a second one comes from elsewhere
_defined: dict[tuple[str, str], tuple[str, int]] = {}

OPTIONS = (
    "name", "description", "tags", "version", "cache_policy", "cache_key_fn", "cache_expiration", "task_run_name",
    "retries", "retry_delay_seconds", "retry_jitter_factor", "retry_condition_fn", "persist_result", "result_storage",
    "result_serializer", "result_storage_key", "timeout_seconds", "log_prints", "refresh_cache", "on_completion",
    "on_failure", "on_running", "cache_result_in_memory", "isolation", "detach",
)  # fmt: skip


class Task(definition.Decorated, Generic[P, R_co]):
    """A function made into a task by `@task`; calling it runs it, recorded. Options: see `task`."""

    def __init__(self, fn: Callable[P, R_co], **options: Any) -> None:
        unknown = options.keys() - set(OPTIONS)
        if unknown:
            raise TypeError(f"task() got an unexpected option {min(unknown)!r}; there are: {', '.join(OPTIONS)}.")
        get = options.get
        called = definition.check_function(fn, "task")
        functools.update_wrapper(self, fn)
        self.fn: Callable[P, R_co] = fn
        self.options = options
        self.name: str = definition.check_text(get("name"), f"task {called!r}", "name") or called
        of = f"task {self.name!r}"
        self.isasync, self.isgenerator = definition.kind_of(fn)
        self.bound_to: dict[str, Any] = {}
        self.description: str | None = get("description") or definition.plain_doc(fn)
        self.version: str | None = definition.check_text(get("version"), of, "version")
        self.tags = definition.check_tags(get("tags"), of)
        self.task_key = f"{getattr(fn, '__module__', '?')}.{getattr(fn, '__qualname__', called)}"
        self.task_run_name = definition.check_run_name(get("task_run_name"), of, "task_run_name")
        self.retries = check_retries(get("retries"), of)
        self.retry_delay_seconds = check_delay(get("retry_delay_seconds"), of)
        self.retry_jitter_factor = check_jitter(get("retry_jitter_factor"), of)
        self.retry_condition_fn: Callable[..., Any] | None = get("retry_condition_fn")
        self.timeout_seconds = check_timeout(get("timeout_seconds"), of)
        self.log_prints = definition.check_bool(get("log_prints"), of, "log_prints")
        self.persist_result = definition.check_bool(get("persist_result"), of, "persist_result")
        self.result_storage = definition.check_storage(get("result_storage"), of)
        self.result_serializer = get("result_serializer")
        self.result_storage_key = get("result_storage_key")
        self.refresh_cache = definition.check_bool(get("refresh_cache"), of, "refresh_cache")
        self.cache_expiration: timedelta | None = _expiration(get("cache_expiration"), of)
        self.cache_key_fn: Callable[..., str | None] | None = get("cache_key_fn")
        self.cache_policy: CachePolicy | None = _policy(get("cache_policy"), self.cache_key_fn, of)
        self.detach = bool(definition.check_bool(get("detach"), of, "detach"))
        self.isolation = _isolation(get("isolation"), self.isgenerator, of)
        if self.retry_condition_fn is not None and not callable(self.retry_condition_fn):
            raise DefinitionError(f"retry_condition_fn of {of} must be a function; it is {self.retry_condition_fn!r}.")
        self.on_completion_hooks = definition.check_hooks(get("on_completion"), of, "on_completion")
        self.on_failure_hooks = definition.check_hooks(get("on_failure"), of, "on_failure")
        self.on_running_hooks = definition.check_hooks(get("on_running"), of, "on_running")
        _note(self)

    @functools.cached_property
    def bind(self) -> Callable[..., dict[str, Any]]:
        """The arguments of a call by parameter; made when first needed, for it takes a look at the signature."""
        from ..engine.parameters import make_binder

        return make_binder(self.fn, self.name)

    # The first overload is the plain call, checked to the letter; calls with options of ours give up that check,
    # because Python's types have no way to add a keyword to somebody's signature.
    @overload
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(
        self: Task[P, Coroutine[Any, Any, T]], /, *args: Any, return_state: Literal[True], **kwargs: Any
    ) -> Coroutine[Any, Any, State[T]]: ...
    @overload
    def __call__(
        self, /, *args: Any, return_state: Literal[True], wait_for: Any = None, **kwargs: Any
    ) -> State[R_co]: ...
    @overload
    def __call__(self, /, *args: Any, wait_for: Any, return_state: Literal[False] = False, **kwargs: Any) -> R_co: ...
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Runs the task here and now, and gives its value (`return_state=True`: its final state).

        `wait_for` are futures to wait for first. An asynchronous task gives a coroutine; a generator a generator.
        """
        calls = _calls or _load()
        try:
            return calls.call_task(self, args, kwargs)
        except BaseException as error:
            raise calls.without_ours(error)  # noqa: B904 - it is the same exception, with less of us in its traceback

    # (mypy sees that a call could pass `return_state` through P.kwargs; RESERVED makes that impossible.)
    @overload
    def submit(  # type: ignore[overload-overlap]
        self: Task[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> PenstockFuture[T]: ...
    @overload
    def submit(  # type: ignore[overload-overlap]
        self: Task[P, Generator[T, Any, Any]], /, *args: P.args, **kwargs: P.kwargs
    ) -> PenstockFuture[list[T]]: ...
    @overload
    def submit(  # type: ignore[overload-overlap]
        self: Task[P, AsyncGenerator[T, Any]], /, *args: P.args, **kwargs: P.kwargs
    ) -> PenstockFuture[list[T]]: ...
    @overload
    def submit(self, /, *args: P.args, **kwargs: P.kwargs) -> PenstockFuture[R_co]: ...
    @overload
    def submit(
        self, /, *args: Any, wait_for: Any, return_state: Literal[False] = ..., **kwargs: Any
    ) -> PenstockFuture[Any]: ...
    @overload
    def submit(self, /, *args: Any, return_state: Literal[True], wait_for: Any = None, **kwargs: Any) -> State[Any]: ...
    def submit(self, /, *args: Any, **kwargs: Any) -> Any:
        """Hands the task to the flow's task runner and gives a future at once.

        Futures among the arguments are waited for by the runner, not by the caller.
        """
        return (_calls or _load()).submit_task(self, args, kwargs)

    @overload
    def map(self: Task[P, Coroutine[Any, Any, T]], /, *args: Any, **kwargs: Any) -> PenstockFutureList[T]: ...
    @overload
    def map(self, /, *args: Any, **kwargs: Any) -> PenstockFutureList[R_co]: ...
    def map(self, /, *args: Any, **kwargs: Any) -> Any:
        """Submits the task once for each item of its iterable arguments, which are of one length.

        Arguments that are not iterable, and those in `unmapped(...)`, are the same for each call. `chunk_size=N` has N
        items handed to a worker at a time (default: 1), unless the task has a parameter of that name.
        All items are taken at once, and there is a future for each: for very many, see `stream`.
        Raises `MappingLengthMismatch` or `MappingMissingIterable`.
        """
        return (_calls or _load()).map_task(self, args, kwargs)

    @overload
    def stream(
        self: Task[P, Coroutine[Any, Any, T]],
        /,
        *args: Any,
        ordered: bool = ...,
        buffersize: int | None = ...,
        chunk_size: int = ...,
        wait_for: Any = ...,
        **kwargs: Any,
    ) -> PenstockFutureStream[T]: ...
    @overload
    def stream(
        self,
        /,
        *args: Any,
        ordered: bool = ...,
        buffersize: int | None = ...,
        chunk_size: int = ...,
        wait_for: Any = ...,
        **kwargs: Any,
    ) -> PenstockFutureStream[R_co]: ...
    def stream(
        self,
        /,
        *args: Any,
        ordered: bool = True,
        buffersize: int | None = None,
        chunk_size: int = 1,
        wait_for: Any = None,
        **kwargs: Any,
    ) -> Any:
        """As `map`, for any number of items, also without end: an iterator of futures that are done.

        Inputs are any iterables, generators too. An item is taken when there is room for it: at most `buffersize` are
        on their way (default: 1000, and 8 chunks at least), from the taking to the handing out of the future. What is
        handed out is not kept.
        `ordered=False` gives futures as they are done, not in the order of the items. `chunk_size`: so many items are
        handed to a worker at a time. A parameter of the task's that has the name of an option here is given by place.
        Raises `MappingLengthMismatch`, `MappingMissingIterable`, `DefinitionError`; and what the inputs raise, when
        what was taken before is handed out.

        Example::

            for future in parse.stream(open("lines.txt"), chunk_size=100, ordered=False):
                total += future.result()
        """
        options = {"ordered": ordered, "buffersize": buffersize, "chunk_size": chunk_size, "wait_for": wait_for}
        return (_calls or _load()).stream_task(self, args, kwargs, **options)

    def takes(self, name: str) -> bool:
        """Whether the function can be given an argument of this name."""
        code = definition.code_of(self.fn)
        if code is None:
            return False
        return bool(code.co_flags & TAKES_ANY) or name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

    def _options(self) -> dict[str, Any]:
        """The options as they are now: with the hooks that were added since."""
        return {
            **self.options,
            "on_completion": self.on_completion_hooks,
            "on_failure": self.on_failure_hooks,
            "on_running": self.on_running_hooks,
        }

    def with_options(self, **options: Any) -> Task[P, R_co]:
        """A copy with other options; what is not named stays as it is.

        Example: `fetch.with_options(retries=5, name="fetch carefully")(url)`.
        """
        kept = self._options()
        if "cache_key_fn" in options and "cache_policy" not in options:
            kept.pop("cache_policy", None)
        return Task(self.fn, **{**kept, **options})

    def on_completion(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: `fn(task, task_run, state)` is called when a run is Completed."""
        self.on_completion_hooks.append(fn)
        return fn

    def on_failure(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: `fn(task, task_run, state)` is called when a run is Failed for good."""
        self.on_failure_hooks.append(fn)
        return fn

    def on_running(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: `fn(task, task_run, state)` is called when an attempt begins."""
        self.on_running_hooks.append(fn)
        return fn

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Task[P, R_co]: ...
    @overload
    def __get__(self, instance: object, owner: Any = None) -> Task[..., R_co]: ...
    def __get__(self, instance: Any, owner: Any = None) -> Task[Any, Any]:
        """A task in a class is a method: it is given its instance."""
        if instance is None:
            return self
        bound: Task[Any, Any] = Task(functools.partial(self.fn, instance), **{**self._options(), "name": self.name})
        bound.task_key = self.task_key
        bound.bound_to = {_first_parameter(self.fn): instance}
        return bound

    def __repr__(self) -> str:
        return f"<Task {self.name!r}>"


def _first_parameter(fn: Any) -> str:
    """What a method calls its instance."""
    code = definition.code_of(fn)
    return "self" if code is None or not code.co_varnames else str(code.co_varnames[0])


def _isolation(value: Any, generator: bool, of: str) -> Literal["process"] | None:
    """None for threads, which is the default."""
    if value not in (None, "thread", "process"):
        raise DefinitionError(f'isolation of {of} must be "process", "thread" or None (as "thread"); it is {value!r}.')
    if value != "process":
        return None
    if generator:
        raise DefinitionError(
            f'isolation of {of} cannot be "process": the task is a generator, whose items cannot be handed on from '
            "another process one by one. Return a list, or leave out isolation."
        )
    return "process"


def _expiration(value: Any, of: str) -> Any:
    if value is None or hasattr(value, "total_seconds"):
        return value
    raise DefinitionError(f"cache_expiration of {of} must be a timedelta; it is {value!r}.")


def _policy(policy: Any, key_fn: Any, of: str) -> Any:
    if key_fn is None and policy is None:
        return None
    from ..engine.caching import CacheKeyFn, CachePolicy

    if policy is not None:
        if not isinstance(policy, CachePolicy):
            raise DefinitionError(f"cache_policy of {of} must be one of penstock.cache_policies; it is {policy!r}.")
        return policy
    if not callable(key_fn):
        raise DefinitionError(f"cache_key_fn of {of} must be a function; it is {key_fn!r}.")
    return CacheKeyFn(key_fn)


def _note(made: Task[Any, Any]) -> None:
    """Two different tasks of one name in one module: their runs cannot be told apart, which is said once."""
    code = getattr(made.fn, "__code__", None)  # of a plain function: methods are bound again and again
    if code is None or "<" in code.co_filename or "<locals>" in getattr(made.fn, "__qualname__", ""):
        return
    key, place = (getattr(made.fn, "__module__", "?"), made.name), (code.co_filename, code.co_firstlineno)
    before = _defined.setdefault(key, place)
    if before != place and before[0] == place[0]:
        import warnings

        warnings.warn(
            f"Task {made.name!r} defined at {place[0]}:{place[1]} has the same name as the one at "
            f"{before[0]}:{before[1]}; their runs cannot be told apart. Give one of them another name=.",
            UserWarning,
            stacklevel=4,
        )
    _defined[key] = place


def _load() -> Any:
    """The engine, loaded at the first call: importing penstock stays cheap."""
    global _calls
    from . import calls

    _calls = calls
    return calls


@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    name: str | None = None,
    description: str | None = None,
    tags: Iterable[str] | None = None,
    version: str | None = None,
    cache_policy: CachePolicy | None = None,
    cache_key_fn: Callable[..., str | None] | None = None,
    cache_expiration: timedelta | None = None,
    task_run_name: str | Callable[..., str] | None = None,
    retries: int | None = None,
    retry_delay_seconds: float | list[float] | Callable[[int], list[float]] | None = None,
    retry_jitter_factor: float | None = None,
    retry_condition_fn: Callable[..., Any] | None = None,
    persist_result: bool | None = None,
    result_storage: Any = None,
    result_serializer: Any = None,
    result_storage_key: str | Callable[..., str] | None = None,
    timeout_seconds: float | None = None,
    log_prints: bool | None = None,
    refresh_cache: bool | None = None,
    on_completion: list[Callable[..., Any]] | None = None,
    on_failure: list[Callable[..., Any]] | None = None,
    on_running: list[Callable[..., Any]] | None = None,
    cache_result_in_memory: bool = True,
    isolation: Literal["process", "thread"] | None = None,
    detach: bool | None = None,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(fn: Any = None, /, **options: Any) -> Any:
    """Makes a function a task: `@task`, or `@task(retries=3, timeout_seconds=60)`.

    - `name`: of the task; default: the function's. `task_run_name`: of each run, a template over the parameters
      (`"load-{table}"`) or a function that gives text; default: the task's name and a number.
    - `retries`: how many times a failed run is tried again (default: the setting, 0); `retry_delay_seconds`: seconds
      between, one number, a list, or a function of `retries` to a list; `retry_jitter_factor` spreads them;
      `retry_condition_fn(task, task_run, state)` says whether this failure is worth another try.
    - `timeout_seconds`: how long one attempt may take; 0 or None: no limit.
    - `isolation="process"`: the function is called in a worker process of its own, on its main thread, however the
      task is called; so code that does not stop (in native code, or because it swallows exceptions) can be killed, and
      a crash is the task's only. Arguments and results are pickled. Workers stay warm; as many work at the same time
      as PENSTOCK_TASK_RUNNER_PROCESS_POOL_MAX_WORKERS says, or as there are processors. "thread" or None: here.
    - `detach=True`: a run of it that was submitted is not stopped with its flow run, and not waited for by it; the
      program ends when it has ended.
    - `log_prints`: whether what the task prints goes to its log; None: as the flow has it.
    - `cache_policy`, or `cache_key_fn(context, parameters)`: where a run with the same key completed before
      (within `cache_expiration`), its value is taken. Nothing is cached unless asked for. `refresh_cache` runs anyway.
    - `persist_result`: True keeps the value whatever its size, False never; None keeps small ones in the record.
      `result_storage` (a folder), `result_serializer` (`"pickle"`, `"json"`, …), `result_storage_key`: where and how.
    - `on_completion`, `on_failure`, `on_running`: functions called with (task, task_run, state).
    - `cache_result_in_memory` is accepted and changes nothing: a value lives as long as somebody holds its future.

    Raises `DefinitionError` (a ValueError) that names the option which cannot be so.

    Example::

        @task(retries=2, retry_delay_seconds=[1, 10])
        def fetch(url: str) -> str: ...
    """
    if fn is None:
        return lambda fn: Task(fn, **options)
    return Task(fn, **options)

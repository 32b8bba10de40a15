"""`@flow`: a function whose runs are recorded, with all the tasks and flows that it calls."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, overload

from ..domain.errors import DefinitionError
from ..domain.limits import check_delay, check_retries, check_timeout
from . import definition

if TYPE_CHECKING:
    from ..domain.states import State
    from .runners.contract import TaskRunner

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")

_calls: Any = None

OPTIONS = (
    "name", "description", "version", "flow_run_name", "retries", "retry_delay_seconds", "task_runner",
    "timeout_seconds", "validate_parameters", "persist_result", "result_storage", "result_serializer", "log_prints",
    "capture",
    "tags", "cache_result_in_memory", "on_completion", "on_failure", "on_cancellation", "on_crashed", "on_running",
)  # fmt: skip


class Flow(definition.Decorated, Generic[P, R_co]):
    """A function made into a flow by `@flow`; calling it runs it, recorded. Options: see `flow`."""

    def __init__(self, fn: Callable[P, R_co], **options: Any) -> None:
        unknown = options.keys() - set(OPTIONS)
        if unknown:
            raise TypeError(f"flow() got an unexpected option {min(unknown)!r}; there are: {', '.join(OPTIONS)}.")
        get = options.get
        called = definition.check_function(fn, "flow")
        functools.update_wrapper(self, fn)
        self.fn: Callable[P, R_co] = fn
        self.options = options
        self.name: str = definition.check_text(get("name"), f"flow {called!r}", "name") or called.replace("_", "-")
        of = f"flow {self.name!r}"
        self.isasync, self.isgenerator = definition.kind_of(fn)
        self.description: str | None = get("description") or definition.plain_doc(fn)
        self.version: str | None = definition.check_text(get("version"), of, "version")
        self.tags = definition.check_tags(get("tags"), of)
        self.flow_run_name = definition.check_run_name(get("flow_run_name"), of, "flow_run_name")
        self.retries = check_retries(get("retries"), of)
        self.retry_delay_seconds = check_delay(get("retry_delay_seconds"), of)
        self.timeout_seconds = check_timeout(get("timeout_seconds"), of)
        self.log_prints, self.capture = definition.check_capture(get("log_prints"), get("capture"), of)
        self.persist_result = definition.check_bool(get("persist_result"), of, "persist_result")
        self.result_storage = definition.check_storage(get("result_storage"), of)
        self.result_serializer = get("result_serializer")
        self.validate_parameters = bool(get("validate_parameters", True))
        self.task_runner: TaskRunner | None = _runner(get("task_runner"), of)
        self.on_completion_hooks = definition.check_hooks(get("on_completion"), of, "on_completion")
        self.on_failure_hooks = definition.check_hooks(get("on_failure"), of, "on_failure")
        self.on_cancellation_hooks = definition.check_hooks(get("on_cancellation"), of, "on_cancellation")
        self.on_crashed_hooks = definition.check_hooks(get("on_crashed"), of, "on_crashed")
        self.on_running_hooks = definition.check_hooks(get("on_running"), of, "on_running")

    @functools.cached_property
    def bind(self) -> Callable[..., dict[str, Any]]:
        """The arguments of a call by parameter; made when first needed, for it takes a look at the signature."""
        from ..engine.parameters import make_binder

        return make_binder(self.fn, self.name)

    @functools.cached_property
    def _validator(self) -> Any:
        from .validation import Validator

        return Validator(self.fn, self.name)

    def check_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters, coerced to the annotations of the function.

        Raises `ParameterTypeError` with a line for each that does not fit.
        """
        return self._validator.check(parameters)  # type: ignore[no-any-return]

    # See `Task.__call__` for the order of these.
    @overload
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(
        self: Flow[P, Coroutine[Any, Any, T]], /, *args: Any, return_state: Literal[True], **kwargs: Any
    ) -> Coroutine[Any, Any, State[T]]: ...
    @overload
    def __call__(
        self, /, *args: Any, return_state: Literal[True], wait_for: Any = None, **kwargs: Any
    ) -> State[R_co]: ...
    @overload
    def __call__(self, /, *args: Any, wait_for: Any, return_state: Literal[False] = False, **kwargs: Any) -> R_co: ...
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Runs the flow here and now, and gives its value (`return_state=True`: its final state).

        Called inside another flow it is a subflow. An asynchronous flow gives a coroutine; a generator a generator.
        """
        calls = _calls or _load()
        try:
            return calls.call_flow(self, args, kwargs)
        except BaseException as error:
            raise calls.without_ours(error)  # noqa: B904 - it is the same exception, with less of us in its traceback

    def with_options(self, **options: Any) -> Flow[P, R_co]:
        """A copy with other options; what is not named stays as it is."""
        return Flow(self.fn, **{**self._options(), **options})

    def _options(self) -> dict[str, Any]:
        """The options as they are now: with the hooks that were added since."""
        return {**self.options, **{name: getattr(self, f"{name}_hooks") for name in definition.HOOKS}}

    def on_completion(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: `fn(flow, flow_run, state)` is called when a run is Completed."""
        self.on_completion_hooks.append(fn)
        return fn

    def on_failure(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: `fn(flow, flow_run, state)` is called when a run is Failed for good."""
        self.on_failure_hooks.append(fn)
        return fn

    def on_cancellation(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: `fn(flow, flow_run, state)` is called when a run is Cancelled."""
        self.on_cancellation_hooks.append(fn)
        return fn

    def on_crashed(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: `fn(flow, flow_run, state)` is called when a run is Crashed, where its process still can."""
        self.on_crashed_hooks.append(fn)
        return fn

    def on_running(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: `fn(flow, flow_run, state)` is called when an attempt begins."""
        self.on_running_hooks.append(fn)
        return fn

    is_flow = True
    # Where its code comes from, when that is not here (`from_source`).
    _source: Any = None

    def to_deployment(self, name: str, **options: Any) -> Any:
        """This flow, to be deployed by `serve()` or `deploy()`.

        - `interval`, `cron`, `rrule` (each one, or several), `timezone`, `schedule`, `schedules`: when it is run by
          itself; see `penstock.schedules`. `paused`: not yet.
        - `parameters`: with which it is called; `enforce_parameter_schema=False`: any may be given.
        - `tags`, `description`, `version`: of its runs, and for people.
        - `work_pool_name`, `work_queue_name`, `job_variables`: who launches it, and with what.
        - `concurrency_limit`: how many of its runs may run at once; a number, or a dict with `limit` and
          `collision_strategy` (ENQUEUE, CANCEL_NEW, CANCEL_OLD).
        - `priority`: of its runs in their queue; the lowest number goes first, 100 by itself.
        - `concurrency_key`: by what its runs take turns: a path, "parameters.tenant", "tags.customer"; or a text in
          quotes. `concurrency_limit_per_key`: so many of one key at once; `rate_limit_per_key`: so many start in a
          time, "10/m" or a dict with `limit` and `period` (seconds).
        - `grace`: seconds that a run has to come to an end; `start_timeout`: from its claim to its code.
        - `entrypoint`, `path`, `pull_steps`: where the code is, when it is not where this flow was loaded from.

        Raises `DeploymentError` for what cannot be deployed so, `ConcurrencyError` for such a priority, key or rate.
        """
        from .deploying import to_deployment

        return to_deployment(self, name, **options)

    def serve(
        self, name: str | None = None, *, limit: int | None = 10, pause_on_shutdown: bool = False, **options: Any
    ) -> None:
        """Deploys this flow, and runs what is due of it, each run in a process of its own; until Ctrl-C or SIGTERM.

        `name` of the deployment (default: the program's); `options` are those of `to_deployment`, the rest is as in
        `penstock.serve`.

        Example::

            if __name__ == "__main__":
                etl.serve("nightly", cron="0 3 * * *", parameters={"dry_run": False})
        """
        from .deploying import default_name, serve

        shown = options.pop("print_starting_message", True)
        deployment = self.to_deployment(name or default_name(), **options)
        serve(deployment, limit=limit, pause_on_shutdown=pause_on_shutdown, print_starting_message=shown)

    def deploy(self, name: str, work_pool_name: str | None = None, *, image: str | None = None, **options: Any) -> Any:
        """Deploys this flow to a work pool, whose workers launch its runs; the deployment's id.

        `options` are those of `to_deployment`, and `build`, `push`, `print_next_steps` of `penstock.deploy`.
        """
        from .deploying import deploy

        own = {key: options.pop(key) for key in ("build", "push", "print_next_steps") if key in options}
        made = deploy(self.to_deployment(name, **options), work_pool_name=work_pool_name, image=image, **own)
        return made[0] if made else None

    @staticmethod
    def from_source(source: Any, entrypoint: str) -> Flow[Any, Any]:
        """A flow whose code is elsewhere: `source` is a folder, or the address of a git repository, `entrypoint` its
        place in there (`path/to/file.py:function`). Its runs get the code from there.

        Example::

            Flow.from_source("https://example.org/flows.git", "etl.py:etl").deploy("nightly", work_pool_name="local")
        """
        from .sources import from_source

        return from_source(source, entrypoint)

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Flow[P, R_co]: ...
    @overload
    def __get__(self, instance: object, owner: Any = None) -> Flow[..., R_co]: ...
    def __get__(self, instance: Any, owner: Any = None) -> Flow[Any, Any]:
        """A flow in a class is a method: it is given its instance."""
        if instance is None:
            return self
        return Flow(functools.partial(self.fn, instance), **{**self._options(), "name": self.name})

    def __repr__(self) -> str:
        return f"<Flow {self.name!r}>"


def _runner(runner: Any, of: str) -> Any:
    """A task runner; its class stands for one without options."""
    if isinstance(runner, type):
        runner = runner()
    if runner is None or all(hasattr(runner, name) for name in ("duplicate", "submit", "close")):
        return runner
    raise DefinitionError(f"task_runner of {of} must be one of penstock.task_runners; it is {runner!r}.")


def _load() -> Any:
    """The engine, loaded at the first call: importing penstock stays cheap."""
    global _calls
    from . import calls

    _calls = calls
    return calls


@overload
def flow(fn: Callable[P, R], /) -> Flow[P, R]: ...
@overload
def flow(
    *,
    name: str | None = None,
    description: str | None = None,
    version: str | None = None,
    flow_run_name: str | Callable[..., str] | None = None,
    retries: int | None = None,
    retry_delay_seconds: float | list[float] | None = None,
    task_runner: Any = None,
    timeout_seconds: float | None = None,
    validate_parameters: bool = True,
    persist_result: bool | None = None,
    result_storage: Any = None,
    result_serializer: Any = None,
    log_prints: bool | None = None,
    capture: Literal["prints", "all"] | None = None,
    tags: Iterable[str] | None = None,
    cache_result_in_memory: bool = True,
    on_completion: list[Callable[..., Any]] | None = None,
    on_failure: list[Callable[..., Any]] | None = None,
    on_cancellation: list[Callable[..., Any]] | None = None,
    on_crashed: list[Callable[..., Any]] | None = None,
    on_running: list[Callable[..., Any]] | None = None,
) -> Callable[[Callable[P, R]], Flow[P, R]]: ...
def flow(fn: Any = None, /, **options: Any) -> Any:
    """Makes a function a flow: `@flow`, or `@flow(log_prints=True, timeout_seconds=600)`.

    - `name`: of the flow; default: the function's with dashes. `flow_run_name`: of each run, a template over the
      parameters or a function that gives text; default: two words.
    - `retries`: how many times a failed run is tried again from its beginning; `retry_delay_seconds`: seconds between.
    - `timeout_seconds`: how long one attempt may take; 0 or None: no limit.
    - `task_runner`: where submitted tasks run; default: threads.
    - `validate_parameters`: whether arguments are checked against, and coerced to, the function's annotations.
    - `log_prints`: whether what is printed in a run goes to its log; None: as the parent, or the setting, has it.
    - `capture`: `"all"` takes to the log also what programs that the run starts, and native code, write to stdout and
      stderr, and turns `log_prints` on; `"prints"`: what Python code writes; None: as the parent, or the setting, has
      it.
    - `persist_result`, `result_storage`, `result_serializer`: as for `task`.
    - `on_completion`, `on_failure`, `on_cancellation`, `on_crashed`, `on_running`: functions called with
      (flow, flow_run, state).

    Raises `DefinitionError` (a ValueError) that names the option which cannot be so.

    Example::

        @flow(log_prints=True)
        def etl(day: date, dry_run: bool = False) -> int: ...
    """
    if fn is None:
        return lambda fn: Flow(fn, **options)
    return Flow(fn, **options)


# As the field writes it: `flow.from_source(...)`, with the decorator's name.
flow.from_source = Flow.from_source  # type: ignore[attr-defined]

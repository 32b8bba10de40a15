"""`get_run_logger()`: the standard library's loggers, whose lines go to the run's log and to the terminal.

A run's logger is not one of those that `logging.getLogger` gives, so that no configuration (`logging.config` disables
loggers that it does not know, and takes handlers away) can silence a run. Handlers that a program puts on
`penstock.flow_runs`, `penstock.task_runs` or `penstock` get the records all the same, with names and ids of the run.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import threading
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from ..domain.errors import MissingContextError
from ..domain.levels import LEVELS
from ..domain.log_forms import FLOW_RUNS, TASK_RUNS
from ..domain.logs import LogLine
from ..domain.runs import FlowRun, TaskRun
from ..engine import console
from ..engine.context import FlowRunContext, RunContext, TaskRunContext, current
from ..engine.masking import MASKER
from ..engine.records import say_record
from ..settings import current as settings

# What a record has already, and `extra` must not replace.
_TAKEN_NAMES = frozenset({
    *vars(logging.makeLogRecord({})), "message", "asctime",
    "penstock_run", "penstock_run_id", "penstock_source", "penstock_taken",
})  # fmt: skip
_own_level = logging.NOTSET
_silenced = 0
# In tests, a function that is called without its run may log all the same.
outside_allowed = False
_silencing = threading.Lock()


class RunHandler(logging.Handler):
    """Takes a record to the log of the run that its logger is bound to, else of the run that the caller is in; outside
    of runs to the terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "penstock_taken", False):
            return
        context: RunContext[Any] | None = getattr(record, "penstock_run", None) or _run_of(record)
        try:
            if context is not None:
                say_record(context, record)
            elif settings().logging_to_console:
                from .. import connect

                text = MASKER.text(self.format(record))
                line = LogLine(None, None, 0, connect.clock().now(), record.levelno, text, record.name)
                console.show(line, getattr(record, "penstock_source", record.name), settings())
                record.penstock_taken = True
                console.flush()  # a process that somebody else started may end at any time without a word
        except Exception:
            record.penstock_taken = True  # it comes by once more, on its way up
            contextvars.Context().run(self.handleError, record)  # what that prints is no line of the run


def _run_of(record: logging.LogRecord) -> RunContext[Any] | None:
    """The run that the caller is in, or the one above it whose logger this was in the process that it came from."""
    here = context = current.get()
    id = getattr(record, "penstock_run_id", None)
    while id is not None and context is not None and context.run.id != id:
        context = context.parent
    return context or here


_HANDLER = RunHandler()


class _Voice(logging.Logger):
    """The logger below a run's: our handler has each record first, then those of the logger of the same name."""

    def __init__(self, name: str, level: int) -> None:
        super().__init__(name, level)
        self.parent = logging.getLogger(name)
        self.handlers = [_HANDLER]

    def isEnabledFor(self, level: int) -> bool:
        return level >= self.level and level > self.manager.disable and not _silenced


_voices: dict[tuple[str, int], _Voice] = {}


def _voice(name: str, level: int) -> _Voice:
    _ours()
    voice = _voices.get((name, level))
    return voice if voice is not None else _voices.setdefault((name, level), _Voice(name, level))


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger bound to a run: it may be handed to other threads, and copied.

    One that is sent to another process is bound to the run there, or to the nearest; where there is none, as in the
    processes of a pool that are spawned, its lines go to the terminal.
    """

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Fields of the call and of the logger, as far as a record has room for them."""
        given = kwargs.get("extra")
        if given:
            fields = {name: value for name, value in given.items() if name not in _TAKEN_NAMES}
            kwargs["extra"] = {**(self.extra or {}), **fields}
        else:
            kwargs["extra"] = self.extra
        return msg, kwargs

    def __copy__(self) -> RunLogger:
        return RunLogger(self.logger, self.extra)

    def __deepcopy__(self, memo: dict[int, Any]) -> RunLogger:
        return self.__copy__()

    def __reduce__(self) -> tuple[Callable[..., RunLogger], tuple[Any, ...]]:
        fields = dict(self.extra or {})
        context: Any = fields.pop("penstock_run", None)
        if context is not None:
            fields.update(penstock_run_id=context.run.id, penstock_source=context.source)
        return _received, (self.logger.name, self.logger.level, fields)

    def getChild(self, suffix: str) -> RunLogger:
        """A logger of the same run whose name goes on with a dot and `suffix`."""
        return RunLogger(_voice(f"{self.logger.name}.{suffix}", self.logger.level), self.extra)


def _received(name: str, level: int, fields: dict[str, Any]) -> RunLogger:
    return RunLogger(_voice(name, level), fields)


def get_run_logger(context: RunContext[Any] | None = None, **fields: Any) -> RunLogger:
    """The logger of the run that the caller is in, or of the run whose `context` is given.

    `fields` are on each record, for handlers of yours, beside `flow_run_id`, `flow_run_name`, `flow_name`,
    `task_run_id`, `task_run_name` and `task_name`; the run's log does not keep them. Raises `MissingContextError`
    outside of runs, but not under `penstock.logging.disable_run_logger()`: then the logger says nothing; nor in a
    `penstock.testing.test_harness`: then it is an ordinary one.

    Example::

        @task
        def load():
            get_run_logger().info("loading %s rows", 10)
    """
    if context is None:
        context = current.get()
    elif not isinstance(context, FlowRunContext | TaskRunContext):
        raise TypeError(
            f"get_run_logger(context=...) takes what get_run_context() gives, not a {type(context).__name__}."
        )
    if context is None:
        if _silenced:
            return RunLogger(_SILENT, {})
        if outside_allowed:
            return RunLogger(logging.getLogger(FLOW_RUNS), {})
        raise MissingContextError(
            "There is no run here: get_run_logger() works inside a flow or a task, and in threads that they start. "
            "Elsewhere use logging.getLogger(__name__); to call a function without its run, as in a test, do it under "
            "penstock.logging.disable_run_logger()."
        )
    name = TASK_RUNS if isinstance(context, TaskRunContext) else FLOW_RUNS
    extra = {key: value for key, value in fields.items() if key not in _TAKEN_NAMES}
    return RunLogger(_voice(name, context.runtime.show_level), {**_names(context), **extra, "penstock_run": context})


def flow_run_logger(flow_run: FlowRun, flow: object = None, **fields: Any) -> RunLogger:
    """The logger of a flow run by the run, as hooks are given it. (`get_run_logger()` gives it there as well.)

    Raises `MissingContextError` where the run is not at work.

    Example::

        def tell(flow, flow_run, state):
            flow_run_logger(flow_run, flow).error("it ended as %s", state.name)
    """
    return _logger_of(flow_run, fields)


def task_run_logger(
    task_run: TaskRun, task: object = None, flow_run: object = None, flow: object = None, **fields: Any
) -> RunLogger:
    """The logger of a task run by the run; as `flow_run_logger`."""
    return _logger_of(task_run, fields)


def _logger_of(run: FlowRun | TaskRun, fields: dict[str, Any]) -> RunLogger:
    context = current.get()
    while context is not None and context.run.id != run.id:
        context = context.parent
    if context is None and not _silenced:
        raise MissingContextError(f"Run {run.name!r} is not at work here: its logger is had in its code and its hooks.")
    return get_run_logger(context, **fields)


def _names(context: RunContext[Any]) -> dict[str, str | None]:
    """The run, for formats of the program's handlers. All names are there, or a format would fail that has them."""
    flow_run = None if context.flow_context is None else context.flow_context.run
    task_run = context.run if isinstance(context, TaskRunContext) else None
    return {
        "flow_run_id": None if flow_run is None else str(flow_run.id),
        "flow_run_name": None if flow_run is None else flow_run.name,
        "flow_name": None if flow_run is None else flow_run.flow_name,
        "task_run_id": None if task_run is None else str(task_run.id),
        "task_run_name": None if task_run is None else task_run.name,
        "task_name": None if task_run is None else task_run.task_name,
    }


def get_logger(name: str | None = None) -> logging.Logger:
    """A logger below `penstock`: inside a run its lines go to the run's log, elsewhere to the terminal."""
    global _own_level
    ours = _ours()
    if ours.level in (logging.NOTSET, _own_level):  # not one that the program has set
        ours.setLevel(_own_level := LEVELS[settings().logging_level])
    if not name or name == "penstock":
        return logging.getLogger("penstock")
    return logging.getLogger(name if name.startswith("penstock.") else f"penstock.{name}")


@contextlib.contextmanager
def disable_run_logger() -> Iterator[None]:
    """In here loggers of runs say nothing, and `get_run_logger()` works outside of runs, too: for tests of functions.

    Example::

        with disable_run_logger():
            assert my_task.fn(2) == 4
    """
    global _silenced
    with _silencing:
        _silenced += 1
    try:
        yield
    finally:
        with _silencing:
            _silenced -= 1


def _ours() -> logging.Logger:
    """Our handler is put on the `penstock` logger, and put there again where a configuration has taken it away. Nothing
    is passed on to the root logger, whose handlers are the user's: they would show each line a second time."""
    ours = logging.getLogger("penstock")
    if _HANDLER not in ours.handlers:
        ours.handlers.insert(0, _HANDLER)
        ours.propagate = False
    return ours


_SILENT = logging.Logger("penstock.silenced", logging.CRITICAL + 1)
_SILENT.disabled = True

_ours()  # now, so that tools which look for loggers that pass nothing on, as pytest's caplog does, find ours

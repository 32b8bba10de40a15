"""`get_run_logger()`: the standard library's loggers, whose lines go to the run's log and to the terminal."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from ..domain.errors import MissingContextError
from ..engine.context import RunContext, TaskRunContext, current
from ..engine.runlog import FLOW_RUNS, TASK_RUNS, say


class RunHandler(logging.Handler):
    """Takes a record to the log of the run that its logger is bound to, else of the run that the caller is in."""

    def emit(self, record: logging.LogRecord) -> None:
        context: RunContext[Any] | None = getattr(record, "penstock_run", None) or current.get()
        if context is None:
            return
        try:
            message = record.getMessage()
            if record.exc_info:
                message = f"{message}\n{(self.formatter or logging.Formatter()).formatException(record.exc_info)}"
            if record.stack_info:
                message = f"{message}\n{record.stack_info}"
            say(
                context,
                record.levelno,
                message,
                record.name,
                file=record.pathname,
                line=record.lineno,
                function=record.funcName,
            )
        except Exception:
            self.handleError(record)


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger bound to a run: it may be handed to other threads."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **kwargs.get("extra", {})}
        return msg, kwargs


def get_run_logger() -> RunLogger:
    """The logger of the run that the caller is in.

    Raises `MissingContextError` outside of runs.

    Example::

        @task
        def load():
            get_run_logger().info("loading %s rows", 10)
    """
    context = current.get()
    if context is None:
        raise MissingContextError(
            "There is no run here: get_run_logger() works inside a flow or a task, and in threads that they start. "
            "Elsewhere use logging.getLogger(__name__)."
        )
    logger = _logger(TASK_RUNS if isinstance(context, TaskRunContext) else FLOW_RUNS)
    logger.setLevel(context.runtime.show_level)
    return RunLogger(logger, {"penstock_run": context})


def get_logger(name: str | None = None) -> logging.Logger:
    """A logger below `penstock`; inside a run its lines go to the run's log."""
    return _logger("penstock" if not name else name if name.startswith("penstock") else f"penstock.{name}")


def _logger(name: str) -> logging.Logger:
    """Our handler is put on the `penstock` logger once. Nothing is passed on to the root logger, whose handlers are the
    user's: they would show each line a second time."""
    ours = logging.getLogger("penstock")
    if not any(isinstance(handler, RunHandler) for handler in ours.handlers):
        ours.addHandler(RunHandler())
        ours.propagate = False
    return logging.getLogger(name)

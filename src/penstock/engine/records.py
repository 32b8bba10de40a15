"""Records of the standard library's logging, as lines of a run's log."""

from __future__ import annotations

import logging
from typing import Any

from .context import RunContext
from .runlog import say

_FORM = logging.Formatter()


def say_record(context: RunContext[Any], record: logging.LogRecord, shown: bool = False) -> None:
    """Adds a record to the log of the run that `context` is of, with its level, logger and place; once, whoever brings
    it. `shown`: the terminal has it already. Raises what a message raises that cannot be made."""
    message = record.getMessage()
    if record.exc_info:
        message = f"{message}\n{_FORM.formatException(record.exc_info)}"
    if record.stack_info:
        message = f"{message}\n{record.stack_info}"
    record.penstock_taken = True
    say(
        context,
        record.levelno,
        message,
        record.name,
        file=record.pathname,
        line=record.lineno,
        function=record.funcName,
        shown=shown,
    )

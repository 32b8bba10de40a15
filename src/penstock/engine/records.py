"""Records of the standard library's logging, as lines of a run's log."""

from __future__ import annotations

import logging
from typing import Any

from .context import RunContext
from .runlog import say

# Levels may be any numbers; this one any database takes.
HIGHEST = 2**31 - 1
_FORM = logging.Formatter()


def say_record(context: RunContext[Any], record: logging.LogRecord, shown: bool = False) -> None:
    """Adds a record to the log of the run that `context` is of, with its level, logger and place; once, whoever brings
    it. `shown`: the terminal has it already. A message that does not fit its arguments is told as it is."""
    try:
        message = record.getMessage().removesuffix("\n")  # as of a print; warnings that are logged end with one
    except Exception as error:
        message = f"{record.msg} {record.args!r} ({type(error).__name__}: {error})"
    if record.exc_info:
        message = f"{message}\n{_FORM.formatException(record.exc_info)}"
    if record.stack_info:
        message = f"{message}\n{record.stack_info}"
    record.penstock_taken = True
    say(
        context,
        min(record.levelno, HIGHEST),
        message,
        record.name,
        file=record.pathname,
        line=record.lineno,
        function=record.funcName,
        shown=shown,
    )

"""A run's own lines: numbered, kept in the record, shown in the terminal."""

from __future__ import annotations

import contextlib
import os
import threading
from datetime import datetime
from typing import Any

from ..domain.logs import LogLine, cut
from . import console
from .context import RunContext

ENGINE, FLOW_RUNS, TASK_RUNS = "penstock.engine", "penstock.flow_runs", "penstock.task_runs"


def say(
    context: RunContext[Any],
    level: int,
    message: str,
    logger: str | None = None,
    *,
    moment: datetime | None = None,
    file: str | None = None,
    line: int | None = None,
    function: str | None = None,
) -> None:
    """Adds a line to the log of the run that `context` is of.

    `moment` is now, unless the caller has just asked the clock.
    """
    runtime = context.runtime
    if level < runtime.show_level:
        return
    flow_run_id, task_run_id = context.stored_under()
    if moment is None:
        moment = runtime.clock.now()
    settings = runtime.settings
    if len(message) > settings.logging_max_line_bytes:
        message = cut(message, settings.logging_max_line_bytes)
    if not message.isascii() or "\0" in message:
        message = storable(message)
    if logger is None:
        logger = TASK_RUNS if task_run_id is not None else FLOW_RUNS
    record = LogLine(
        flow_run_id, task_run_id, context.next_seq() + _first_seq, moment, level, message, logger, file, line, function
    )
    runtime.ledger.write(record)
    if settings.logging_to_console:
        source = ENGINE if logger == ENGINE else context.source
        console.show(record, source, settings)


# A forked child counts on where its parent stood; its numbers must be others. (They come after all of the parent's.)
_first_seq = 0


def _forget() -> None:
    global _first_seq
    _first_seq = os.getpid() << 32


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)


def write_text(context: RunContext[Any], stream: str, text: str, caller: Any) -> None:
    """Text written to a captured stream: it becomes a line when its end comes, in one piece or in many.

    `caller` is the frame that wrote it. Several lines written at once stay one record.
    """
    key = (threading.get_ident(), stream)
    if not text.endswith("\n"):
        if context.partial is None:
            context.partial = {}
        context.partial.setdefault(key, []).append(text)
        return
    text = text[:-1]
    if context.partial:
        text = "".join((*context.partial.pop(key, ()), text))
    code = caller.f_code
    say(context, 20, text, file=code.co_filename, line=caller.f_lineno, function=code.co_name)


def finish_text(context: RunContext[Any]) -> None:
    """The run ends: what was written without an end of line is a line now."""
    if context.partial:
        for parts in list(context.partial.values()):
            say(context, 20, "".join(parts))
        context.partial = None


def storable(text: str) -> str:
    """Text that any database takes: lone surrogates and NUL characters are replaced, nothing else."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")

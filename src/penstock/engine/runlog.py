"""A run's own lines: numbered, kept in the record, shown in the terminal."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from typing import Any

from ..domain.log_forms import ENGINE, FLOW_RUNS, TASK_RUNS
from ..domain.logs import LogLine, cut
from ..domain.states import State
from . import console, live
from .context import RunContext, TaskRunContext
from .masking import MASKER


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
    shown: bool = False,
    dropped: int = 0,
) -> None:
    """Adds a line to the log of the run that `context` is of.

    `moment` is now, unless the caller has just asked the clock; `shown`: the terminal has it already; `dropped`: how
    many characters the message had beyond those given.
    """
    runtime = context.runtime
    if level < runtime.show_level:
        return
    if context.captures_all and live.catches_up is not None:
        live.catches_up()
    flow_run_id, task_run_id = context.stored_under()
    if moment is None:
        moment = runtime.clock.now()
    settings = runtime.settings
    most = settings.logging_max_line_bytes
    if len(message) > most:
        # (A secret that the cut falls into is masked whole.)
        dropped += len(message) - most
        message = MASKER.head(message, most)
        message = cut(message, len(message), dropped)
    else:
        message = MASKER.text(message)
        if dropped:
            message = cut(message, most, dropped)
    if not message.isascii() or "\0" in message:
        message = storable(message)
    if logger is None:
        logger = TASK_RUNS if task_run_id is not None else FLOW_RUNS
    record = LogLine(
        flow_run_id, task_run_id, context.next_seq() + _first_seq, moment, level, message, logger, file, line, function
    )
    runtime.ledger.write(record)
    if settings.logging_to_console and not shown:
        console.show(record, ENGINE if logger == ENGINE else context.source, settings)


def say_ended(context: TaskRunContext, state: State[Any]) -> None:
    """The last line of a task run. (A failure was spelled out since its moment.)"""
    if state.is_completed():
        say(context, 20, f"Finished in state {state}", moment=state.timestamp, shown=context.collapsed)
    else:
        say(context, 40, f"Finished in state {state}")
    if context.progress is not None:
        context.progress.ended(state)


# A forked child counts on where its parent stood; its numbers must be others. (They come after all of the parent's.)
_first_seq = 0


def _forget() -> None:
    global _first_seq
    _first_seq = os.getpid() << 32


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)


def storable(text: str) -> str:
    """Text that any database takes: lone surrogates and NUL characters are replaced, nothing else."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")

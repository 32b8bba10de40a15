"""Loggers of the program whose records go to the run's log as well (PENSTOCK_LOGGING_EXTRA_LOGGERS).

Law: the program's own logging does what it would do without us. No logger, handler or level is changed. While runs that
name loggers are under way, two methods of `logging.Logger` ask first whether the run wants a record; the program's
configuration, also one that is made inside a run, then decides about its own handlers as ever.

A line is shown in the terminal once: by the program's handlers where they take the record, else by us.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..engine import console
from ..engine.context import RunContext, current
from ..engine.runtime import EngineSettings

if TYPE_CHECKING:
    from logging import Logger, LogRecord

_lock = threading.Lock()
_followed_for = 0
_undo: Callable[[], None] | None = None


@contextlib.contextmanager
def following(settings: EngineSettings) -> Iterator[None]:
    """For the time of a run that has no parent, and of all below it."""
    if not settings.logging_extra_loggers:  # and `logging` is not touched
        yield
        return
    import logging

    for name in settings.logging_extra_loggers:
        # A package whose modules alone have loggers has none itself, and they would not be below it.
        logging.getLogger(name)
    global _followed_for, _undo
    with _lock:
        _followed_for += 1
        if _undo is None:
            _undo = _stand_before()
    try:
        yield
    finally:
        with _lock:
            _followed_for -= 1
            if _followed_for == 0 and _undo is not None:
                _undo()
                _undo = None


def _stand_before() -> Callable[[], None]:
    """Puts our two methods before the program's; gives what undoes it. Each run's own settings say which loggers."""
    import logging

    from ..engine.records import say_record

    is_enabled, handle, log = logging.Logger.isEnabledFor, logging.Logger.handle, logging.Logger._log.__code__

    def is_enabled_or_wanted(self: Logger, level: int) -> bool:
        return is_enabled(self, level) or _who_wants(self, level) is not None

    def handle_and_take(self: Logger, record: LogRecord) -> None:
        context = _who_wants(self, record.levelno)
        if context is None or getattr(record, "penstock_taken", False):
            handle(self, record)
            return
        kept: Any = self.filter(record)
        if not kept:
            return
        if isinstance(kept, logging.LogRecord):  # from Python 3.12 on a filter may give another record
            record = kept
        # Who brings a record that was made elsewhere has not asked whether its level is enabled.
        asked = sys._getframe(1).f_code is log
        heard = not self.disabled and (not asked or is_enabled(self, record.levelno))
        shown = heard and _has_taker(self, record)
        try:
            say_record(context, record, shown)
        except Exception:
            if not shown:  # else the program's handlers meet the same error, and tell of it
                logging.Handler().handleError(record)
        if heard and self.hasHandlers():  # without any, Python's last resort would show the line again
            console.flush()  # what was said before comes before
            self.callHandlers(record)

    def undo() -> None:
        # Somebody who has put his own methods before ours since is left alone; outside of runs ours do nothing.
        if logging.Logger.isEnabledFor is is_enabled_or_wanted:
            logging.Logger.isEnabledFor = is_enabled  # type: ignore[method-assign]
        if logging.Logger.handle is handle_and_take:
            logging.Logger.handle = handle  # type: ignore[method-assign]

    logging.Logger.isEnabledFor = is_enabled_or_wanted  # type: ignore[method-assign]
    logging.Logger.handle = handle_and_take  # type: ignore[method-assign]
    return undo


def _who_wants(logger: Logger, level: int) -> RunContext[Any] | None:
    """The run that the caller is in, if records of this level go from this logger to its log."""
    context = current.get()
    if context is None or level < context.runtime.show_level or logger.manager.disable >= level:
        return None
    least = _level_of(logger, context.runtime.settings.logging_extra_loggers)
    return context if least is not None and level >= least else None


def _level_of(logger: Logger, names: tuple[str, ...]) -> int | None:
    """The nearest level that the program has set from this logger up to one that is named; 0 when it has set none.

    None for a logger that is neither named nor below one that is, and for those of ours, which write to the log anyway.
    """
    if logger.name == "penstock" or logger.name.startswith("penstock."):
        return None
    level = 0
    each: Logger | None = logger
    while each is not None:
        if not level and (each.parent is not None or _is_configured(each)):
            level = each.level
        if each.name in names:
            return level
        each = each.parent
    return None


def _is_configured(root: Logger) -> bool:
    """Whether the program has. The root has the level WARNING from the start, and a bare handler from the moment on in
    which somebody calls `logging.info(...)` or the like."""
    from logging import BASIC_FORMAT, WARNING, Formatter, StreamHandler

    if root.level != WARNING or len(root.handlers) > 1:
        return True
    return any(
        type(handler) is not StreamHandler or getattr(handler.formatter or Formatter(), "_fmt", "") != BASIC_FORMAT
        for handler in root.handlers
    )


def _has_taker(logger: Logger, record: LogRecord) -> bool:
    """Whether a handler of the program's will take the record (the ones that libraries put there take none)."""
    from logging import NullHandler

    each: Logger | None = logger
    while each is not None:
        for handler in each.handlers:
            if record.levelno >= handler.level and not isinstance(handler, NullHandler):
                return True
        each = each.parent if each.propagate else None
    return False

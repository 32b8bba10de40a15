"""The terminal lines of runs: `21:31:37.513 | INFO    | Flow run 'gigantic-cockatoo' - hello`.

They go to stderr. On a terminal each is written at once. In a file or a pipe, where nobody watches, lines are held for
a few milliseconds and written together (a system call a line costs more than the task it tells of); they are written
at once when something else is to follow them: a warning or an error, text of the program that passes through our
capture, the end of the run.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..domain.logs import LogLine, level_name
from .timers import TIMERS

if TYPE_CHECKING:
    from .runtime import EngineSettings

_COLOURS = {40: "\033[31m", 50: "\033[31;1m", 30: "\033[33m", 10: "\033[2m"}
_NAMES = {20: "INFO   ", 30: "WARNING", 40: "ERROR  "}
_prefixes: dict[int, str] = {}

MOST_HELD = 200
HELD_SECONDS = 0.01
_held: deque[str] = deque()
_held_for: tuple[Any, bool] = (None, False)  # the stream, and whether it is a terminal
_flushing = threading.Lock()


def terminal() -> Any:
    """The program's stderr, below any capture of ours."""
    stream = sys.stderr
    while True:
        below = getattr(stream, "penstock_original", None)
        if below is None:
            return stream
        stream = below


def show(line: LogLine, source: str, settings: EngineSettings) -> None:
    """Shows one line (a message of several lines stays as it is). `source` is who says it, in words."""
    global _held_for
    moment, level, message, colours = line.timestamp, line.level, line.message, settings.logging_colors
    stream = terminal()
    if stream is None:
        return
    text = f"{_clock(moment)} | {_NAMES.get(level) or format(level_name(level), '<7')} | {source} - {message}\n"
    if stream is not _held_for[0]:
        flush()
        _held_for = (stream, _is_terminal(stream))
    if _held_for[1]:
        if colours and level in _COLOURS:
            text = f"{_COLOURS[level]}{text[:-1]}\033[0m\n"
        _write(stream, text)
        return
    _held.append(text)
    if level >= 30 or len(_held) >= MOST_HELD:
        flush()
    elif len(_held) == 1:
        TIMERS.after(HELD_SECONDS, flush)


def flush() -> None:
    """Writes the lines that are held."""
    if not _held:
        return
    with _flushing:
        lines = [_held.popleft() for _ in range(len(_held))]
        if lines and _held_for[0] is not None:
            _write(_held_for[0], "".join(lines))


def _write(stream: Any, text: str) -> None:
    """A closed or broken terminal is not the run's fault."""
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    except (OSError, ValueError):
        pass


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def _clock(moment: datetime) -> str:
    """Local time with milliseconds; the part that changes once a second is made once a second."""
    seconds = int(moment.timestamp())
    prefix = _prefixes.get(seconds)
    if prefix is None:
        _prefixes.clear()
        prefix = _prefixes[seconds] = time.strftime("%H:%M:%S", time.localtime(seconds))
    return f"{prefix}.{moment.microsecond // 1000:03d}"


def _forget() -> None:
    """Lines that a parent holds are the parent's to write, not its forked child's."""
    global _flushing
    _held.clear()
    _flushing = threading.Lock()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)

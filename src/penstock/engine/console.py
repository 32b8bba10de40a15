"""The terminal lines of runs: `21:31:37.513 | INFO    | Flow run 'gigantic-cockatoo' - hello`, or JSON for machines.

They go to stderr. On a terminal each is written at once, and above the bars that are drawn there. In a file or a pipe,
where nobody watches, lines are held for a few milliseconds and written together (a system call a line costs more than
the task it tells of); they are written at once when something else is to follow them: a warning or an error, text of
the program that passes through our capture, the end of the run.
"""

from __future__ import annotations

import contextlib
import contextvars
import io
import os
import re
import shutil
import sys
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ..domain.levels import LEVELS, level_name
from ..domain.log_forms import json_line, source_of
from ..domain.logs import LogLine
from . import live
from .timers import TIMERS

if TYPE_CHECKING:
    from .runtime import EngineSettings

_COLOURS = {40: "\033[31m", 50: "\033[31;1m", 30: "\033[33m", 10: "\033[2m"}
_NAMES = {20: "INFO   ", 30: "WARNING", 40: "ERROR  "}
_MILLISECONDS = tuple(f".{number:03d}" for number in range(1000))
# The second that was shown last: its beginning, and how it is written.
_second: tuple[datetime, str] = (datetime.min.replace(tzinfo=UTC), "")
WARNING = 30
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[@-~]")

# Whether lines have their numbers here: not in a worker process, whose lines its parent numbers.
NUMBERED = True

MOST_HELD = 200
HELD_SECONDS = 0.01
_held: deque[str] = deque()


class _Outlet(NamedTuple):
    """Where lines go, and what is looked up of it once."""

    stream: Any
    is_watched: bool
    holds: bool
    coloured: bool
    ascii_only: bool


_outlet = _Outlet(None, False, False, False, False)
_flushing = threading.Lock()
# Whether files take lines together. Not in a forked child, which may end at any time without a word.
_holding = True
# The terminal's last line is the program's, and has no end yet.
_begun = False


def terminal() -> Any:
    """The program's stderr, below any capture of ours."""
    stream = sys.stderr
    while True:
        below = getattr(stream, "penstock_below", None)
        if below is None:
            return stream
        stream = below


def show(line: LogLine, source: str, settings: EngineSettings) -> None:
    """Shows one line (as text a message of several lines stays as it is), where the settings want it to be seen.

    `source` is the run that says it, in words, or the engine.
    """
    level, least = line.level, settings.logging_console_level
    if (level < WARNING and settings.logging_quiet) or (least is not None and level < LEVELS[least]):
        return
    stream = terminal()
    if stream is None:
        return
    outlet = _outlet if stream is _outlet.stream else _change_outlet(stream)
    source = source_of(line.logger, source)
    if settings.logging_console_format == "json":
        numbered = NUMBERED and (line.flow_run_id or line.task_run_id) is not None
        text = f"{json_line(line, source, ascii_only=outlet.ascii_only, numbered=numbered)}\n"
    else:
        name = _NAMES.get(level) or format(level_name(level), "<7")
        text = f"{clock(line.timestamp)} | {name} | {source} - {line.message}\n"
        if outlet.coloured and settings.logging_colors and level in _COLOURS:
            text = f"{_COLOURS[level]}{text[:-1]}\033[0m\n"
    if not outlet.holds:
        if outlet.is_watched and settings.logging_console_format == "text":
            _write_above(stream, text)
        else:
            write(stream, text)
        return
    _held.append(text)
    if level >= WARNING or len(_held) >= MOST_HELD:
        flush()
    elif len(_held) == 1:
        TIMERS.after(HELD_SECONDS, flush)


def _change_outlet(stream: Any) -> _Outlet:
    global _outlet
    flush()
    encoding = getattr(stream, "encoding", None) or "utf-8"
    watched = is_watched(stream)
    # What is no file may want to know who writes: a notebook shows a line below the cell whose code has written it.
    # And text of programs, which is passed on at once, would come before lines that are older.
    holds = _holding and not watched and isinstance(stream, io.TextIOWrapper) and live.catches_up is None
    _outlet = _Outlet(stream, watched, holds, wants_colours(stream), not encoding.lower().startswith("utf"))
    return _outlet


def flush() -> None:
    """Writes the lines that are held."""
    if not _held:
        return
    with _flushing:
        lines = [_held.popleft() for _ in range(len(_held))]
        if lines:
            write(_outlet.stream, "".join(lines))


def write(stream: Any, text: str) -> None:
    """A closed or broken terminal is not the run's fault."""
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    except (OSError, ValueError):
        pass


def pass_on(stream: Any, text: str) -> None:
    """Writes text of the program, as it is."""
    global _begun
    flush()
    with _drawing:
        erase_foot()
        write(stream, text)
        if "\x1b" in text:
            text = _ESCAPES.sub("", text)
        if text:
            _begun = text[-1] not in "\r\n"


# The line at the foot of the terminal, which is written over by what comes next.
_foot = ""
# Whether one may be drawn any moment: then all that the program writes is looked at.
has_foot = False
_drawing = threading.RLock()
_ERASE = "\r\x1b[K"


def draw_foot(text: str, line: str | None = None) -> None:
    """Draws a line at the foot of the terminal instead of the one that is there, and above it a `line` that stays.

    Where the program draws there itself, or has begun a line, only what stays is written.
    """
    global _foot
    stream = terminal()
    if stream is None:
        return
    with _drawing:
        erase_foot()
        if line is not None:
            _write_above(stream, f"{line}\n")
        if text and not _begun and not _is_drawn_on():
            room = shutil.get_terminal_size().columns - 1
            _foot = text if len(text) <= room else f"{text[: room - 1]}…"
            write(stream, _foot)


def erase_foot() -> None:
    global _foot
    with _drawing:
        if _foot:
            _foot = ""
            write(terminal(), _ERASE)


def _is_drawn_on() -> bool:
    bars = sys.modules.get("tqdm.std")
    return hasattr(type(sys.stderr), "rich_proxied_file") or (
        bars is not None and bool(getattr(bars.tqdm, "_instances", None))
    )


def _write_above(stream: Any, text: str) -> None:
    """A line, where the program may be drawing: rich and tqdm know how to make room for one, others get a new line.

    In no run's context: what they draw on the way is not written by a run.
    """
    global _begun, _foot
    if _foot:
        with _drawing:
            foot, _foot = _foot, ""
            write(stream, f"{_ERASE}{text}{foot}")
            _foot = foot
        return
    drawn_over = sys.stderr
    bars = sys.modules.get("tqdm.std")
    if hasattr(type(drawn_over), "rich_proxied_file"):
        contextvars.Context().run(write, drawn_over, text)
    elif bars is not None and getattr(bars.tqdm, "_instances", None):
        contextvars.Context().run(_write_between, bars.tqdm, stream, text)
    else:
        write(stream, f"\n{text}" if _begun else text)
        _begun = False


def _write_between(tqdm: Any, stream: Any, text: str) -> None:
    with tqdm.external_write_mode(sys.stderr):
        write(stream, text)


def is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def is_watched(stream: Any) -> bool:
    """Whether somebody sees what is drawn there while it is drawn: in a terminal, in a notebook."""
    return is_terminal(stream) or type(stream).__module__.partition(".")[0] == "ipykernel"


def wants_colours(stream: Any) -> bool:
    """Whether a stream is a terminal that shows colours to somebody who has not forbidden them (no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def clock(moment: datetime) -> str:
    """Local time with milliseconds; the part that changes once a second is made once a second."""
    global _second
    began, text = _second
    since = moment - began
    if since.seconds or since.days:
        # (In UTC: two moments of one zone are subtracted by their clocks, which go back an hour in autumn.)
        began = moment.astimezone(UTC).replace(microsecond=0)
        text = time.strftime("%H:%M:%S", time.localtime(began.timestamp()))
        _second = began, text
    return text + _MILLISECONDS[moment.microsecond // 1000]


def _forget() -> None:
    """Lines that a parent holds are the parent's to write, not its forked child's."""
    global _drawing, _flushing, _foot, _holding, _outlet, has_foot
    _holding = False
    _drawing, _foot, has_foot = threading.RLock(), "", False
    _outlet = _Outlet(None, False, False, False, False)
    _held.clear()
    _flushing = threading.Lock()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)

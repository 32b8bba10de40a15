"""The terminal lines of runs: `21:31:37.513 | INFO    | Flow run 'gigantic-cockatoo' - hello`.

They go to stderr, at once, so that they stand in the right place between what the program itself prints.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import Any

from ..domain.logs import level_name

_COLOURS = {40: "\033[31m", 50: "\033[31;1m", 30: "\033[33m", 10: "\033[2m"}
_prefixes: dict[int, str] = {}


def terminal() -> Any:
    """The program's stderr, below any capture of ours."""
    stream = sys.stderr
    while True:
        below = getattr(stream, "penstock_original", None)
        if below is None:
            return stream
        stream = below


def show(moment: datetime, level: int, source: str, message: str, colours: bool) -> None:
    """Writes one line (a message of several lines stays as it is). A closed or broken terminal is not the run's fault."""
    stream = terminal()
    if stream is None:
        return
    line = f"{_clock(moment)} | {level_name(level):<7} | {source} - {message}\n"
    if colours and level in _COLOURS and stream.isatty():
        line = f"{_COLOURS[level]}{line[:-1]}\033[0m\n"
    try:
        stream.write(line)
        stream.flush()
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(line.encode(encoding, "backslashreplace").decode(encoding))
    except (OSError, ValueError):
        pass


def _clock(moment: datetime) -> str:
    """Local time with milliseconds; the part that changes once a second is made once a second."""
    seconds = int(moment.timestamp())
    prefix = _prefixes.get(seconds)
    if prefix is None:
        _prefixes.clear()
        prefix = _prefixes[seconds] = time.strftime("%H:%M:%S", time.localtime(seconds))
    return f"{prefix}.{moment.microsecond // 1000:03d}"

"""A log line in words for people and as JSON for programs: one form, in the terminal and from the command line."""

from __future__ import annotations

import re

import msgspec

from .levels import level_name
from .logs import LogLine

ENGINE, FLOW_RUNS, TASK_RUNS = "penstock.engine", "penstock.flow_runs", "penstock.task_runs"
_OURS = frozenset({ENGINE, FLOW_RUNS, TASK_RUNS})

# What JSON may hold as it is, though it ends a line for some readers, or drives a terminal.
_UNSAFE = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_NOT_ASCII = re.compile("[^\x00-\x7e]")


def source_of(logger: str, run: str) -> str:
    """Who says a line: the engine, the run (`Task run 'work-0'`), or the run and the logger that is not ours. Outside
    of runs the logger stands for the run."""
    if logger in _OURS:
        return ENGINE if logger == ENGINE else run
    return run if run == logger else f"{run} ({logger})"


def json_line(line: LogLine, source: str, *, ascii_only: bool = False, numbered: bool = True) -> str:
    """A line as one JSON object on one line, whatever it holds. The names are part of the documented interface.

    `numbered`: whether the line's number is known already.
    """
    fields = {
        "timestamp": line.timestamp,
        "level": line.level,
        "level_name": level_name(line.level),
        "logger": line.logger,
        "source": source,
        "message": line.message,
        "flow_run_id": line.flow_run_id,
        "task_run_id": line.task_run_id,
        "seq": line.seq if numbered else None,
        "file": line.file,
        "line": line.line,
        "function": line.function,
    }
    try:
        text = msgspec.json.encode(fields).decode()
    except UnicodeEncodeError:  # half a surrogate pair: in the name of a file, for instance
        whole = {key: _whole(value) if isinstance(value, str) else value for key, value in fields.items()}
        text = msgspec.json.encode(whole).decode()
    return (_NOT_ASCII if ascii_only else _UNSAFE).sub(_escape, text)


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _escape(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))

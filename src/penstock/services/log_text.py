"""A log as text, to be kept or sent to somebody: a line for each line, with the whole date and the offset."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..domain.filters import LogFilter
from ..domain.levels import level_name
from ..domain.log_forms import source_of
from ..domain.logs import LogLine
from ..domain.runs import FlowRun
from ..store import logs
from ..store.contract import Store
from . import log_reading
from .log_following import Names

_ALL = LogFilter()
# What would drive the terminal of who looks into the file; line breaks and tabs stay.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def pieces(store: Store, run: FlowRun) -> Iterator[str]:
    """The whole log of a flow run, its task runs' lines included, a page of lines at a time."""
    after: int | None = logs.FIRST
    while after is not None:
        lines, after = log_reading.page(store, run.id, _ALL, log_reading.PAGE, after=after)
        names = log_reading.task_names(store, lines)
        if lines:
            yield "".join(_text(line, _source(line, run, names)) for line in lines)


def _source(line: LogLine, run: FlowRun, names: Names) -> str:
    if line.task_run_id is None:
        return source_of(line.logger, f"Flow run {run.name!r}")
    return source_of(line.logger, f"Task run {names.get(line.task_run_id, (str(line.task_run_id),))[0]!r}")


def _text(line: LogLine, source: str) -> str:
    moment = line.timestamp.isoformat(" ", "milliseconds")
    text = f"{moment} | {level_name(line.level):<7} | {source} - {line.message}"
    return _CONTROLS.sub(lambda found: f"\\x{ord(found.group()):02x}", text.replace("\r\n", "\n")) + "\n"

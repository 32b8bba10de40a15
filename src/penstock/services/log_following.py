"""Following a log in steps: each gives what has come since the one before, and where the next goes on. Nothing is kept
between them, so they may be answered by several servers in turn."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from ..domain.filters import LogFilter
from ..domain.logs import LogLine
from ..domain.runs import FlowRun, TaskRun
from ..store import logs
from ..store.contract import Store
from . import log_reading
from .log_reading import PAGE, LogCursor, LogPosition

# For how long something may still come after a run has ended: it says how it did, and hooks may speak after that.
SETTLED = timedelta(seconds=3)
# In how many seconds a line that waits for one before it is looked for again.
AGAIN_SECONDS = 0.05
_NEVER = timedelta(days=1)
_ALL = LogFilter()

Names = dict[UUID, tuple[str, str]]


class Step(msgspec.Struct, frozen=True):
    """Lines, the names of the task runs that wrote them, and where the reader is. `more`: there is more already.
    `news`: something came, if only the run's end."""

    lines: list[LogLine]
    names: Names
    position: LogPosition
    more: bool
    news: bool
    waits: bool
    ended: bool
    settled: bool


def log_of(run: FlowRun | TaskRun) -> UUID:
    """Whose log has the run's lines: inside a flow run those of all are one log, so that their order is known."""
    return run.id if isinstance(run, FlowRun) else run.flow_run_id or run.id


def step(
    store: Store,
    run: FlowRun | TaskRun,
    filter: LogFilter,
    position: LogPosition | None,
    *,
    last: int | None,
    rest: bool,
    now: datetime,
) -> Step:
    """What comes next for a reader. `run` was read before this: a run that had ended then has said all by now, but for
    what comes late. `last` counts for the first step only; `rest` waits for no line any more."""
    id = log_of(run)
    if position is None:
        cursor = LogCursor.at_end(store, id)
        behind: int | None = logs.FIRST if last is None else log_reading.before_last(store, id, filter, last)
        knew_end = False
    else:
        cursor = LogCursor.at(store, id, position)
        behind, knew_end = position.behind, position.ended
    ended = run.state.is_final()
    settled = ended and now - run.state.timestamp > SETTLED
    if behind is not None:
        lines, behind = cursor.backlog(filter, behind)
        names = log_reading.task_names(store, lines)
        more, came = True, True
    else:
        found = cursor.fresh(now + _NEVER if rest or settled else now)
        names = log_reading.task_names(store, found) if filter != _ALL or found else {}
        lines = [line for line in found if filter.fits(line, _names(names, line))]
        more, came = len(found) >= PAGE, bool(found)
    news = came or (ended and not knew_end) or cursor.awaits
    return Step(lines, names, cursor.position(behind, ended), more, news, cursor.awaits, ended, settled and not more)


def _names(names: Names, line: LogLine) -> tuple[str, ...]:
    return () if line.task_run_id is None else names.get(line.task_run_id, ())

"""What can be asked about logs."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from ..domain.filters import LogFilter
from ..domain.logs import LogLine
from .flow_runs import Patience
from .operation import Operation
from .paging import MOST, Cursor, Limit

# Numbers of lines: no line has a higher one.
Seq = Annotated[int, msgspec.Meta(ge=-1, le=2**62)]
LineCount = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
# Where a reader is, as text that it gives back.
Position = Annotated[str, msgspec.Meta(max_length=60_000)]


class FilterLogs(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Lines of a flow run, those of its task runs included, or of a task run; between two numbers, both excluded; in
    their order, or `backwards`. `last` is for the last so many that fit, in their order."""

    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
    filter: LogFilter = LogFilter()
    after: Seq = -1
    before: Seq | None = None
    backwards: bool = False
    last: LineCount | None = None
    limit: Limit = MOST
    cursor: Cursor | None = None


class TaskNames(msgspec.Struct, frozen=True):
    """A task run's name, and its task's."""

    name: str
    task_name: str


class LogPage(msgspec.Struct, kw_only=True):
    """Lines, and the names of the task runs that wrote them. `next` is the cursor of what follows; None: that was
    all."""

    items: list[LogLine]
    tasks: dict[UUID, TaskNames]
    next: str | None = None


class FollowLogs(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Lines as they come: those that are there (or the `last` of them) first, then what is new, each once. `position`
    is that of the answer before. `rest`: lines that could still come are not waited for any more."""

    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
    filter: LogFilter = LogFilter()
    last: LineCount | None = None
    position: Position | None = None
    rest: bool = False
    wait: Patience = 0.0


class LogNews(msgspec.Struct, kw_only=True):
    """`silent`: nothing came, not even lines that do not fit. `more`: there is more already. `again` is in how many
    seconds a line may come without any change of the record, `ended` says that the run has ended, `settled` that it did
    so long ago: nothing will come any more."""

    items: list[LogLine]
    tasks: dict[UUID, TaskNames]
    position: str
    silent: bool = False
    more: bool = False
    again: float | None = None
    ended: bool = False
    settled: bool = False


FILTER_LOGS = Operation("filter_logs", "POST", "/logs/filter", FilterLogs, LogPage, "Read lines of a log.", reads=True)
FOLLOW_LOGS = Operation(
    "follow_logs", "POST", "/logs/follow", FollowLogs, LogNews, "Follow a log while it grows.", reads=True, waits=True
)

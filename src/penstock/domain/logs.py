"""A line of a run's log."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec


class LogLine(msgspec.Struct, frozen=True, gc=False):  # it holds nothing that could hold it
    """One record of a run's log.

    `seq` orders the lines of one flow run (of one task run, where it has no flow run); clocks do not. `file`, `line`
    and `function` are the caller's.
    """

    flow_run_id: UUID | None
    task_run_id: UUID | None
    seq: int
    timestamp: datetime
    level: int
    message: str
    logger: str = "penstock.flow_runs"
    file: str | None = None
    line: int | None = None
    function: str | None = None


def cut(message: str, limit: int, dropped: int = 0) -> str:
    """A message of at most `limit` characters; what was cut is said, never dropped silently. `dropped` characters
    were cut from its end before."""
    more = max(len(message) - limit, 0) + dropped
    return f"{message[:limit]}… [cut: {more:,} more characters]" if more else message

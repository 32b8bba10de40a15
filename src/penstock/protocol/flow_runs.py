"""What can be asked about flow runs."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from ..domain.filters import RunFilter
from ..domain.runs import FlowRun
from .operation import Count, Operation, Page
from .paging import Cursor, Limit

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400 * 365)]
# A long wait is many short ones: a connection that dies in silence is noticed.
Patience = Annotated[float, msgspec.Meta(ge=0, le=60)]


class FilterRuns(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Runs that fit, the newest first."""

    filter: RunFilter = RunFilter()
    limit: Limit = 200
    cursor: Cursor | None = None


class CountRuns(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    filter: RunFilter = RunFilter()


class ById(msgspec.Struct, forbid_unknown_fields=True):
    id: UUID


class CancelRun(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`grace` is how many seconds the run's code has to come to its end; none: as its process's settings say."""

    id: UUID
    grace: Seconds | None = None


class WaitForRun(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Waits until the run's `version` is above `seen`, but no longer than `wait` seconds."""

    id: UUID
    seen: int = -1
    wait: Patience = 0.0


FILTER_FLOW_RUNS = Operation(
    "filter_flow_runs", "POST", "/flow_runs/filter", FilterRuns, Page[FlowRun], "List flow runs, the newest first.",
    reads=True,
)  # fmt: skip
COUNT_FLOW_RUNS = Operation(
    "count_flow_runs", "POST", "/flow_runs/count", CountRuns, Count, "Count flow runs.", reads=True
)
READ_FLOW_RUN = Operation("read_flow_run", "GET", "/flow_runs/{id}", ById, FlowRun, "Read a flow run.")
WAIT_FOR_FLOW_RUN = Operation(
    "wait_for_flow_run", "GET", "/flow_runs/{id}/wait", WaitForRun, FlowRun,
    "Read a flow run when it has changed.", waits=True,
)  # fmt: skip
CANCEL_FLOW_RUN = Operation(
    "cancel_flow_run", "POST", "/flow_runs/{id}/cancel", CancelRun, FlowRun,
    "Cancel a flow run and all that it called.", safe=True,
)  # fmt: skip

"""What can be asked about task runs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from ..domain.runs import TaskRun
from ..domain.states import State
from ..domain.stops import Signal
from .flow_runs import ById, CancelRun, CountRuns, FilterRuns, FindRun, WaitForRun
from .operation import Count, Operation, Page


class StatesOfTaskRun(msgspec.Struct, forbid_unknown_fields=True):
    task_run_id: UUID


class OpenRequest(msgspec.Struct):
    """Somebody's request to stop a run; None where there is none."""

    signal: Signal | None


FILTER_TASK_RUNS = Operation(
    "filter_task_runs", "POST", "/task_runs/filter", FilterRuns, Page[TaskRun], "List task runs, the newest first.",
    reads=True,
)  # fmt: skip
COUNT_TASK_RUNS = Operation(
    "count_task_runs", "POST", "/task_runs/count", CountRuns, Count, "Count task runs.", reads=True
)
FIND_TASK_RUN = Operation(
    "find_task_run", "POST", "/task_runs/find", FindRun, TaskRun, "Find a task run by a part of its id.", reads=True
)
READ_TASK_RUN = Operation("read_task_run", "GET", "/task_runs/{id}", ById, TaskRun, "Read a task run.")
WAIT_FOR_TASK_RUN = Operation(
    "wait_for_task_run", "GET", "/task_runs/{id}/wait", WaitForRun, TaskRun,
    "Read a task run when it has changed.", waits=True,
)  # fmt: skip
CANCEL_TASK_RUN = Operation(
    "cancel_task_run", "POST", "/task_runs/{id}/cancel", CancelRun, TaskRun,
    "Cancel a task run; its flow goes on.", safe=True,
)  # fmt: skip
READ_TASK_RUN_REQUEST = Operation(
    "read_task_run_request", "GET", "/task_runs/{id}/request", ById, OpenRequest,
    "The request to stop a task run that it has not answered yet.",
)  # fmt: skip
READ_TASK_RUN_STATES = Operation(
    "read_task_run_states", "GET", "/task_run_states", StatesOfTaskRun, list[State[Any]],
    "The states that a task run went through.",
)  # fmt: skip

"""What can be asked about flow runs."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from ..domain.filters import MOST_IDS, Moment, RunFilter
from ..domain.pauses import Pause
from ..domain.runs import FlowRun
from ..domain.states import State, StateType
from ..domain.waiting import Why
from .operation import Count, Operation, Page
from .paging import Cursor, Limit

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400 * 365)]
# A long wait is many short ones: a connection that dies in silence is noticed.
Patience = Annotated[float, msgspec.Meta(ge=0, le=60)]
RunText = Annotated[str, msgspec.Meta(max_length=1000, description="An id, the beginning or end of one, or a name.")]
Ids = Annotated[tuple[UUID, ...], msgspec.Meta(max_length=MOST_IDS)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Tags = Annotated[tuple[str, ...], msgspec.Meta(max_length=100)]
Labels = Annotated[dict[Name, Annotated[str, msgspec.Meta(max_length=1000)]], msgspec.Meta(max_length=100)]


class FilterRuns(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Runs that fit, the newest first, or with `oldest_first` the other way round."""

    filter: RunFilter = RunFilter()
    limit: Limit = 200
    cursor: Cursor | None = None
    oldest_first: bool = False


class CountRuns(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    filter: RunFilter = RunFilter()


class ById(msgspec.Struct, forbid_unknown_fields=True):
    id: UUID


class FindRun(msgspec.Struct, forbid_unknown_fields=True):
    """The one run that is meant by `text`, as people name runs."""

    text: RunText


class CancelRun(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`grace` is how many seconds the run's code has to come to its end; none: as its process's settings say."""

    id: UUID
    grace: Seconds | None = None


class WaitForRun(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Waits until the run's `version` is above `seen`, but no longer than `wait` seconds."""

    id: UUID
    seen: int = -1
    wait: Patience = 0.0


class DeleteRun(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """With `force` also a run that has not ended; its process is not stopped."""

    id: UUID
    force: bool = False


class Deleted(msgspec.Struct, frozen=True):
    """The runs that were asked for, and the subflow runs below them."""

    flow_runs: int
    subflow_runs: int


class BulkDelete(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The runs of `ids`: all, or none where one has not ended and there is no `force`. Or those that fit a `filter` and
    have ended, the newest first, `limit` at a time. With `dry_run` nothing is deleted."""

    ids: Ids | None = None
    filter: RunFilter | None = None
    force: bool = False
    dry_run: bool = False
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_IDS)] = 200


class BulkDeleted(msgspec.Struct, kw_only=True):
    """`ids` are the runs that were deleted, or would be; `more` says that others fit as well."""

    ids: list[UUID]
    subflow_runs: int
    more: bool = False


class BulkCancel(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The runs of `ids`; or those that fit a `filter` and have not ended, without those that end with one above them.
    With `dry_run` nobody is asked to stop."""

    ids: Ids | None = None
    filter: RunFilter | None = None
    grace: Seconds | None = None
    dry_run: bool = False


class Outcome(StrEnum):
    """What became of the request to stop a run."""

    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"
    AGAIN = "already-cancelling"
    ENDED = "ended-meanwhile"
    REFUSED = "transition-refused"
    MISSING = "not-found"
    NOT_ASKED = "not-asked"


class Cancelled(msgspec.Struct, kw_only=True):
    """What became of one request: `message` says it, `run` is the run as it is then, where there is one."""

    id: UUID
    outcome: Outcome
    message: str
    run: FlowRun | None = None


class Proposal(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A state to go into: its type, and its name where that is another than the type's."""

    type: StateType
    name: Name | None = None
    message: Annotated[str, msgspec.Meta(max_length=10_000)] | None = None


class SetState(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """CANCELLING and CANCELLED ask for the run's end, PAUSED that it waits before its next task. With `force` a final
    state closes a run that nobody executes."""

    id: UUID
    state: Proposal
    force: bool = False


class Verdict(StrEnum):
    ACCEPT = "ACCEPT"
    REJECT = "REJECT"
    WAIT = "WAIT"
    ABORT = "ABORT"


class Reason(msgspec.Struct, omit_defaults=True):
    reason: str | None = None


class StateSet(msgspec.Struct):
    """Whether it was accepted, the state that the run is in now, and why that is not the proposed one."""

    status: Verdict
    state: State[Any]
    details: Reason


class UpdateRun(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed; tags and labels as a whole. A run with `keep` is left alone by retention."""

    id: UUID
    name: Name | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    labels: Labels | UnsetType = UNSET
    keep: bool | UnsetType = UNSET


class StatesOfFlowRun(msgspec.Struct, forbid_unknown_fields=True):
    flow_run_id: UUID


class RunHistory(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How many of the runs that fit were created in each interval of `interval_seconds` from `start` on and before
    `end`, by the state they are in now; 1000 intervals at most."""

    start: Moment
    end: Moment
    interval_seconds: Annotated[float, msgspec.Meta(ge=1, le=86_400 * 366)]
    filter: RunFilter = RunFilter()


class StateCount(msgspec.Struct):
    state_type: StateType
    state_name: str
    count: int


class TaskCount(msgspec.Struct, frozen=True):
    """The runs of one task in a flow run, by the states that they are in."""

    task_name: str
    states: list[StateCount]

    @property
    def total(self) -> int:
        return sum(state.count for state in self.states)


class Interval(msgspec.Struct):
    start: datetime
    end: datetime
    states: list[StateCount]


class CheckRetry(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`elsewhere` says that the flow is not looked for where it was."""

    id: UUID
    elsewhere: bool = False


Comment = Annotated[str, msgspec.Meta(max_length=10_000)]


class PauseRun(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Has a run that is Running wait before its next task, at most `timeout` seconds (null: for ever); with `suspend`
    without a process."""

    id: UUID
    timeout: Seconds | None = 3600.0
    suspend: bool = False


class ResumeRun(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Has a run go on that waits, with the input that it asked for."""

    id: UUID
    run_input: Any = None
    comment: Comment | None = None


class RejectRun(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Rejects what a run asks to be approved."""

    id: UUID
    comment: Comment | None = None


class FilterPauses(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What waits for somebody, the oldest first; or, with a `flow_run_id`, all pauses of that run."""

    flow_run_id: UUID | None = None
    limit: Limit = 200
    cursor: Cursor | None = None


class Waiting(msgspec.Struct):
    """A pause, and the run that waits."""

    pause: Pause
    run: FlowRun


class ChangesSeen(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    seen: int | None = None
    wait: Patience = 0.0


class Changes(msgspec.Struct):
    """A number that differs after anybody has changed the record. It means nothing else."""

    number: int


FILTER_FLOW_RUNS = Operation(
    "filter_flow_runs", "POST", "/flow_runs/filter", FilterRuns, Page[FlowRun], "List flow runs, the newest first.",
    reads=True,
)  # fmt: skip
COUNT_FLOW_RUNS = Operation(
    "count_flow_runs", "POST", "/flow_runs/count", CountRuns, Count, "Count flow runs.", reads=True
)
FIND_FLOW_RUN = Operation(
    "find_flow_run", "POST", "/flow_runs/find", FindRun, FlowRun, "Find a flow run by a part of its id, or its name.",
    reads=True,
)  # fmt: skip
FLOW_RUN_HISTORY = Operation(
    "flow_run_history", "POST", "/flow_runs/history", RunHistory, list[Interval],
    "Count flow runs by time and state.", reads=True,
)  # fmt: skip
BULK_DELETE_FLOW_RUNS = Operation(
    "bulk_delete_flow_runs", "POST", "/flow_runs/bulk_delete", BulkDelete, BulkDeleted,
    "Delete flow runs with all that is theirs.",
)  # fmt: skip
BULK_CANCEL_FLOW_RUNS = Operation(
    "bulk_cancel_flow_runs", "POST", "/flow_runs/bulk_cancel", BulkCancel, list[Cancelled],
    "Cancel flow runs and all that they called.", safe=True,
)  # fmt: skip
READ_FLOW_RUN = Operation("read_flow_run", "GET", "/flow_runs/{id}", ById, FlowRun, "Read a flow run.")
WAIT_FOR_FLOW_RUN = Operation(
    "wait_for_flow_run", "GET", "/flow_runs/{id}/wait", WaitForRun, FlowRun,
    "Read a flow run when it has changed.", waits=True,
)  # fmt: skip
CANCEL_FLOW_RUN = Operation(
    "cancel_flow_run", "POST", "/flow_runs/{id}/cancel", CancelRun, FlowRun,
    "Cancel a flow run and all that it called.", safe=True,
)  # fmt: skip
SET_FLOW_RUN_STATE = Operation(
    "set_flow_run_state", "POST", "/flow_runs/{id}/set_state", SetState, StateSet,
    "Propose a state for a flow run.",
)  # fmt: skip
UPDATE_FLOW_RUN = Operation(
    "update_flow_run", "PATCH", "/flow_runs/{id}", UpdateRun, FlowRun, "Change what people say of a flow run.",
    safe=True,
)  # fmt: skip
DELETE_FLOW_RUN = Operation(
    "delete_flow_run", "DELETE", "/flow_runs/{id}", DeleteRun, Deleted,
    "Delete a flow run with its task runs, logs and subflow runs.",
)  # fmt: skip
READ_FLOW_RUN_STATES = Operation(
    "read_flow_run_states", "GET", "/flow_run_states", StatesOfFlowRun, list[State[Any]],
    "The states that a flow run went through.",
)  # fmt: skip
COUNT_TASK_RUNS_OF = Operation(
    "count_task_runs_of_flow_run", "GET", "/flow_runs/{id}/task_run_counts", ById, dict[str, int],
    "How many task runs of a flow run are in each state.",
)  # fmt: skip
WHY_FLOW_RUN = Operation(
    "why_flow_run_waits", "GET", "/flow_runs/{id}/why", ById, Why,
    "Why a flow run waits: a sentence, a reason, and numbers.",
)  # fmt: skip
COUNT_TASK_RUNS_BY_TASK = Operation(
    "count_task_runs_of_flow_run_by_task", "GET", "/flow_runs/{id}/task_run_counts_by_task", ById, list[TaskCount],
    "How many runs of each task a flow run has, and in which states.",
)  # fmt: skip
CHECK_RETRY = Operation(
    "check_flow_run_retry", "GET", "/flow_runs/{id}/retry", CheckRetry, FlowRun,
    "Whether a flow run could be entered again: the run, or why not.",
)  # fmt: skip
RETRY_FLOW_RUN = Operation(
    "retry_flow_run", "POST", "/flow_runs/{id}/retry", ById, FlowRun,
    "Have a deployment's run that ended badly launched once more; what it completed is not run again.",
)  # fmt: skip
PAUSE_FLOW_RUN = Operation(
    "pause_flow_run", "POST", "/flow_runs/{id}/pause", PauseRun, FlowRun,
    "Have a flow run wait before its next task.", safe=True, strict=True
)  # fmt: skip
RESUME_FLOW_RUN = Operation(
    "resume_flow_run", "POST", "/flow_runs/{id}/resume", ResumeRun, FlowRun,
    "Have a flow run go on that waits, with the input that it asked for.", strict=True
)  # fmt: skip
APPROVE_FLOW_RUN = Operation(
    "approve_flow_run", "POST", "/flow_runs/{id}/approve", ResumeRun, FlowRun,
    "Approve what a flow run asks to be approved; it goes on when enough people have.",
)  # fmt: skip
REJECT_FLOW_RUN = Operation(
    "reject_flow_run", "POST", "/flow_runs/{id}/reject", RejectRun, FlowRun,
    "Reject what a flow run asks to be approved.",
)  # fmt: skip
FILTER_PAUSES = Operation(
    "filter_pauses", "POST", "/pauses/filter", FilterPauses, Page[Waiting],
    "List what waits for somebody, or all pauses of a run.", reads=True,
)  # fmt: skip
READ_CHANGES = Operation(
    "read_changes", "GET", "/changes", ChangesSeen, Changes, "Wait for any change of the record.", waits=True
)

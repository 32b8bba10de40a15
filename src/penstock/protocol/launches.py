"""What workers ask for and report, and what can be asked about what they launched."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import msgspec

from ..domain.launches import Launch, Place
from ..domain.pools import WorkerRecord
from ..domain.runs import FlowRun, Holder
from .operation import Operation, Page
from .paging import Cursor, Limit

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Text = Annotated[str, msgspec.Meta(max_length=10_000)]
Names = Annotated[tuple[Name, ...], msgspec.Meta(max_length=1000)]
Ids = Annotated[tuple[UUID, ...], msgspec.Meta(max_length=10_000)]
Patience = Annotated[float, msgspec.Meta(ge=0, le=60)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400 * 365)]


class WorkerReport(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Who a worker is. `id` is new with each of its processes. `scope`: see `WorkerRecord`."""

    id: UUID
    name: Name
    type: Name
    host: Text
    scope: Text
    version: Name
    started: datetime
    holder: Holder | None = None
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None


class ClaimLaunches(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Asks for work, and says that the worker lives: of a work pool (of its `queues`, or all), or of the `deployments`
    that a process serves by itself. `running` are the flow runs that it watches; at most `slots` are taken. `seen` are
    the runs among them whose end it knows to be asked for, and `next_seen` is when it knows the next to be due: it
    waits for news. `draining`: it takes no more runs, and what it asked before need not be waited for."""

    worker: WorkerReport
    work_pool: Name | None = None
    queues: Names = ()
    deployments: Ids = ()
    running: Ids = ()
    seen: Ids = ()
    next_seen: datetime | None = None
    slots: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 1
    wait: Patience = 0.0
    draining: bool = False


class Work(msgspec.Struct, kw_only=True):
    """A launch that was claimed, with its run; and `adopt`: a worker had launched it that is not there any more."""

    launch: Launch
    run: FlowRun
    adopt: bool = False


class StopRequest(msgspec.Struct, kw_only=True):
    """A run of the worker's whose infrastructure is to be ended: asked at `at`, in `grace` seconds (None: as the worker
    says). `over`: the run has ended by itself, or was closed, and its infrastructure is there still."""

    flow_run_id: UUID
    at: datetime
    grace: float | None = None
    who: str = ""
    over: bool = False


class Claims(msgspec.Struct, kw_only=True):
    """`work` is to be launched, or adopted; `stops` to be ended. `base_job_template` is the pool's, {}: the type's own.
    `lost` are runs that this worker has no more (it was not heard of, and another took them). `next` is when the next
    run is due that is known, by the clock that says `now`: the worker's may be another. `paused` says why nothing is
    given, where that is so."""

    work: list[Work] = []
    stops: list[StopRequest] = []
    lost: list[UUID] = []
    base_job_template: dict[str, Any] = {}
    grace: float | None = None
    next: datetime | None = None
    now: datetime | None = None
    paused: str | None = None


class Event(StrEnum):
    """What happened to a launch: it runs somewhere; it could not be launched (try again, or never); its infrastructure
    ended, was ended, or could not be ended."""

    LAUNCHED = "launched"
    NOT_LAUNCHED = "not-launched"
    REFUSED = "refused"
    WAITING = "waiting"
    ENDED = "ended"
    STOPPED = "stopped"
    NOT_STOPPED = "not-stopped"
    RELEASED = "released"


class ReportLaunch(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`configuration` and `place` with LAUNCHED; `message` says what kept it, or how it ended, `exit_code` and `lines`
    (the last that it wrote) with ENDED; `how` (`domain.stops`: returned, killed, gone) and `seconds` with STOPPED.
    RELEASED gives back what was claimed and not launched."""

    id: UUID
    worker: UUID
    event: Event
    message: Text | None = None
    configuration: dict[str, Any] | None = None
    place: Place | None = None
    exit_code: int | None = None
    lines: Annotated[tuple[Text, ...], msgspec.Meta(max_length=100)] = ()
    how: Name | None = None
    seconds: Seconds = 0.0


class Reported(msgspec.Struct, kw_only=True):
    """`kept` is False where the launch is not this worker's any more; then nothing was changed. `run` is as it is
    then."""

    kept: bool
    launch: Launch
    run: FlowRun


class LaunchOf(msgspec.Struct, forbid_unknown_fields=True):
    id: UUID


class FilterLaunches(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Launches that are open, the newest first."""

    work_pool: Name | None = None
    limit: Limit = 200
    cursor: Cursor | None = None


class FilterWorkers(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Workers, those heard of last first; with `all` also those that are offline."""

    work_pool: Name | None = None
    all: bool = False
    limit: Limit = 200


class WorkerLeaves(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    id: UUID


CLAIM_LAUNCHES = Operation(
    "claim_launches", "POST", "/workers/claim", ClaimLaunches, Claims, "Take runs to launch; wait for some.",
    waits=True, safe=True, journal=True,
)  # fmt: skip
REPORT_LAUNCH = Operation(
    "report_launch", "POST", "/flow_runs/{id}/launch", ReportLaunch, Reported, "Report what became of a launch.",
    safe=True, journal=True,
)  # fmt: skip
READ_LAUNCH = Operation(
    "read_launch", "GET", "/flow_runs/{id}/launch", LaunchOf, Launch, "How a flow run is launched, and where it is."
)
FILTER_LAUNCHES = Operation(
    "filter_launches", "POST", "/launches/filter", FilterLaunches, Page[Work], "List what is launched and not over.",
    reads=True,
)  # fmt: skip
FILTER_WORKERS = Operation(
    "filter_workers", "POST", "/workers/filter", FilterWorkers, Page[WorkerRecord], "List workers.", reads=True
)
WORKER_LEAVES: Operation[WorkerLeaves, None] = Operation(
    "worker_leaves", "POST", "/workers/{id}/leave", WorkerLeaves, None, "A worker ends.", safe=True, journal=True
)

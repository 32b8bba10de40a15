"""What can be asked about deployments, and of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from ..domain.concurrency_keys import LONGEST_KEY, PRIORITIES, Rate
from ..domain.deployments import Collision, Deployment
from ..domain.runs import FlowRun
from ..domain.schedules import CatchUp, DeploymentSchedule, Overlap, Schedule
from ..domain.trace_context import MOST_STATE, PATTERN
from .operation import Count, Operation, Page
from .paging import Limit

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Text = Annotated[str, msgspec.Meta(max_length=100_000)]
Line = Annotated[str, msgspec.Meta(max_length=4_000)]
Json = dict[str, Any]
Tags = Annotated[tuple[str, ...], msgspec.Meta(max_length=100)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400 * 365)]
Whole = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Priority = Annotated[int, msgspec.Meta(ge=0, le=PRIORITIES)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_KEY)]
Steps = Annotated[tuple[Json, ...], msgspec.Meta(max_length=100)]
NameCursor = Annotated[str, msgspec.Meta(max_length=600, description="`next` of the page before: a name.")]
# Ids of runs, and of pages of times.
Times = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class ScheduleGiven(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A schedule as it is wanted; see `DeploymentSchedule`."""

    schedule: Schedule
    active: bool = True
    slug: Name | None = None
    parameters: Json = {}
    catchup: CatchUp = CatchUp.LATEST
    catchup_window: Seconds | None = None
    overlap: Overlap = Overlap.ALLOW
    jitter: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 0.0


Schedules = Annotated[tuple[ScheduleGiven, ...], msgspec.Meta(max_length=100)]


class ApplyDeployment(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A deployment as it is wanted: new, or in place of the one of this name; what is not given is as it is by itself.
    Without `schedules` and `paused`, those that are there stay. With `dry_run` nothing is changed."""

    flow_name: Name
    name: Name
    entrypoint: Line | None = None
    path: Line | None = None
    pull_steps: Steps = ()
    version: Name | None = None
    description: Text | None = None
    tags: Tags = ()
    labels: dict[str, str] = {}
    parameters: Json = {}
    parameter_schema: Json = {}
    enforce_parameter_schema: bool = True
    work_pool: Name | None = None
    work_queue: Name | None = None
    job_variables: Json = {}
    concurrency_limit: Whole | None = None
    collision: Collision = Collision.ENQUEUE
    priority: Priority | None = None
    concurrency_key: Name | None = None
    concurrency_limit_per_key: Whole | None = None
    rate_limit_per_key: Rate | None = None
    grace: Seconds | None = None
    start_timeout: Seconds | None = None
    paused: bool | UnsetType = UNSET
    schedules: Schedules | UnsetType = UNSET
    dry_run: bool = False


class Applied(msgspec.Struct, kw_only=True):
    """The deployment then, and what was changed of it: field -> [before, after]; `created`: it is new."""

    deployment: Deployment
    created: bool
    changes: dict[str, list[Any]] = {}


class DeploymentById(msgspec.Struct, forbid_unknown_fields=True):
    id: UUID


class DeploymentByName(msgspec.Struct, forbid_unknown_fields=True):
    flow_name: Name
    name: Name


class FindDeployment(msgspec.Struct, forbid_unknown_fields=True):
    """By its id, its `flow/name`, or its name alone where only one has it."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=600)]


class FilterDeployments(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """By flow and name; of a flow, of a work pool."""

    flow_name: Name | None = None
    work_pool: Name | None = None
    limit: Limit = 200
    cursor: NameCursor | None = None


class UpdateDeployment(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed."""

    id: UUID
    paused: bool | UnsetType = UNSET
    description: Text | UnsetType | None = UNSET
    tags: Tags | UnsetType = UNSET
    parameters: Json | UnsetType = UNSET
    job_variables: Json | UnsetType = UNSET
    work_pool: Name | UnsetType | None = UNSET
    work_queue: Name | UnsetType | None = UNSET
    concurrency_limit: Whole | UnsetType | None = UNSET
    collision: Collision | UnsetType = UNSET
    priority: Priority | UnsetType | None = UNSET
    concurrency_key: Name | UnsetType | None = UNSET
    concurrency_limit_per_key: Whole | UnsetType | None = UNSET
    rate_limit_per_key: Rate | UnsetType | None = UNSET
    grace: Seconds | UnsetType | None = UNSET
    start_timeout: Seconds | UnsetType | None = UNSET


class CreateRun(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A run of a deployment, due at `scheduled_time` (none: now). `parameters` and `job_variables` go over its own. Of
    the runs that wait in a queue, the one with the lowest `priority` goes first (none: the deployment's, else 100).
    `concurrency_key` is the run's key itself, in place of what the deployment or the queue takes from its parameters.
    `idempotency_key`: asked again with it, the same run is given. `traceparent` and `tracestate` are the W3C trace
    context that the run is a part of (none: that of the request's headers)."""

    id: UUID
    parameters: Json = {}
    scheduled_time: datetime | None = None
    name: Name | None = None
    tags: Tags = ()
    job_variables: Json = {}
    work_queue: Name | None = None
    priority: Priority | None = None
    concurrency_key: Key | None = None
    idempotency_key: Name | None = None
    parent_flow_run_id: UUID | None = None
    parent_task_run_id: UUID | None = None
    traceparent: Annotated[str, msgspec.Meta(pattern=PATTERN, max_length=256)] | None = None
    tracestate: Annotated[str, msgspec.Meta(max_length=MOST_STATE)] | None = None


class AddSchedule(ScheduleGiven, kw_only=True, forbid_unknown_fields=True):
    deployment_id: UUID


class UpdateSchedule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed; the runs that are planned and not claimed are planned anew."""

    deployment_id: UUID
    schedule_id: UUID
    schedule: Schedule | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    slug: Name | UnsetType | None = UNSET
    parameters: Json | UnsetType = UNSET
    catchup: CatchUp | UnsetType = UNSET
    catchup_window: Seconds | UnsetType | None = UNSET
    overlap: Overlap | UnsetType = UNSET
    jitter: Annotated[float, msgspec.Meta(ge=0, le=86_400)] | UnsetType = UNSET


class ScheduleOf(msgspec.Struct, forbid_unknown_fields=True):
    deployment_id: UUID
    schedule_id: UUID


class PreviewSchedule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The next times of a schedule that may be in no record."""

    schedule: Schedule
    limit: Times = 10
    after: datetime | None = None


class Preview(msgspec.Struct, kw_only=True):
    """`words` say what the schedule is."""

    words: str
    times: list[datetime]


APPLY_DEPLOYMENT = Operation(
    "apply_deployment", "POST", "/deployments", ApplyDeployment, Applied, "Create a deployment, or change it.",
    safe=True, strict=True
)  # fmt: skip
FILTER_DEPLOYMENTS = Operation(
    "filter_deployments", "POST", "/deployments/filter", FilterDeployments, Page[Deployment], "List deployments.",
    reads=True,
)  # fmt: skip
COUNT_DEPLOYMENTS = Operation(
    "count_deployments", "POST", "/deployments/count", FilterDeployments, Count, "Count deployments.", reads=True
)
READ_DEPLOYMENT = Operation(
    "read_deployment", "GET", "/deployments/{id}", DeploymentById, Deployment, "Read a deployment."
)
READ_DEPLOYMENT_BY_NAME = Operation(
    "read_deployment_by_name", "GET", "/deployments/name/{flow_name}/{name}", DeploymentByName, Deployment,
    "Read a deployment by its flow's name and its own.",
)  # fmt: skip
FIND_DEPLOYMENT = Operation(
    "find_deployment", "GET", "/deployments/find", FindDeployment, Deployment, "Find a deployment as people name it."
)
UPDATE_DEPLOYMENT = Operation(
    "update_deployment",
    "PATCH",
    "/deployments/{id}",
    UpdateDeployment,
    Deployment,
    "Change a deployment.",
    safe=True,
    strict=True,
)
DELETE_DEPLOYMENT: Operation[DeploymentById, None] = Operation(
    "delete_deployment", "DELETE", "/deployments/{id}", DeploymentById, None,
    "Delete a deployment; its runs that wait are cancelled, those that run go on.", safe=True,
)  # fmt: skip
CREATE_RUN = Operation(
    "create_flow_run_from_deployment", "POST", "/deployments/{id}/create_flow_run", CreateRun, FlowRun,
    "Have a deployment run.", status=201, strict=True
)  # fmt: skip
ADD_SCHEDULE = Operation(
    "create_deployment_schedule", "POST", "/deployments/{deployment_id}/schedules", AddSchedule, DeploymentSchedule,
    "Give a deployment one more schedule.", status=201, strict=True
)  # fmt: skip
UPDATE_SCHEDULE = Operation(
    "update_deployment_schedule", "PATCH", "/deployments/{deployment_id}/schedules/{schedule_id}", UpdateSchedule,
    DeploymentSchedule, "Change a schedule.", safe=True, strict=True
)  # fmt: skip
DELETE_SCHEDULE: Operation[ScheduleOf, None] = Operation(
    "delete_deployment_schedule", "DELETE", "/deployments/{deployment_id}/schedules/{schedule_id}", ScheduleOf, None,
    "Delete a schedule, and the runs planned by it that nobody has claimed.", safe=True,
)  # fmt: skip
PREVIEW_SCHEDULE = Operation(
    "preview_schedule", "POST", "/schedules/preview", PreviewSchedule, Preview, "The next times of a schedule.",
    reads=True, strict=True
)  # fmt: skip

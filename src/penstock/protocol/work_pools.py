"""What can be asked about work pools and their queues."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from ..domain.concurrency_keys import Rate
from ..domain.pools import DEFAULT_PRIORITY, WorkPool, WorkQueue
from .operation import Operation, Page
from .paging import Limit

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Text = Annotated[str, msgspec.Meta(max_length=100_000)]
Json = dict[str, Any]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400 * 365)]
Whole = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
AtLeastOne = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
NameCursor = Annotated[str, msgspec.Meta(max_length=255, description="`next` of the page before: a name.")]


class CreatePool(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """With `overwrite` also one that is there, which is then as this says."""

    name: Name
    type: Name = "process"
    description: Text | None = None
    base_job_template: Json = {}
    concurrency_limit: Whole | None = None
    grace: Seconds | None = None
    is_paused: bool = False
    overwrite: bool = False


class PoolByName(msgspec.Struct, forbid_unknown_fields=True):
    name: Name


class FilterPools(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """By name."""

    limit: Limit = 200
    cursor: NameCursor | None = None


class UpdatePool(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed."""

    name: Name
    description: Text | UnsetType | None = UNSET
    base_job_template: Json | UnsetType = UNSET
    concurrency_limit: Whole | UnsetType | None = UNSET
    grace: Seconds | UnsetType | None = UNSET
    is_paused: bool | UnsetType = UNSET


class CreateQueue(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    work_pool: Name
    name: Name
    description: Text | None = None
    priority: Whole = DEFAULT_PRIORITY
    concurrency_limit: Whole | None = None
    concurrency_key: Name | None = None
    concurrency_limit_per_key: AtLeastOne | None = None
    rate_limit_per_key: Rate | None = None
    is_paused: bool = False


class QueueByName(msgspec.Struct, forbid_unknown_fields=True):
    work_pool: Name
    name: Name


class QueuesOf(msgspec.Struct, forbid_unknown_fields=True):
    work_pool: Name


class UpdateQueue(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed."""

    work_pool: Name
    name: Name
    description: Text | UnsetType | None = UNSET
    priority: Whole | UnsetType = UNSET
    concurrency_limit: Whole | UnsetType | None = UNSET
    concurrency_key: Name | UnsetType | None = UNSET
    concurrency_limit_per_key: AtLeastOne | UnsetType | None = UNSET
    rate_limit_per_key: Rate | UnsetType | None = UNSET
    is_paused: bool | UnsetType = UNSET


class Queues(msgspec.Struct):
    """Those that go first first."""

    items: list[WorkQueue]


FILTER_POOLS = Operation(
    "filter_work_pools", "POST", "/work_pools/filter", FilterPools, Page[WorkPool], "List work pools.", reads=True
)
CREATE_POOL = Operation(
    "create_work_pool", "POST", "/work_pools", CreatePool, WorkPool, "Create a work pool.", status=201, strict=True
)
READ_POOL = Operation("read_work_pool", "GET", "/work_pools/{name}", PoolByName, WorkPool, "Read a work pool.")
UPDATE_POOL = Operation(
    "update_work_pool",
    "PATCH",
    "/work_pools/{name}",
    UpdatePool,
    WorkPool,
    "Change a work pool.",
    safe=True,
    strict=True,
)
DELETE_POOL: Operation[PoolByName, None] = Operation(
    "delete_work_pool", "DELETE", "/work_pools/{name}", PoolByName, None,
    "Delete a work pool; its runs that wait stay, for a pool of this name.", safe=True,
)  # fmt: skip
READ_QUEUES = Operation(
    "read_work_queues", "GET", "/work_pools/{work_pool}/queues", QueuesOf, Queues, "The queues of a work pool."
)
CREATE_QUEUE = Operation(
    "create_work_queue", "POST", "/work_pools/{work_pool}/queues", CreateQueue, WorkQueue, "Create a queue.",
    status=201, strict=True
)  # fmt: skip
READ_QUEUE = Operation(
    "read_work_queue", "GET", "/work_pools/{work_pool}/queues/{name}", QueueByName, WorkQueue, "Read a queue."
)
UPDATE_QUEUE = Operation(
    "update_work_queue", "PATCH", "/work_pools/{work_pool}/queues/{name}", UpdateQueue, WorkQueue, "Change a queue.",
    safe=True, strict=True
)  # fmt: skip
DELETE_QUEUE: Operation[QueueByName, None] = Operation(
    "delete_work_queue", "DELETE", "/work_pools/{work_pool}/queues/{name}", QueueByName, None, "Delete a queue.",
    safe=True,
)  # fmt: skip

"""Work pools, their queues, and the workers that take runs from them. Values only."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from .concurrency_keys import PerKey, Rate
from .runs import Holder

Json = dict[str, Any]

# The queue that every pool has, and its priority among the pool's others: the lowest number is served first.
DEFAULT_QUEUE = "default"
DEFAULT_PRIORITY = 100
# A worker that has not been heard of for so many seconds is offline.
WORKER_SECONDS = 30.0


class WorkPool(msgspec.Struct, kw_only=True):
    """Where runs wait to be launched in one way: `type` names the infrastructure (process, docker, kubernetes, ...).

    `base_job_template` is {"job_configuration": a template with {{ variables }}, "variables": their JSON schema}; {}
    is the type's own. `concurrency_limit` is how many of its runs may be launched at once, None: any number. `grace`:
    as a deployment's.
    """

    id: UUID
    name: str
    type: str
    created: datetime
    updated: datetime
    description: str | None = None
    base_job_template: Json = {}
    concurrency_limit: int | None = None
    grace: float | None = None
    is_paused: bool = False


class WorkQueue(msgspec.Struct, kw_only=True):
    """A line of a work pool. Runs of the queue with the lower `priority` go first. `last_polled` is when a worker last
    asked for its runs, None: never. `concurrency_key`, with what one key may at most: as a deployment's, for the runs
    of deployments that say none."""

    id: UUID
    work_pool: str
    name: str
    created: datetime
    updated: datetime
    description: str | None = None
    priority: int = DEFAULT_PRIORITY
    concurrency_limit: int | None = None
    concurrency_key: str | None = None
    concurrency_limit_per_key: int | None = None
    rate_limit_per_key: Rate | None = None
    is_paused: bool = False
    last_polled: datetime | None = None

    @property
    def per_key(self) -> PerKey:
        return PerKey(self.concurrency_limit_per_key, self.rate_limit_per_key)


class WorkerRecord(msgspec.Struct, kw_only=True):
    """A worker as it was last heard of. `scope` is where the infrastructure is that it can reach (`launches.Place`);
    `running` how many runs it watches, `limit` how many it takes at most. `draining`: it takes no more runs. `left` is
    when it said that it ends."""

    id: UUID
    name: str
    work_pool: str | None
    type: str
    host: str
    scope: str
    version: str
    started: datetime
    heard: datetime
    queues: tuple[str, ...] = ()
    running: int = 0
    limit: int | None = None
    left: datetime | None = None
    draining: bool = False
    # its process: where that can be seen, it is dead when it is seen to be gone
    holder: Holder | None = None

    def is_gone(self, now: datetime, alive: bool | None) -> bool:
        """Whether another may take over what it has; `alive` is whether its process lives, where that can be seen."""
        if self.left is not None:
            return True
        if alive is not None:
            return not alive
        return (now - self.heard).total_seconds() > 2 * WORKER_SECONDS

    def is_online(self, now: datetime) -> bool:
        return self.left is None and (now - self.heard).total_seconds() < WORKER_SECONDS

"""Launches: a flow run that somebody else than its caller starts: what it takes, who has it, and where it runs.

Law: what a run was launched with is a snapshot. Nothing that is changed or deleted afterwards (the deployment, the
pool, its template) changes how the run is watched or ended.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import msgspec

Json = dict[str, Any]


class Place(msgspec.Struct, frozen=True):
    """Where a run's infrastructure is: `id` means something in its `scope` only, and only who can reach the scope can
    end it.

    process: host and boot : pid and start time; docker: the engine's id : the container's; kubernetes: the cluster's
    uid : namespace and job; ecs: account and region : the task's ARN.
    """

    type: str
    scope: str
    id: str

    def __str__(self) -> str:
        return f"{self.scope}:{self.id}"


class Launch(msgspec.Struct, kw_only=True):
    """A launched flow run, beside its `FlowRun`.

    It is *open* from when it waits until its infrastructure is known to be gone (`ended`); the flow run itself may have
    ended before. `worker` claimed it at `claimed`; another may take it over when that one is not heard of any
    more.
    Of those that wait in a `line`, the one with the lowest `priority` goes first; of equal priority, the `lane`s take
    turns: those with the same `concurrency_key` are one, those without are one. `key_of_queue`: it is the queue that
    says the key, and what of it may run; else the deployment.
    `configuration` is the filled-in template that it was launched with, `place` where it runs since `launched`.
    `stopping` is when its end was asked for, by `stopped_by` with `stop_grace` (None: `grace`); `tries` is how many
    times ending it has failed, `problem` what went wrong last (also what keeps it waiting), in a sentence.
    """

    flow_run_id: UUID
    scheduled: datetime
    deployment_id: UUID | None = None
    schedule_id: UUID | None = None
    backfill_id: UUID | None = None
    revision: int = 0
    work_pool: str | None = None
    work_queue: str | None = None
    priority: int = 100
    concurrency_key: str | None = None
    key_of_queue: bool = False
    entrypoint: str | None = None
    path: str | None = None
    pull_steps: tuple[Json, ...] = ()
    parameters: Json = {}
    job_variables: Json = {}
    grace: float | None = None
    start_timeout: float | None = None
    worker: UUID | None = None
    claimed: datetime | None = None
    configuration: Json | None = None
    place: Place | None = None
    launched: datetime | None = None
    stopping: datetime | None = None
    stopped_by: str = ""
    stop_grace: float | None = None
    tries: int = 0
    try_again: datetime | None = None
    problem: str | None = None
    exit_code: int | None = None
    ended: datetime | None = None
    # it was said that nobody has claimed it though it is due
    late: bool = False

    @property
    def line(self) -> str:
        """Where it waits: in a queue of a pool, or, in no pool, with the other runs of its deployment."""
        if self.work_pool is None:
            return "" if self.deployment_id is None else self.deployment_id.hex
        return line_of(self.work_pool, self.work_queue)

    @property
    def bell(self) -> UUID:
        """What those hear who may launch it."""
        if self.work_pool is not None:
            return bell_of_pool(self.work_pool)
        return self.deployment_id or EVERYBODYS_BELL

    @property
    def lane(self) -> str:
        """Its key, and whose key it is; "": it has none."""
        if self.concurrency_key is None:
            return ""
        owner = self.line if self.key_of_queue or self.deployment_id is None else self.deployment_id.hex
        return f"{owner}:{self.concurrency_key}"


# A bell is what those hear who wait for work: a pool's, that of a deployment in no pool (its id), a worker's own (its
# id); and one that all of them hear.
EVERYBODYS_BELL = UUID(int=0)
_POOLS = UUID("0b6f1c8e-5f57-4f0e-9d0c-2b8f6f1d7a51")


def bell_of_pool(name: str) -> UUID:
    return uuid5(_POOLS, name)


def line_of(work_pool: str, work_queue: str | None) -> str:
    """The line that a queue is. Neither name has a slash in it."""
    return f"{work_pool}/{work_queue or ''}"


class Depth(msgspec.Struct, frozen=True):
    """What waits in a queue at a moment: how many are due, and since when the first of them; how many are at work.
    (No pool: runs of deployments that a program serves by itself.)"""

    work_pool: str | None
    queue: str | None
    due: int = 0
    oldest: datetime | None = None
    at_work: int = 0

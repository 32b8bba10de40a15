"""Deployments: a flow that can be run by itself: where its code is, with what it is called, when and by whom it is
launched. Values only."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from .concurrency_keys import PerKey, Rate
from .schedules import DeploymentSchedule

# Named here: inside the class below `dict` would be looked for among its fields.
Json = dict[str, Any]
Texts = dict[str, str]


class Collision(StrEnum):
    """What becomes of a run that is due while as many of its deployment run as may: it waits, it is cancelled, or the
    oldest of the others is."""

    ENQUEUE = "ENQUEUE"
    CANCEL_NEW = "CANCEL_NEW"
    CANCEL_OLD = "CANCEL_OLD"


class Deployment(msgspec.Struct, kw_only=True):
    """A deployed flow. Its full name is `flow_name/name`.

    `entrypoint` is `path/to/file.py:function`, or `package.module:function` (or with a dot); `path` the folder it is
    in; `pull_steps` what brings the code to where it is run, a list of {step: its arguments}. `parameter_schema` is a
    JSON schema of the flow's parameters, by which `parameters` are checked where `enforce_parameter_schema`.
    `job_variables` go over the work pool's template. `work_pool` None: it is run by the process that serves it. `grace`
    is how many seconds its runs have to come to an end when they are told to stop, None: as the work pool or the worker
    says; `start_timeout` how many they have from the claim to their code, None: no limit. `priority` is its runs' (the
    lowest goes first; None: 100), `concurrency_key` the path of their keys (see `concurrency_keys`), beside which is
    what one key may at most. `version` is what its author calls it; `revision` rises with every change, and each run
    carries the one it began with.
    """

    id: UUID
    name: str
    flow_id: UUID
    flow_name: str
    created: datetime
    updated: datetime
    revision: int = 1
    version: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    labels: Texts = {}
    entrypoint: str | None = None
    path: str | None = None
    pull_steps: tuple[Json, ...] = ()
    parameters: Json = {}
    parameter_schema: Json = {}
    enforce_parameter_schema: bool = True
    work_pool: str | None = None
    work_queue: str | None = None
    job_variables: Json = {}
    paused: bool = False
    concurrency_limit: int | None = None
    collision: Collision = Collision.ENQUEUE
    priority: int | None = None
    concurrency_key: str | None = None
    concurrency_limit_per_key: int | None = None
    rate_limit_per_key: Rate | None = None
    grace: float | None = None
    start_timeout: float | None = None
    schedules: tuple[DeploymentSchedule, ...] = ()
    # When a process that serves it, or a worker of its queue, last asked for work; None: nobody ever did.
    last_polled: datetime | None = None

    @property
    def full_name(self) -> str:
        return f"{self.flow_name}/{self.name}"

    @property
    def per_key(self) -> PerKey:
        return PerKey(self.concurrency_limit_per_key, self.rate_limit_per_key)

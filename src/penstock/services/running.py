"""Making a run that is launched by somebody: by hand, by a schedule, or by another run."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from ..domain import concurrency_keys
from ..domain.deployments import Deployment
from ..domain.ids import uuid7
from ..domain.launches import Launch
from ..domain.pools import DEFAULT_PRIORITY, DEFAULT_QUEUE
from ..domain.runs import FlowRun
from ..domain.states import make
from ..store import flow_runs, launches, work_pools
from ..store.contract import Tx

# How much of a parameter's value is shown with the run.
PREVIEW = 200


def create_run(
    tx: Tx,
    deployment: Deployment,
    *,
    now: datetime,
    scheduled: datetime,
    parameters: dict[str, Any],
    id: UUID | None = None,
    name: str | None = None,
    tags: Iterable[str] = (),
    job_variables: dict[str, Any] | None = None,
    work_queue: str | None = None,
    priority: int | None = None,
    concurrency_key: str | None = None,
    schedule_id: UUID | None = None,
    backfill_id: UUID | None = None,
    parent: FlowRun | None = None,
    parent_task_run_id: UUID | None = None,
    message: str | None = None,
    trace: dict[str, str] | None = None,
) -> FlowRun:
    """Records a run of a deployment that is due at `scheduled`, and what it takes to launch it.

    `parameters` are over the deployment's own. Of the runs that wait in a queue, the one with the lowest `priority`
    goes first. `concurrency_key` is its key, None: what the deployment or its queue takes for it. `trace` are labels
    that say which trace it is a part of. A run of this `id` that is there already is given as it is, and nothing is
    changed.
    """
    if id is not None and (there := flow_runs.get(tx, id)) is not None:
        return there
    given = deployment.parameters | parameters
    run = FlowRun(
        id=id or uuid7(round(now.timestamp() * 1e9), secrets.randbits(62)),
        name=name or _name(),
        created=now,
        expected_start_time=scheduled,
        states=(make("Scheduled", now, message=message, details={"scheduled_time": scheduled.isoformat()}),),
        version=1,
        flow_id=deployment.flow_id,
        flow_name=deployment.flow_name,
        flow_version=deployment.version,
        flow_run_id=None if parent is None else parent.id,
        root_flow_run_id=None if parent is None else parent.root_flow_run_id or parent.id,
        parent_task_run_id=parent_task_run_id,
        deployment_id=deployment.id,
        tags=tuple(sorted({*deployment.tags, *tags})),
        labels=deployment.labels | (trace or {}),
        parameters={key: _preview(value) for key, value in given.items()},
        # Whoever takes the run raises it: so what a process says that had the run before does not count.
        epoch=1,
    )
    flow_runs.put_flow(tx, deployment.flow_id, deployment.flow_name, now)
    flow_runs.put(tx, run)
    launch = _launch(deployment, run, scheduled, given)
    launch.schedule_id = schedule_id
    if backfill_id is not None:
        launch.backfill_id, launch.late = backfill_id, True  # it is meant to be: nobody needs to be told
    launch.priority = _first(priority, deployment.priority, DEFAULT_PRIORITY)
    launch.job_variables = deployment.job_variables | (job_variables or {})
    if deployment.work_pool is not None:
        launch.work_queue = work_queue or deployment.work_queue or DEFAULT_QUEUE
    _give_key(tx, deployment, run, launch, concurrency_key)
    launches.put(tx, launch)
    return run


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)


def _give_key(tx: Tx, deployment: Deployment, run: FlowRun, launch: Launch, given: str | None) -> None:
    """Of the deployment's key, or, where it has none, the queue's; as they are now."""
    path = deployment.concurrency_key
    if path is None and launch.work_pool is not None and launch.work_queue is not None:
        queue = work_pools.queue(tx, launch.work_pool, launch.work_queue)
        path = None if queue is None else queue.concurrency_key
        launch.key_of_queue = path is not None
    if given is not None:
        launch.concurrency_key = concurrency_keys.shortened(given)
    elif path is not None:
        launch.concurrency_key = concurrency_keys.key_of(
            path, parameters=launch.parameters, tags=run.tags, labels=run.labels, deployment=deployment.full_name
        )


def _launch(deployment: Deployment, run: FlowRun, scheduled: datetime, parameters: dict[str, Any]) -> Launch:
    """The deployment as it is now, for the run to keep."""
    return Launch(
        flow_run_id=run.id,
        scheduled=scheduled,
        deployment_id=deployment.id,
        revision=deployment.revision,
        work_pool=deployment.work_pool,
        entrypoint=deployment.entrypoint,
        path=deployment.path,
        pull_steps=deployment.pull_steps,
        parameters=parameters,
        grace=deployment.grace,
        start_timeout=deployment.start_timeout,
    )


def _name() -> str:
    """`gigantic-cockatoo`, as of every run."""
    import coolname

    return coolname.generate_slug(2)


def _preview(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= PREVIEW else f"{text[: PREVIEW - 1]}…"

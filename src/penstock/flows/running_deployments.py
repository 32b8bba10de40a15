"""`run_deployment`: having a deployment run, from anywhere, and waiting for it or not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from .. import connect
from ..domain import concurrency_keys
from ..domain.errors import DeploymentError
from ..domain.runs import FlowRun
from ..engine.context import current
from ..protocol.deployments import CREATE_RUN, FIND_DEPLOYMENT, CreateRun, FindDeployment
from .cancelling import await_end, deadline_after, read
from .parameter_schema import jsonable


def run_deployment(
    name: str | UUID,
    *,
    parameters: dict[str, Any] | None = None,
    scheduled_time: datetime | None = None,
    flow_run_name: str | None = None,
    timeout: float | None = None,
    poll_interval: float | None = None,
    tags: Iterable[str] | None = None,
    idempotency_key: str | None = None,
    work_queue_name: str | None = None,
    as_subflow: bool = True,
    job_variables: dict[str, Any] | None = None,
    priority: int | None = None,
    concurrency_key: str | None = None,
) -> Any:
    """Has a deployment run, and gives its run, when it has ended: at most `timeout` seconds are waited (None: as long
    as it takes; 0: not at all). Then the run goes on; the timeout is the caller's patience and nothing else.

    `name` is its flow/name or its id. Called in a flow, the run is a subflow of it (unless `as_subflow=False`), which
    is cancelled with it. Asked again with the same `idempotency_key`, the same run is given. `poll_interval` is
    accepted and not needed: news is pushed. Of the runs that wait in a queue, the one with the lowest `priority` goes
    first (None: the deployment's, else 100); `concurrency_key` is the run's key itself, in place of the one that the
    deployment takes from its parameters. Called in a coroutine, it gives a coroutine: `await run_deployment(...)`.

    Raises `ObjectNotFound`, `ParameterError` for parameters that do not fit, and `ConcurrencyError` for such a priority
    or key.

    Example::

        run = run_deployment("etl/nightly", parameters={"day": "2026-06-30"}, timeout=600)
        print(run.state)
    """
    make = partial(
        _make, name, parameters, scheduled_time, flow_run_name, tags, idempotency_key, work_queue_name, as_subflow,
        job_variables, priority, concurrency_key,
    )  # fmt: skip
    if _is_awaited():
        return _in_thread(make, timeout)
    return _run(make, timeout, threading.Event())


def _is_awaited() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def arun_deployment(name: str | UUID, **options: Any) -> FlowRun:
    """`run_deployment()` to be awaited, with the same arguments."""
    run: FlowRun = await run_deployment(name, **options)
    return run


async def _in_thread(make: Callable[[], FlowRun], timeout: float | None) -> FlowRun:
    """A coroutine that is not waited for any more waits no longer."""
    given_up = threading.Event()
    try:
        return await asyncio.to_thread(_run, make, timeout, given_up)
    finally:
        given_up.set()


def _run(make: Callable[[], FlowRun], timeout: float | None, given_up: threading.Event) -> FlowRun:
    deadline = deadline_after(timeout)
    run = make()
    if timeout == 0:
        return run
    try:
        return await_end(run, deadline, given_up)
    except TimeoutError:
        return read(run)


def _make(
    name: str | UUID,
    parameters: dict[str, Any] | None,
    scheduled_time: datetime | None,
    flow_run_name: str | None,
    tags: Iterable[str] | None,
    idempotency_key: str | None,
    work_queue_name: str | None,
    as_subflow: bool | None,
    job_variables: dict[str, Any] | None,
    priority: int | None,
    concurrency_key: str | None,
) -> FlowRun:
    if scheduled_time is not None and not isinstance(scheduled_time, datetime):
        raise DeploymentError(f"scheduled_time is a datetime; it is {scheduled_time!r:.80}.")
    if isinstance(tags, str):
        raise DeploymentError(f"tags are several texts, tags=[{tags!r}]; a text by itself would be one tag a letter.")
    deployment = connect.call(FIND_DEPLOYMENT, FindDeployment(str(name)))
    context = current.get() if as_subflow else None
    above = None if context is None else context.flow_context
    if above is not None:
        connect.settle()  # the run that it is a part of is in the record
    wanted = CreateRun(
        id=deployment.id,
        parameters=jsonable(parameters or {}),
        scheduled_time=None if scheduled_time is None else scheduled_time.astimezone(),
        name=flow_run_name,
        tags=tuple(tags or ()),
        job_variables=dict(job_variables or {}),
        work_queue=work_queue_name,
        priority=concurrency_keys.check_priority(priority),
        concurrency_key=concurrency_keys.check_key(concurrency_key),
        idempotency_key=idempotency_key,
        parent_flow_run_id=None if above is None else above.run.id,
        parent_task_run_id=None if context is None or context is above else context.run.id,
        **connect.traces.current(),
    )
    return connect.call(CREATE_RUN, wanted)

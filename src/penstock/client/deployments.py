"""The client's methods for deployments and their runs, backfills, work pools and workers; `asynchronous.py` is made
from this file, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from .. import connect
from ..domain.backfills import Backfill
from ..domain.deployments import Deployment
from ..domain.ids import parse_id
from ..domain.pools import WorkerRecord, WorkPool, WorkQueue
from ..domain.runs import FlowRun
from ..domain.schedules import DeploymentSchedule, Schedule
from ..protocol import backfills, deployments, launches, work_pools
from .asking import Asking, Id


class Deployments(Asking):
    """Deployments, backfills, work pools, workers."""

    # --- deployments -------------------------------------------------------------------------------------------------

    def read_deployment(self, deployment_id: Id) -> Deployment:
        """The deployment of this id. Raises `ObjectNotFound`."""
        return self._ask(deployments.READ_DEPLOYMENT, deployments.DeploymentById(parse_id(deployment_id)))

    def read_deployment_by_name(self, name: str) -> Deployment:
        """The deployment of this full name, "flow/deployment". Raises `ObjectNotFound`."""
        return self._ask(deployments.FIND_DEPLOYMENT, deployments.FindDeployment(name))

    def read_deployments(
        self, *, flow_name: str | None = None, work_pool_name: str | None = None, limit: int = 200
    ) -> list[Deployment]:
        """Deployments by flow and name, `limit` at most."""
        return list(self.iter_deployments(flow_name=flow_name, work_pool_name=work_pool_name, limit=limit))

    def iter_deployments(
        self, *, flow_name: str | None = None, work_pool_name: str | None = None, limit: int | None = None
    ) -> Iterator[Deployment]:
        """All deployments by flow and name, read page by page."""
        return self._pages(
            deployments.FILTER_DEPLOYMENTS,
            lambda size, cursor: deployments.FilterDeployments(
                flow_name=flow_name, work_pool=work_pool_name, limit=size, cursor=cursor
            ),
            limit,
        )

    def pause_deployment(self, deployment_id: Id) -> Deployment:
        """Runs no more by its schedules. Raises `ObjectNotFound`."""
        return self._set_paused(deployment_id, True)

    def resume_deployment(self, deployment_id: Id) -> Deployment:
        """Runs by its schedules again. Raises `ObjectNotFound`."""
        return self._set_paused(deployment_id, False)

    def _set_paused(self, deployment_id: Id, paused: bool) -> Deployment:
        query = deployments.UpdateDeployment(id=parse_id(deployment_id), paused=paused)
        return self._ask(deployments.UPDATE_DEPLOYMENT, query)

    def delete_deployment(self, deployment_id: Id) -> None:
        """Deletes a deployment; its runs that wait are cancelled, those that run go on. Raises `ObjectNotFound`."""
        self._ask(deployments.DELETE_DEPLOYMENT, deployments.DeploymentById(parse_id(deployment_id)))

    def create_flow_run_from_deployment(
        self,
        deployment_id: Id,
        *,
        parameters: dict[str, Any] | None = None,
        scheduled_time: datetime | None = None,
        name: str | None = None,
        tags: Iterable[str] = (),
        job_variables: dict[str, Any] | None = None,
        work_queue_name: str | None = None,
        priority: int | None = None,
        concurrency_key: str | None = None,
        idempotency_key: str | None = None,
    ) -> FlowRun:
        """Has a deployment run, now or at `scheduled_time`. The same `idempotency_key` gives the same run. Raises
        `ObjectNotFound`, or `ParameterError` for parameters that do not fit."""
        query = deployments.CreateRun(
            id=parse_id(deployment_id),
            parameters=parameters or {},
            scheduled_time=scheduled_time,
            name=name,
            tags=tuple(tags),
            job_variables=job_variables or {},
            work_queue=work_queue_name,
            priority=priority,
            concurrency_key=concurrency_key,
            idempotency_key=idempotency_key,
            **connect.traces.current(),
        )
        return self._ask(deployments.CREATE_RUN, query)

    # --- schedules and backfills -------------------------------------------------------------------------------------

    def create_deployment_schedule(
        self, deployment_id: Id, schedule: Schedule, *, slug: str | None = None, active: bool = True
    ) -> DeploymentSchedule:
        """Gives a deployment one more schedule. Raises `ObjectNotFound` or `ScheduleError`."""
        query = deployments.AddSchedule(
            deployment_id=parse_id(deployment_id), schedule=schedule, slug=slug, active=active
        )
        return self._ask(deployments.ADD_SCHEDULE, query)

    def delete_deployment_schedule(self, deployment_id: Id, schedule_id: Id) -> None:
        """Deletes a schedule, and the runs planned by it that nobody has claimed. Raises `ObjectNotFound`."""
        query = deployments.ScheduleOf(parse_id(deployment_id), parse_id(schedule_id))
        self._ask(deployments.DELETE_SCHEDULE, query)

    def create_backfill(
        self,
        deployment_id: Id,
        start: datetime,
        end: datetime,
        *,
        schedule: Schedule | None = None,
        slug: str | None = None,
        parallelism: int = 1,
        parameters: dict[str, Any] | None = None,
    ) -> Backfill:
        """Runs a deployment once for each time of a schedule from `start` on and before `end`. Raises `ObjectNotFound`,
        `ScheduleError` or `ParameterError`."""
        query = backfills.CreateBackfill(
            deployment_id=parse_id(deployment_id),
            start=start,
            end=end,
            schedule=schedule,
            slug=slug,
            parallelism=parallelism,
            parameters=parameters or {},
        )
        return self._ask(backfills.CREATE_BACKFILL, query)

    def read_backfill(self, backfill_id: Id) -> Backfill:
        """The backfill of this id. Raises `ObjectNotFound`."""
        return self._ask(backfills.READ_BACKFILL, backfills.BackfillById(parse_id(backfill_id)))

    def read_backfills(self, *, deployment_id: Id | None = None, limit: int = 200) -> list[Backfill]:
        """The newest backfills, `limit` at most."""
        id = None if deployment_id is None else parse_id(deployment_id)
        found = self._pages(
            backfills.FILTER_BACKFILLS,
            lambda size, cursor: backfills.FilterBackfills(deployment_id=id, limit=size, cursor=cursor),
            limit,
        )
        return list(found)

    def cancel_backfill(self, backfill_id: Id) -> Backfill:
        """Makes no more runs, and cancels those that have not ended. Raises `ObjectNotFound`."""
        return self._ask(backfills.CANCEL_BACKFILL, backfills.BackfillById(parse_id(backfill_id)))

    # --- work pools --------------------------------------------------------------------------------------------------

    def create_work_pool(
        self,
        name: str,
        type: str = "process",
        *,
        base_job_template: dict[str, Any] | None = None,
        concurrency_limit: int | None = None,
        description: str | None = None,
        overwrite: bool = False,
    ) -> WorkPool:
        """Creates a work pool; with `overwrite` in place of the one that is there. Raises `WorkPoolError` or
        `NameTaken`."""
        query = work_pools.CreatePool(
            name=name,
            type=type,
            base_job_template=base_job_template or {},
            concurrency_limit=concurrency_limit,
            description=description,
            overwrite=overwrite,
        )
        return self._ask(work_pools.CREATE_POOL, query)

    def read_work_pool(self, name: str) -> WorkPool:
        """The work pool of this name. Raises `ObjectNotFound`."""
        return self._ask(work_pools.READ_POOL, work_pools.PoolByName(name))

    def read_work_pools(self, *, limit: int = 200) -> list[WorkPool]:
        """Work pools by name, `limit` at most."""
        found = self._pages(
            work_pools.FILTER_POOLS, lambda size, cursor: work_pools.FilterPools(limit=size, cursor=cursor), limit
        )
        return list(found)

    def pause_work_pool(self, name: str) -> WorkPool:
        """Workers take no more of its runs. Raises `ObjectNotFound`."""
        return self._ask(work_pools.UPDATE_POOL, work_pools.UpdatePool(name=name, is_paused=True))

    def resume_work_pool(self, name: str) -> WorkPool:
        """Workers take its runs again. Raises `ObjectNotFound`."""
        return self._ask(work_pools.UPDATE_POOL, work_pools.UpdatePool(name=name, is_paused=False))

    def delete_work_pool(self, name: str) -> None:
        """Deletes a work pool. Raises `ObjectNotFound`, and `WorkPoolError` while runs of it have not ended."""
        self._ask(work_pools.DELETE_POOL, work_pools.PoolByName(name))

    def read_work_queues(self, work_pool_name: str) -> list[WorkQueue]:
        """The queues of a work pool, those that go first first. Raises `ObjectNotFound`."""
        return self._ask(work_pools.READ_QUEUES, work_pools.QueuesOf(work_pool_name)).items

    def read_workers_for_work_pool(self, work_pool_name: str, *, offline: bool = False) -> list[WorkerRecord]:
        """Workers of a pool, those heard of last first; with `offline` also those that are."""
        query = launches.FilterWorkers(work_pool=work_pool_name, all=offline)
        return self._ask(launches.FILTER_WORKERS, query).items

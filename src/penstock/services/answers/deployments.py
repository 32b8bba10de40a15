"""Answers about deployments and their schedules."""

from __future__ import annotations

from ...domain.deployments import Deployment
from ...domain.runs import FlowRun
from ...domain.schedule_times import check, in_words, times
from ...domain.schedules import DeploymentSchedule
from ...protocol import deployments as asked
from ...protocol.operation import Count, Page
from ...store import deployments as stored
from .. import deployments, scheduling
from ..desk import Desk, answers


@answers(asked.APPLY_DEPLOYMENT)
def apply_deployment(desk: Desk, query: asked.ApplyDeployment) -> asked.Applied:
    return deployments.apply(desk.store, query, desk.now())


@answers(asked.FILTER_DEPLOYMENTS)
def filter_deployments(desk: Desk, query: asked.FilterDeployments) -> Page[Deployment]:
    flow, _, name = (query.cursor or "").rpartition("/")
    with desk.store.read() as tx:
        found = stored.select(
            tx, query.limit, flow_name=query.flow_name, work_pool=query.work_pool,
            after=None if query.cursor is None else (flow, name),
        )  # fmt: skip
    return Page(items=found, next=found[-1].full_name if len(found) == query.limit else None)


@answers(asked.COUNT_DEPLOYMENTS)
def count_deployments(desk: Desk, query: asked.FilterDeployments) -> Count:
    with desk.store.read() as tx:
        return Count(stored.count(tx, query.flow_name, query.work_pool))


@answers(asked.READ_DEPLOYMENT)
def read_deployment(desk: Desk, query: asked.DeploymentById) -> Deployment:
    return deployments.get(desk.store, query.id)


@answers(asked.READ_DEPLOYMENT_BY_NAME)
def read_deployment_by_name(desk: Desk, query: asked.DeploymentByName) -> Deployment:
    return deployments.by_name(desk.store, query.flow_name, query.name)


@answers(asked.FIND_DEPLOYMENT)
def find_deployment(desk: Desk, query: asked.FindDeployment) -> Deployment:
    return deployments.find(desk.store, query.text)


@answers(asked.UPDATE_DEPLOYMENT)
def update_deployment(desk: Desk, query: asked.UpdateDeployment) -> Deployment:
    return deployments.update(desk.store, query, desk.now())


@answers(asked.DELETE_DEPLOYMENT)
def delete_deployment(desk: Desk, query: asked.DeploymentById) -> None:
    deployments.delete(desk.store, query.id, who=desk.who, now=desk.now())


@answers(asked.CREATE_RUN)
def create_flow_run_from_deployment(desk: Desk, query: asked.CreateRun) -> FlowRun:
    return deployments.create_run(desk.store, query, desk.now())


@answers(asked.ADD_SCHEDULE)
def create_deployment_schedule(desk: Desk, query: asked.AddSchedule) -> DeploymentSchedule:
    return deployments.add_schedule(desk.store, query, desk.now())


@answers(asked.UPDATE_SCHEDULE)
def update_deployment_schedule(desk: Desk, query: asked.UpdateSchedule) -> DeploymentSchedule:
    return deployments.update_schedule(desk.store, query, desk.now())


@answers(asked.DELETE_SCHEDULE)
def delete_deployment_schedule(desk: Desk, query: asked.ScheduleOf) -> None:
    deployments.delete_schedule(desk.store, query.deployment_id, query.schedule_id)


@answers(asked.PREVIEW_SCHEDULE)
def preview_schedule(desk: Desk, query: asked.PreviewSchedule) -> asked.Preview:
    check(query.schedule)
    now = desk.now()
    after = now if query.after is None or query.after.tzinfo is None else query.after
    found = times(query.schedule, created=now, after=after, limit=query.limit, until=scheduling.LATEST)
    return asked.Preview(words=in_words(query.schedule), times=found)

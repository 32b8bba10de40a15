"""Answers about flow runs."""

from __future__ import annotations

from ...domain.runs import FlowRun
from ...protocol import flow_runs as asked
from ...protocol import paging
from ...protocol.operation import Count, Page, Unchanged
from .. import cancelling, reading
from ..desk import Desk, answers


@answers(asked.FILTER_FLOW_RUNS)
def filter_flow_runs(desk: Desk, query: asked.FilterRuns) -> Page[FlowRun]:
    found = reading.list_flow_runs(desk.store, query.filter, query.limit, after=paging.id_in(query.cursor))
    return Page(items=found, next=paging.after(found[-1].id) if len(found) == query.limit else None)


@answers(asked.COUNT_FLOW_RUNS)
def count_flow_runs(desk: Desk, query: asked.CountRuns) -> Count:
    return Count(reading.count_flow_runs(desk.store, query.filter))


@answers(asked.READ_FLOW_RUN)
def read_flow_run(desk: Desk, query: asked.ById) -> FlowRun:
    return reading.get_flow_run(desk.store, query.id)


@answers(asked.WAIT_FOR_FLOW_RUN)
def wait_for_flow_run(desk: Desk, query: asked.WaitForRun) -> FlowRun:
    run = reading.get_flow_run(desk.store, query.id)
    if run.version <= query.seen:
        raise Unchanged(run)
    return run


@answers(asked.CANCEL_FLOW_RUN)
def cancel_flow_run(desk: Desk, query: asked.CancelRun) -> FlowRun:
    return cancelling.cancel_flow_run(
        desk.store, query.id, who=desk.who, grace=query.grace, now=desk.now(), lives=desk.lives
    )

"""Answers about task runs."""

from __future__ import annotations

from typing import Any

from ...domain.runs import TaskRun
from ...domain.states import State
from ...protocol import flow_runs as of_runs
from ...protocol import paging
from ...protocol import task_runs as asked
from ...protocol.operation import Count, Page, Unchanged
from .. import cancelling, reading
from ..desk import Desk, answers
from .flow_runs import in_list


@answers(asked.FILTER_TASK_RUNS)
def filter_task_runs(desk: Desk, query: of_runs.FilterRuns) -> Page[TaskRun]:
    found = reading.list_task_runs(
        desk.store, query.filter, query.limit, after=paging.id_in(query.cursor), oldest_first=query.oldest_first
    )
    more = paging.after(found[-1].id) if len(found) == query.limit else None
    return Page(items=[in_list(run) for run in found], next=more)


@answers(asked.COUNT_TASK_RUNS)
def count_task_runs(desk: Desk, query: of_runs.CountRuns) -> Count:
    return Count(reading.count_all_task_runs(desk.store, query.filter))


@answers(asked.FIND_TASK_RUN)
def find_task_run(desk: Desk, query: of_runs.FindRun) -> TaskRun:
    return reading.find_task_run(desk.store, query.text)


@answers(asked.READ_TASK_RUN)
def read_task_run(desk: Desk, query: of_runs.ById) -> TaskRun:
    return reading.get_task_run(desk.store, query.id)


@answers(asked.WAIT_FOR_TASK_RUN)
def wait_for_task_run(desk: Desk, query: of_runs.WaitForRun) -> TaskRun:
    run = reading.get_task_run(desk.store, query.id)
    if run.version <= query.seen:
        raise Unchanged(run)
    return run


@answers(asked.CANCEL_TASK_RUN)
def cancel_task_run(desk: Desk, query: of_runs.CancelRun) -> TaskRun:
    return cancelling.cancel_task_run(desk.store, query.id, who=desk.who, grace=query.grace, now=desk.now())


@answers(asked.READ_TASK_RUN_REQUEST)
def read_task_run_request(desk: Desk, query: of_runs.ById) -> asked.OpenRequest:
    run = reading.get_task_run(desk.store, query.id)
    return asked.OpenRequest(None if run.state.is_final() else cancelling.request_for(desk.store, run.id))


@answers(asked.READ_TASK_RUN_STATES)
def read_task_run_states(desk: Desk, query: asked.StatesOfTaskRun) -> list[State[Any]]:
    return list(reading.get_task_run(desk.store, query.task_run_id).states)

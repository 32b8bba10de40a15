"""Answers about logs."""

from __future__ import annotations

from uuid import UUID

import msgspec

from ...domain.errors import BadRequest
from ...domain.filters import FilterError, LogFilter
from ...domain.runs import FlowRun, TaskRun
from ...protocol import logs as asked
from ...protocol.logs import LogNews, LogPage, TaskNames
from ...protocol.operation import Unchanged
from .. import log_following, log_reading, reading
from ..desk import Desk, answers
from ..log_following import Names


@answers(asked.FILTER_LOGS)
def filter_logs(desk: Desk, query: asked.FilterLogs) -> LogPage:
    run, filter = _chosen(desk, query.flow_run_id, query.task_run_id, query.filter)
    id = log_following.log_of(run)
    after, before = query.after, query.before
    if query.cursor is not None:
        reached = _seq_in(query.cursor)
        after, before = (after, reached) if query.backwards else (reached, before)
    elif query.last is not None:
        after = max(after, log_reading.before_last(desk.store, id, filter, query.last))
    lines, more = log_reading.page(
        desk.store, id, filter, query.limit, after=after, before=before, backwards=query.backwards
    )
    names = _tasks(log_reading.task_names(desk.store, lines))
    return LogPage(items=lines, tasks=names, next=None if more is None else str(more))


@answers(asked.FOLLOW_LOGS)
def follow_logs(desk: Desk, query: asked.FollowLogs) -> LogNews:
    run, filter = _chosen(desk, query.flow_run_id, query.task_run_id, query.filter)
    position = None if query.position is None else log_reading.position_in(query.position)
    step = log_following.step(desk.store, run, filter, position, last=query.last, rest=query.rest, now=desk.now())
    news = LogNews(
        items=step.lines,
        tasks=_tasks(step.names),
        position=step.position.text(),
        silent=not step.news,
        more=step.more,
        again=log_following.AGAIN_SECONDS if step.waits else None,
        ended=step.ended,
        settled=step.settled,
    )
    if not step.news and not step.settled:
        raise Unchanged(news)
    return news


def _chosen(
    desk: Desk, flow_run_id: UUID | None, task_run_id: UUID | None, filter: LogFilter
) -> tuple[FlowRun | TaskRun, LogFilter]:
    if (flow_run_id is None) == (task_run_id is None):
        raise BadRequest("Say whose log: `flow_run_id` or `task_run_id`; one of the two.")
    if flow_run_id is not None:
        return reading.get_flow_run(desk.store, flow_run_id), filter
    assert task_run_id is not None
    filter = msgspec.structs.replace(filter, task_run_id=task_run_id)
    return reading.get_task_run(desk.store, task_run_id), filter


def _tasks(names: Names) -> dict[UUID, TaskNames]:
    return {id: TaskNames(*both) for id, both in names.items()}


def _seq_in(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 19:
        raise FilterError(f"{cursor!r} is no cursor; give back `next` of the page before as it was.")
    return min(int(cursor), 2**62)

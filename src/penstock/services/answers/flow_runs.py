"""Answers about flow runs."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from ...domain.errors import BadRequest, ObjectNotFound, PenstockError, TransitionRefused
from ...domain.filters import RunFilter
from ...domain.pauses import SUSPENDED
from ...domain.pauses import Verdict as Decided
from ...domain.runs import FlowRun
from ...domain.states import CANCELLED, CANCELLING, PAUSED, State
from ...domain.waiting import Why
from ...protocol import flow_runs as asked
from ...protocol import paging
from ...protocol.flow_runs import Cancelled, Outcome, Reason, StateSet, Verdict
from ...protocol.operation import Count, Page, Unchanged
from .. import cancelling, history, pausing, proposals, reading, reopening, selection, waiting
from ..desk import Desk, answers


def in_list(run: Any) -> Any:
    """A run as lists have it: without the bytes of its result, which may be many."""
    if run.result is None or run.result.inline is None:
        return run
    return msgspec.structs.replace(run, result=msgspec.structs.replace(run.result, inline=None))


@answers(asked.FILTER_FLOW_RUNS)
def filter_flow_runs(desk: Desk, query: asked.FilterRuns) -> Page[FlowRun]:
    found = reading.list_flow_runs(
        desk.store, query.filter, query.limit, after=paging.id_in(query.cursor), oldest_first=query.oldest_first
    )
    more = paging.after(found[-1].id) if len(found) == query.limit else None
    return Page(items=[in_list(run) for run in found], next=more)


@answers(asked.COUNT_FLOW_RUNS)
def count_flow_runs(desk: Desk, query: asked.CountRuns) -> Count:
    return Count(reading.count_flow_runs(desk.store, query.filter))


@answers(asked.FLOW_RUN_HISTORY)
def flow_run_history(desk: Desk, query: asked.RunHistory) -> list[asked.Interval]:
    found = history.by_time(desk.store, query.filter, query.start, query.end, query.interval_seconds)
    return [
        asked.Interval(each.start, each.end, [asked.StateCount(*counted) for counted in each.states]) for each in found
    ]


@answers(asked.FIND_FLOW_RUN)
def find_flow_run(desk: Desk, query: asked.FindRun) -> FlowRun:
    return reading.find_flow_run(desk.store, query.text)


@answers(asked.READ_FLOW_RUN)
def read_flow_run(desk: Desk, query: asked.ById) -> FlowRun:
    return reading.get_flow_run(desk.store, query.id)


@answers(asked.WAIT_FOR_FLOW_RUN)
def wait_for_flow_run(desk: Desk, query: asked.WaitForRun) -> FlowRun:
    run = reading.get_flow_run(desk.store, query.id)
    if run.version <= query.seen:
        raise Unchanged(run)
    return run


@answers(asked.WHY_FLOW_RUN)
def why_flow_run_waits(desk: Desk, query: asked.ById) -> Why:
    return waiting.why(desk.store, query.id, desk.now())


@answers(asked.READ_FLOW_RUN_STATES)
def read_flow_run_states(desk: Desk, query: asked.StatesOfFlowRun) -> list[State[Any]]:
    return list(reading.get_flow_run(desk.store, query.flow_run_id).states)


@answers(asked.COUNT_TASK_RUNS_OF)
def count_task_runs_of_flow_run(desk: Desk, query: asked.ById) -> dict[str, int]:
    return reading.count_task_runs(desk.store, reading.get_flow_run(desk.store, query.id).id)


@answers(asked.COUNT_TASK_RUNS_BY_TASK)
def count_task_runs_of_flow_run_by_task(desk: Desk, query: asked.ById) -> list[asked.TaskCount]:
    return reading.count_task_runs_by_task(desk.store, reading.get_flow_run(desk.store, query.id).id)


@answers(asked.RETRY_FLOW_RUN)
def retry_flow_run(desk: Desk, query: asked.ById) -> FlowRun:
    return reopening.relaunch(desk.store, query.id, who=desk.who, now=desk.now())


@answers(asked.CHECK_RETRY)
def check_flow_run_retry(desk: Desk, query: asked.CheckRetry) -> FlowRun:
    return reopening.check(desk.store, query.id, desk.who, desk.now(), elsewhere=query.elsewhere).run


@answers(asked.READ_CHANGES)
def read_changes(desk: Desk, query: asked.ChangesSeen) -> asked.Changes:
    number = desk.store.changes()
    if number == query.seen:
        raise Unchanged(asked.Changes(number))
    return asked.Changes(number)


# --- what people decide ----------------------------------------------------------------------------------------------


@answers(asked.CANCEL_FLOW_RUN)
def cancel_flow_run(desk: Desk, query: asked.CancelRun) -> FlowRun:
    return cancelling.cancel_flow_run(
        desk.store, query.id, who=desk.who, grace=query.grace, now=desk.now(), lives=desk.lives
    )


@answers(asked.BULK_CANCEL_FLOW_RUNS)
def bulk_cancel_flow_runs(desk: Desk, query: asked.BulkCancel) -> list[Cancelled]:
    """One that cannot be cancelled does not keep the others from it."""
    _check_choice(query.ids, query.filter)
    if query.filter is not None:
        runs = selection.unfinished(desk.store, query.filter)
    else:
        runs = []
    ids = [run.id for run in runs] if query.ids is None else list(dict.fromkeys(query.ids))
    if query.dry_run and query.ids is None:
        return [Cancelled(id=run.id, outcome=Outcome.NOT_ASKED, message="", run=in_list(run)) for run in runs]
    return [_cancelled(desk, asked.CancelRun(id=id, grace=query.grace), query.dry_run) for id in ids]


def _cancelled(desk: Desk, query: asked.CancelRun, dry_run: bool) -> Cancelled:
    id, before = query.id, None
    try:
        before = reading.get_flow_run(desk.store, id)
        if dry_run:
            return Cancelled(id=id, outcome=Outcome.NOT_ASKED, message="", run=in_list(before))
        run = in_list(cancel_flow_run(desk, query))
    except (ObjectNotFound, TransitionRefused) as error:
        outcome = Outcome.MISSING if isinstance(error, ObjectNotFound) else Outcome.REFUSED
        return Cancelled(id=id, outcome=outcome, message=str(error), run=before and in_list(before))
    if run.state.is_cancelled():
        return Cancelled(id=id, outcome=Outcome.CANCELLED, message=f"Flow run '{id}' was cancelled.", run=run)
    if before.state.is_cancelling():
        message = f"Flow run '{id}' is being cancelled already."
        return Cancelled(id=id, outcome=Outcome.AGAIN, message=message, run=run)
    message = f"Flow run '{id}' was successfully scheduled for cancellation."
    return Cancelled(id=id, outcome=Outcome.SCHEDULED, message=message, run=run)


@answers(asked.PAUSE_FLOW_RUN)
def pause_flow_run(desk: Desk, query: asked.PauseRun) -> FlowRun:
    return pausing.request(
        desk.store, query.id, who=desk.who, now=desk.now(), timeout=query.timeout, suspend=query.suspend
    )


@answers(asked.RESUME_FLOW_RUN)
def resume_flow_run(desk: Desk, query: asked.ResumeRun) -> FlowRun:
    return _decide(desk, query, Decided.APPROVE)


@answers(asked.APPROVE_FLOW_RUN)
def approve_flow_run(desk: Desk, query: asked.ResumeRun) -> FlowRun:
    return _decide(desk, query, Decided.APPROVE)


@answers(asked.REJECT_FLOW_RUN)
def reject_flow_run(desk: Desk, query: asked.RejectRun) -> FlowRun:
    return _decide(desk, asked.ResumeRun(id=query.id, comment=query.comment), Decided.REJECT)


def _decide(desk: Desk, query: asked.ResumeRun, verdict: Decided) -> FlowRun:
    # Where nobody signs in, people are who their system says they are.
    name = (desk.asker.user if desk.asker is not None else None) or desk.who.partition("@")[0]
    by = pausing.Person(name, desk.who, desk.role.value)
    return pausing.decide(
        desk.store, query.id, verdict, by, now=desk.now(), lives=desk.lives, input=query.run_input,
        comment=query.comment,
    )  # fmt: skip


@answers(asked.FILTER_PAUSES)
def filter_pauses(desk: Desk, query: asked.FilterPauses) -> Page[asked.Waiting]:
    found = pausing.listed(desk.store, query.flow_run_id, query.limit, paging.id_in(query.cursor))
    items = [asked.Waiting(pause, in_list(run)) for pause, run in found]
    return Page(items=items, next=paging.after(found[-1][0].id) if len(found) == query.limit else None)


@answers(asked.SET_FLOW_RUN_STATE)
def set_flow_run_state(desk: Desk, query: asked.SetState) -> StateSet:
    wanted = query.state
    try:
        if wanted.type in (CANCELLING, CANCELLED) and not query.force:
            run = cancelling.cancel_flow_run(
                desk.store, query.id, who=desk.who, grace=None, now=desk.now(), lives=desk.lives
            )
        elif wanted.type is PAUSED and not query.force:
            run = pause_flow_run(desk, asked.PauseRun(id=query.id, suspend=wanted.name == SUSPENDED))
        elif not query.force:
            raise TransitionRefused(
                "A person can cancel a run (CANCELLING, CANCELLED) or pause it (PAUSED); with force, also close one "
                "that nobody executes."
            )
        else:
            run = proposals.close(
                desk.store,
                query.id,
                wanted.type,
                name=wanted.name,
                message=wanted.message,
                who=desk.who,
                now=desk.now(),
                lives=desk.lives,
            )
    except TransitionRefused as refusal:
        state = reading.get_flow_run(desk.store, query.id).state
        return StateSet(Verdict.REJECT, state, Reason(str(refusal)))
    same = run.state.type is wanted.type
    why = None if same else f"The run is {run.state_name}: it is {CANCELLED.title()} when its code has stopped."
    if wanted.type is PAUSED and not same:
        why = "The run is asked to wait: it is Paused before its next task."
    if run.state.is_cancelled() and wanted.type is CANCELLING:
        why = "Nobody executes the run: it was cancelled at once."
    return StateSet(Verdict.ACCEPT, run.state, Reason(why))


@answers(asked.UPDATE_FLOW_RUN)
def update_flow_run(desk: Desk, query: asked.UpdateRun) -> FlowRun:
    return proposals.update(
        desk.store,
        query.id,
        name=None if query.name is UNSET else query.name,
        tags=None if query.tags is UNSET else query.tags,
        labels=None if query.labels is UNSET else query.labels,
        keep=None if query.keep is UNSET else query.keep,
    )


@answers(asked.DELETE_FLOW_RUN)
def delete_flow_run(desk: Desk, query: asked.DeleteRun) -> asked.Deleted:
    reading.get_flow_run(desk.store, query.id)
    return reading.delete_flow_runs(desk.store, [query.id], force=query.force)


@answers(asked.BULK_DELETE_FLOW_RUNS)
def bulk_delete_flow_runs(desk: Desk, query: asked.BulkDelete) -> asked.BulkDeleted:
    _check_choice(query.ids, query.filter)
    if query.filter is not None:
        runs = selection.ended(desk.store, query.filter, query.limit + 1)
        more, ids = len(runs) > query.limit, [run.id for run in runs[: query.limit]]
    else:
        more, ids = False, [id for id in dict.fromkeys(query.ids or ()) if _is_there(desk, id)]
    deleted = reading.delete_flow_runs(desk.store, ids, force=query.force, dry_run=query.dry_run)
    return asked.BulkDeleted(ids=ids, subflow_runs=deleted.subflow_runs, more=more)


def _is_there(desk: Desk, id: Any) -> bool:
    try:
        reading.get_flow_run(desk.store, id)
    except PenstockError:
        return False
    return True


def _check_choice(ids: object, filter: RunFilter | None) -> None:
    if (ids is None) == (filter is None):
        raise BadRequest("Say which runs: by `ids`, or by a `filter`; one of the two.")

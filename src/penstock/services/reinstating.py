"""The record's own mistake, mended: a run that was closed because its process was thought to be gone, or is, and of
which the process has more to say.

A process that cannot be seen from where the record is counts as gone when its lease has ended (`rescue`); and of one
that is seen to be gone, what it had reported may not have arrived yet, for the server was away. Either way `Crashed`
is what was concluded, not what was reported. When the process is heard again, or what it had reported is shipped, the
run goes on from where it was, for the same epoch, so nothing of that is lost. It is not done where somebody has decided
something meanwhile: a run that was entered again, or cancelled, stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from ..domain.runs import FlowRun, TaskRun
from ..domain.states import CRASHED, make
from ..domain.stops import GONE
from ..protocol.journal import Batch
from ..store import flow_runs, task_runs, unconfirmed
from ..store.contract import Tx


def reinstate(tx: Tx, batch: Batch, left: Collection[UUID], now: datetime) -> list[UUID]:
    """Takes back what was concluded of the runs of the batch's process; which runs. `left` are those whose code may
    still be in it (`unconfirmed.of`)."""
    reported = {run.flow_run_id: run.epoch for run in batch.task_runs if run.flow_run_id is not None}
    reported |= {each.run_id: each.facts.epoch_of_writer or 1 for each in batch.entered}
    found = []
    alone = {run.id for run in batch.task_runs if run.holder == batch.holder}
    for run_id in {*reported, *alone, *left}:
        task_run = task_runs.get(tx, run_id)
        if task_run is not None and task_run.holder == batch.holder and _is_concluded(task_run):
            _reinstate_alone(tx, task_run)
            found.append(run_id)
    for run_id in {*reported, *left}:
        run = flow_runs.get(tx, run_id)
        if run is None or run.holder != batch.holder or not _is_concluded(run):
            continue
        if run.epoch == reported.get(run_id, run.epoch - 1) + 1:
            _reinstate(tx, run, now)
            found.append(run_id)
    return found


def _is_concluded(run: FlowRun | TaskRun) -> bool:
    return run.state.type is CRASHED and (run.state.details or {}).get("stopped") == GONE


def _reinstate(tx: Tx, run: FlowRun, now: datetime) -> None:
    closed_at = run.state.timestamp
    was = run.states[-2]
    run.enter(make(was.name, now, type=was.type, message="Its process had more to report."))
    run.epoch -= 1
    flow_runs.put(tx, run)
    unconfirmed.delete(tx, run.id)
    for task_run in task_runs.closed_at(tx, run.id, closed_at):
        if _is_concluded(task_run):
            _reinstate_alone(tx, task_run)


def _reinstate_alone(tx: Tx, task_run: TaskRun) -> None:
    """As the process last reported it: its next report has the next version."""
    task_run.states, task_run.version = task_run.states[:-1], task_run.version - 1
    task_runs.reopen(tx, task_run)
    unconfirmed.delete(tx, task_run.id)

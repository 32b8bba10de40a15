"""The record's own mistake, mended: a run that was closed because nothing was heard of its process, and is heard again.

A process that cannot be seen from where the record is counts as gone when its lease has ended (`rescue`). That is a
guess, and says so: `heard: false`, `confirmed: false`. When the process reports again, or what it had reported is
found, the guess was wrong: the run goes on from where it was, for the same epoch, so nothing it has reported since is
lost. It is not done where somebody has decided something meanwhile: a run that was entered again has a new epoch.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ..domain.runs import FlowRun, Holder, TaskRun
from ..domain.states import CRASHED, make
from ..store import flow_runs, task_runs, unconfirmed
from ..store.contract import Tx


def reinstate(tx: Tx, holder: Holder, now: datetime) -> list[UUID]:
    """Takes back what was guessed of the runs of a process that is heard again; which runs."""
    found = []
    for run_id in unconfirmed.of(tx, holder):
        flow_run = flow_runs.get(tx, run_id)
        if flow_run is not None and _is_guess(flow_run) and flow_run.holder == holder:
            _reinstate(tx, flow_run, now)
            found.append(run_id)
    return found


def _is_guess(run: FlowRun | TaskRun) -> bool:
    details = run.state.details or {}
    return run.state.type is CRASHED and details.get("heard") is False and details.get("confirmed") is False


def _reinstate(tx: Tx, run: FlowRun, now: datetime) -> None:
    closed_at = run.state.timestamp
    was = run.states[-2]
    run.enter(make(was.name, now, type=was.type, message="Its process was heard of again."))
    run.epoch -= 1
    flow_runs.put(tx, run)
    unconfirmed.delete(tx, run.id)
    for task_run in task_runs.closed_at(tx, run.id, closed_at):
        if _is_guess(task_run):
            # As the process last reported it: its next report has the next version.
            task_run.states, task_run.version = task_run.states[:-1], task_run.version - 1
            task_runs.reopen(tx, task_run)
            unconfirmed.delete(tx, task_run.id)

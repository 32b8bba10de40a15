"""Closing runs on behalf of a process that does not answer, or was ended: what watchdogs ask for (`protocol.deeds`).

Law: each deed reads the run again in the transaction that writes it, and does nothing to one that has ended.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from ..domain.runs import FlowRun, Holder, TaskRun
from ..domain.states import State, make
from ..domain.stops import ABANDONED, GONE, KILLED, PARENT, STOP, TIMEOUT, Proof, Stilled, Stop, details_of
from ..protocol.deeds import CloseEnforced, CloseGone, CloseKilled, CloseStopped, Deed, Ended, FindRequests, Request
from ..store import flow_runs, holders, signals, task_runs
from ..store.contract import Tx
from . import proof, rescue

NOT_ENFORCED = "Its code was not stopped: its process ({holder}) may not be ended."


def do(tx: Tx, deed: Deed) -> Any:
    """Does a deed, and gives its answer."""
    if isinstance(deed, CloseStopped):
        return _close_stopped(tx, deed)
    if isinstance(deed, CloseKilled):
        return _close_killed(tx, deed)
    if isinstance(deed, FindRequests):
        return _requests(tx, deed)
    if isinstance(deed, CloseEnforced):
        return _close_enforced(tx, deed)
    return _close_gone(tx, deed)


def _close_stopped(tx: Tx, deed: CloseStopped) -> bool:
    run = _find(tx, deed.run)
    if run is None:
        return False
    if not run.state.is_final():
        close_stopped(tx, run, deed.run.stop, Proof(ABANDONED, deed.run.seconds), deed.now)
    return True


def _close_killed(tx: Tx, deed: CloseKilled) -> None:
    for ended in deed.runs:
        run = _find(tx, ended)
        if run is None:
            continue
        if run.state.is_final():
            if not proof.confirm(tx, Stilled(run.id, run.run_count, KILLED, ended.seconds)):
                proof.amend_gone(tx, run, ended.seconds)
        elif ended.open:  # else it was recorded and goes on since, in another attempt: that one lost its process
            close_stopped(tx, run, ended.stop, Proof(KILLED, ended.seconds), deed.now)
    first = _find(tx, deed.runs[0])
    if first is not None:
        close_rest(tx, deed.holder, first, deed.now)


def _requests(tx: Tx, deed: FindRequests) -> list[Request]:
    asked = signals.all(tx) if deed.run_id is None else [signals.get(tx, deed.run_id)]
    found = []
    for signal in asked:
        run = None if signal is None or signal.kind != STOP else _stoppable(tx, signal.run_id)
        if signal is None or run is None or run.state.is_final():
            continue
        holder = run.holder
        if deed.holder is None or holder == deed.holder:
            kind = "flow run" if isinstance(run, FlowRun) else "task run"
            killable = holder is not None and holders.may_be_killed(tx, holder)
            found.append(Request(signal=signal, kind=kind, name=run.name, holder=holder, may_be_killed=killable))
    return found


def _close_enforced(tx: Tx, deed: CloseEnforced) -> str:
    run, signal = _stoppable(tx, deed.signal.run_id), deed.signal
    if run is None:
        return "done"
    was_open = not run.state.is_final()
    seconds = (deed.now - signal.at).total_seconds()
    if was_open:
        remark = "" if deed.killed else NOT_ENFORCED.format(holder=deed.holder)
        close_stopped(tx, run, signal.stop, Proof(KILLED if deed.killed else ABANDONED, seconds), deed.now, remark)
    elif deed.killed:
        proof.amend_gone(tx, run, seconds, signal.stop.message)
    if deed.killed:
        close_rest(tx, deed.holder, run, deed.now)
        return "killed"
    return "abandoned" if was_open else "done"


def _close_gone(tx: Tx, deed: CloseGone) -> None:
    rescue.close_runs_of(tx, deed.holder, deed.now)
    proof.confirm_gone(tx, deed.holder, GONE, deed.now)
    holders.delete(tx, deed.holder)


def _find(tx: Tx, ended: Ended) -> FlowRun | TaskRun | None:
    """The run as it is in the record; as its process last reported it, where that was not recorded any more."""
    found = flow_runs.get(tx, ended.run_id) if ended.is_flow else task_runs.get(tx, ended.run_id)
    return found or ended.task_run


def _stoppable(tx: Tx, run_id: UUID) -> FlowRun | TaskRun | None:
    """A run that a process may be ended for; not a task run of a flow."""
    flow_run = flow_runs.get(tx, run_id)
    if flow_run is not None:
        return flow_run
    task_run = task_runs.get(tx, run_id)
    return task_run if task_run is not None and task_run.flow_run_id is None else None


def close_stopped(tx: Tx, run: FlowRun | TaskRun, stop: Stop, proof: Proof, now: datetime, remark: str = "") -> None:
    """Ends a run whose code was told to stop, on behalf of its process."""
    # Whoever asked for the end of a run is not answered that it timed out: the person's decision stands.
    asked = run.state.is_cancelling()
    name = "TimedOut" if stop.reason == TIMEOUT and not asked else "Cancelled"
    details = {**((run.state.details or {}) if asked else {}), **details_of(stop, proof)}
    message = f"{stop.message} {remark}" if remark else stop.message
    what = "its process was ended" if proof.stopped == KILLED else "its process does not answer"
    state: State[None] = make(name, now, message=message, details=details)
    rescue.close(tx, run, state, f"recorded by the watchdog: {what}")


def close_rest(tx: Tx, holder: Holder, stopped: FlowRun | TaskRun, now: datetime) -> list[FlowRun | TaskRun]:
    """Ends all that a process had under way that was ended because `stopped` did not stop. What that run had called
    ends as it did; the others lost their process, and crash."""
    closed: list[FlowRun | TaskRun] = []
    for run in held_by(tx, holder):
        state = rescue.ending(run, now, stopped=KILLED)
        if _is_below(tx, run, stopped.id):
            message = f"The run that called it is {stopped.state_name}: {stopped.state.message}"
            details = {**(stopped.state.details or {}), "reason": PARENT}
            state = make("Cancelled", now, message=message, details=details)
        elif state.is_crashed():
            kind = "task run" if isinstance(stopped, TaskRun) else "flow run"
            message = f"The run's process ({holder}) was ended, because {kind} {stopped.name!r} did not stop."
            state = msgspec.structs.replace(state, message=message)
        rescue.close(tx, run, state, "recorded by the watchdog: its process was ended")
        closed.append(run)
    proof.confirm_gone(tx, holder, KILLED, now)
    holders.delete(tx, holder)
    return closed


def held_by(tx: Tx, holder: Holder) -> list[FlowRun | TaskRun]:
    """Runs that a process executes, by the record."""
    runs: list[FlowRun | TaskRun] = [*flow_runs.unfinished_held(tx), *task_runs.unfinished_alone(tx)]
    return [run for run in runs if run.holder == holder]


def _is_below(tx: Tx, run: FlowRun | TaskRun, above: UUID) -> bool:
    """Whether a run was called by another, however far down."""
    each: FlowRun | TaskRun | None = run
    while each is not None:
        if above in (each.flow_run_id, each.parent_task_run_id):
            return True
        each = None if each.flow_run_id is None else flow_runs.get(tx, each.flow_run_id)
    return False

"""Proof that comes later: code that a run went on without has come to its end.

A final state stays what it is; only what it says of the code, `confirmed: false`, becomes true, once: when the process
says so, or when the process is gone.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from ..domain import stops
from ..domain.runs import FlowRun, Holder, TaskRun
from ..domain.states import State
from ..domain.stops import Stilled
from ..store import flow_runs, task_runs, unconfirmed
from ..store.contract import Tx


def is_unconfirmed(run: FlowRun | TaskRun) -> bool:
    """Whether a run has ended, and its code, as far as is known, has not."""
    return stops.is_unconfirmed(run.state)


def note(tx: Tx, run: FlowRun | TaskRun) -> None:
    """Remembers a run that ended unconfirmed, until its code has ended or its process is gone."""
    if not is_unconfirmed(run):
        return
    holder = run.holder
    if holder is None and run.flow_run_id is not None:
        flow_run = flow_runs.get(tx, run.flow_run_id)
        holder = None if flow_run is None else flow_run.holder
    if holder is not None:
        unconfirmed.put(tx, run.id, holder)


def confirm(tx: Tx, stilled: Stilled) -> bool:
    """Notes on a run that ended unconfirmed how its code ended; False where there is nothing to note."""
    run = _get(tx, stilled.run_id)
    if run is None or run.run_count != stilled.attempt or not is_unconfirmed(run):
        return False
    new = {
        **(run.state.details or {}),
        "stopped": stilled.stopped,
        "confirmed": True,
        "seconds_to_stop": round(stilled.seconds, 4),
    }
    if stilled.where and "where" not in new:
        new["where"] = stilled.where
        if len(stilled.stack) > 1:
            new["stack"] = list(stilled.stack)
    _amend(tx, run, msgspec.structs.replace(run.state, details=new))
    unconfirmed.delete(tx, run.id)
    return True


def amend_gone(tx: Tx, run: FlowRun | TaskRun, seconds: float, message: str | None = None) -> None:
    """Who saw the end of the run's process first did not know that it was us who ended it."""
    details = run.state.details or {}
    if details.get("stopped") != stops.GONE:
        return
    details = {**details, "stopped": stops.KILLED, "seconds_to_stop": round(seconds, 4)}
    _amend(tx, run, msgspec.structs.replace(run.state, message=message or run.state.message, details=details))


def confirm_gone(tx: Tx, holder: Holder, how: str, now: datetime) -> None:
    """The process is gone, and with it all code that was in it."""
    for run_id in unconfirmed.of(tx, [holder]).get(holder, ()):
        run = _get(tx, run_id)
        if run is not None:
            before = float((run.state.details or {}).get("seconds_to_stop", 0.0))
            since = max((now - run.state.timestamp).total_seconds(), 0.0)
            confirm(tx, Stilled(run_id, run.run_count, how, before + since))
        unconfirmed.delete(tx, run_id)


def _amend(tx: Tx, run: FlowRun | TaskRun, state: State[Any]) -> None:
    run.states = (*run.states[:-1], state)
    run.version += 1
    if isinstance(run, FlowRun):
        flow_runs.put(tx, run)
    else:
        task_runs.put_states(tx, run)


def _get(tx: Tx, run_id: UUID) -> FlowRun | TaskRun | None:
    return task_runs.get(tx, run_id) or flow_runs.get(tx, run_id)

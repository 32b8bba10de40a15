"""Reopening a flow run that has ended, so that it can be entered again: one transaction, and exactly one asker wins."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from ..domain import reopening
from ..domain.errors import ObjectNotFound, TransitionRefused
from ..domain.pauses import RESUMING
from ..domain.reopening import Recalled, Reopened
from ..domain.rules import Refuse, Transition
from ..domain.runs import Entrypoint, FlowRun, Holder
from ..domain.states import make
from ..store import arguments, flow_runs, launches, logs, signals, task_runs
from ..store.contract import Store, Tx

# Of a launch, what was said of the last time.
ANEW: dict[str, Any] = {
    **dict.fromkeys(("worker", "claimed", "place", "launched", "stopping", "problem", "exit_code", "ended")),
    "tries": 0,
    "late": False,
}


def recall(tx: Tx, run_id: UUID) -> Recalled:
    """What is needed to call a run's flow again. Raises `ObjectNotFound`."""
    return Recalled(_get(tx, run_id), arguments.get(tx, run_id))


def check(store: Store, run_id: UUID, who: str, now: datetime, *, elsewhere: bool = False) -> Recalled:
    """As `recall`; raises `TransitionRefused` when the run could not be entered again at the moment."""
    with store.read() as tx:
        recalled = recall(tx, run_id)
    if not reopening.waits_for_process(recalled.run):
        _decide(recalled.run, who, now)
    why = reopening.not_callable(recalled.run, recalled.arguments, elsewhere=elsewhere)
    if why is not None:
        raise TransitionRefused(f"{reopening.called(recalled.run)} {why}")
    return recalled


def reopen(
    tx: Tx, run_id: UUID, *, who: str, now: datetime, holder: Holder, entrypoint: Entrypoint | None = None
) -> Reopened:
    """Reopens a run for the process `holder`, which enters it next; `with_history` tells what there was. Or gives it
    one that was resumed, or waits, and has no process.

    Raises `ObjectNotFound`, and `TransitionRefused` for a run that has not ended, or completed.
    """
    run = _get(tx, run_id)
    if not reopening.waits_for_process(run):
        _decide(run, who, now)
        run.enter(reopening.awaiting_retry(who, now))
    elif run.state.name != RESUMING:
        run.enter(make(RESUMING, now, message="The run that it is a part of was entered again.", details={"who": who}))
    else:
        run.version += 1
    run.epoch += 1
    run.holder = holder
    run.deadline = None
    if entrypoint is not None:
        run.entrypoint = entrypoint
    flow_runs.put(tx, run)
    signals.delete(tx, run.id)  # they were for the attempt that ended
    return Reopened(run, [], [], logs.begin_attempt(tx, run_id))


def relaunch(store: Store, run_id: UUID, *, who: str, now: datetime) -> FlowRun:
    """Reopens a run that was launched, to be launched once more as it was; the run as it is then.

    Raises `ObjectNotFound`, and `TransitionRefused` for a run that has not ended, completed, or was not launched.
    """
    with store.write() as tx:
        run, launch = _get(tx, run_id), launches.get(tx, run_id)
        _decide(run, who, now)
        if launch is None:
            raise TransitionRefused(
                f"{reopening.called(run)} was called by its own program: `penstock flow-run retry {run_id}` enters it "
                "again on the machine where that is."
            )
        if launch.claimed is not None and launch.ended is None:
            raise TransitionRefused(
                f"{reopening.called(run)} has ended, and what it was launched on has not yet. Try again in a moment."
            )
        launches.put(tx, msgspec.structs.replace(launch, **ANEW, scheduled=now))
        run.enter(reopening.awaiting_retry(who, now))
        run.epoch += 1
        run.holder = run.deadline = run.infrastructure_pid = None
        flow_runs.put(tx, run)
        signals.delete(tx, run.id)
        return run


def with_history(tx: Tx, reopened: Reopened) -> Reopened:
    """With what the run's earlier attempts left. It may be much, so nobody who writes should have to wait for it; and
    what it says cannot change any more, but by the new attempt."""
    id = reopened.run.id
    subflow_runs = list(flow_runs.select(tx, "flow_run_id = ?", [id.bytes], "id", flow_runs.ALL))
    return Reopened(reopened.run, task_runs.left_by(tx, id), subflow_runs, reopened.first_seq)


def _get(tx: Tx, run_id: UUID) -> FlowRun:
    run = flow_runs.get(tx, run_id)
    if run is None:
        raise ObjectNotFound(f"Flow run '{run_id}' not found!")
    return run


def _decide(run: FlowRun, who: str, now: datetime) -> None:
    decision = reopening.decide(Transition(run.state, reopening.awaiting_retry(who, now)))
    if isinstance(decision, Refuse):
        raise TransitionRefused(f"{reopening.called(run)} {decision.why}")

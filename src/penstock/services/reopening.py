"""Reopening a flow run that has ended, so that it can be entered again: one transaction, and exactly one asker wins."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ..domain import reopening
from ..domain.errors import ObjectNotFound, TransitionRefused
from ..domain.reopening import Recalled, Reopened
from ..domain.rules import Refuse, Transition
from ..domain.runs import Entrypoint, FlowRun, Holder
from ..store import arguments, flow_runs, logs, signals, task_runs
from ..store.contract import Store, Tx


def recall(tx: Tx, run_id: UUID) -> Recalled:
    """What is needed to call a run's flow again. Raises `ObjectNotFound`."""
    return Recalled(_get(tx, run_id), arguments.get(tx, run_id))


def check(store: Store, run_id: UUID, who: str, now: datetime, *, elsewhere: bool = False) -> Recalled:
    """As `recall`; raises `TransitionRefused` when the run could not be entered again at the moment."""
    with store.read() as tx:
        recalled = recall(tx, run_id)
    _decide(recalled.run, who, now)
    why = reopening.not_callable(recalled.run, recalled.arguments, elsewhere=elsewhere)
    if why is not None:
        raise TransitionRefused(f"{reopening.called(recalled.run)} {why}")
    return recalled


def reopen(
    tx: Tx, run_id: UUID, *, who: str, now: datetime, holder: Holder, entrypoint: Entrypoint | None = None
) -> Reopened:
    """Reopens a run for the process `holder`, which enters it next; `with_history` tells what there was.

    Raises `ObjectNotFound`, and `TransitionRefused` for a run that has not ended, or completed.
    """
    run = _get(tx, run_id)
    _decide(run, who, now)
    run.enter(reopening.awaiting_retry(who, now))
    run.epoch += 1
    run.holder = holder
    run.deadline = None
    run.expected_start_time = now
    if entrypoint is not None:
        run.entrypoint = entrypoint
    flow_runs.put(tx, run)
    signals.delete(tx, run.id)  # they were for the attempt that ended
    return Reopened(run, [], [], logs.begin_attempt(tx, run_id))


def with_history(tx: Tx, reopened: Reopened) -> Reopened:
    """With what the run's earlier attempts left. It may be much, so nobody who writes should have to wait for it; and
    what it says cannot change any more, but by the new attempt."""
    id = reopened.run.id
    subflow_runs = list(flow_runs.select(tx, "flow_run_id = ?", [id.bytes], "id", -1))
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

"""Cancelling: somebody's request becomes a state and a signal, in one transaction.

A flow run whose process lives is `Cancelling` until that process (or whoever has to end it) says that its code has
stopped; one that nobody executes is `Cancelled` at once. A task run belongs to its engine, which alone writes its
states: for it there is only the signal.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from ..domain.errors import ObjectNotFound, TransitionRefused
from ..domain.rules import Facts
from ..domain.runs import FlowRun, TaskRun
from ..domain.states import CANCELLING, FINAL, RUNNING, State, make
from ..domain.stops import CANCEL, GONE, IDLE, Signal
from ..store import flow_runs, launches, signals, task_runs
from ..store.contract import Store, Tx
from . import launching, orchestrate
from .rescue import Lives, close_tasks

NOT_TRACKED = "This flow run is missing infrastructure tracking information and cancellation cannot be guaranteed."


def cancel_flow_run(
    store: Store, run_id: UUID, *, who: str, grace: float | None, now: datetime, lives: Lives
) -> FlowRun:
    """Asks for the end of a flow run and all that it called: the run as it is then, `Cancelling` or `Cancelled`.

    A run that is being cancelled already gets the new grace. `grace` is in seconds, None as the settings of the
    run's process say. Raises `ObjectNotFound`, or `TransitionRefused` for a run that has ended.
    """
    with store.write() as tx:
        run = flow_runs.get(tx, run_id)
        if run is None:
            raise ObjectNotFound(f"Flow run '{run_id}' not found!")
        _check_open("Flow run", run)
        return request(tx, run, who=who, grace=grace, now=now, lives=lives)


def request(tx: Tx, run: FlowRun, *, who: str, grace: float | None, now: datetime, lives: Lives) -> FlowRun:
    """As `cancel_flow_run`, in the caller's transaction, for a run that has not ended."""
    signal = Signal(run.id, now, who, grace)
    launch = launches.get(tx, run.id)
    # (What a worker launched is ended by it also where its process is seen to be gone: more may be left of it.)
    launched = launch is not None and launching.stop(launch, now, who=who, grace=grace)
    if launch is not None:
        launch.ended = launch.ended if launched else launch.ended or now
        launches.put(tx, launch)
    if not launched and (run.holder is None or lives(run.holder) is False):
        return _cancel_at_once(tx, run, signal)
    signals.put(tx, signal)
    if run.state.type is not CANCELLING:
        details = {"reason": CANCEL, "who": who} | ({} if grace is None else {"grace": grace})
        message = f"{signal.stop.message.rstrip('.')}; its code is told to stop."
        state = make("Cancelling", now, message=message, details=details)
        orchestrate.enter(tx, run.id, state, Facts(), deadline=run.deadline)
    return flow_runs.get(tx, run.id) or run


def cancel_task_run(store: Store, run_id: UUID, *, who: str, grace: float | None, now: datetime) -> TaskRun:
    """Asks for the end of one task run; its flow goes on. Raises `ObjectNotFound`, or `TransitionRefused` when it has
    ended."""
    with store.write() as tx:
        run = task_runs.get(tx, run_id)
        if run is None:
            raise ObjectNotFound(f"Task run '{run_id}' not found!")
        _check_open("Task run", run)
        signals.put(tx, Signal(run.id, now, who, grace, run.flow_run_id))
        return run


def request_for(store: Store, run_id: UUID) -> Signal | None:
    """The request to stop a run that is open, None where there is none."""
    with store.read() as tx:
        return signals.get(tx, run_id)


def _check_open(kind: str, run: FlowRun | TaskRun) -> None:
    if run.state.type in FINAL:
        raise TransitionRefused(
            f"{kind} '{run.id}' was unable to be cancelled. Reason: it already ended in state {run.state_name!r}."
        )


def _cancel_at_once(tx: Tx, run: FlowRun, signal: Signal) -> FlowRun:
    """Nobody executes the run."""
    tracked = run.holder is not None or run.state.type is not RUNNING
    details: dict[str, Any] = {
        "reason": CANCEL,
        "who": signal.who,
        "stopped": GONE if run.holder is not None or not tracked else IDLE,
        "confirmed": tracked,
    }
    message = signal.stop.message if tracked else f"{signal.stop.message} {NOT_TRACKED}"
    state: State[None] = make("Cancelled", signal.at, message=message, details=details)
    orchestrate.enter(tx, run.id, state, Facts(), deadline=run.deadline)
    close_tasks(tx, run, state, signal.at)
    return flow_runs.get(tx, run.id) or run

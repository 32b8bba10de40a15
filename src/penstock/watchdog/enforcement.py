"""Making a request to cancel true where the run's own process does not answer it.

Law: nothing is done before the grace has passed and the process had its chance. A process is ended only if the record
says that it may be, only if it is seen from here to be the one that executes the run, and only for a flow run (or a
task run outside flows, which is all that its process was asked for). Where nothing may be ended the run is closed all
the same, and says that its code was not stopped; where the process cannot be seen from here, the request stays open
for whoever can see it.

A task run of a flow is never a reason to end the flow's process: its flow is to go on. A request for one that its
engine does not answer stays open until the flow run ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from ..domain.runs import FlowRun, Holder, TaskRun
from ..domain.stops import ABANDONED, KILLED, Proof, Signal
from ..services.rescue import Lives, rescue
from ..store import flow_runs, holders, signals, task_runs
from ..store.contract import Store, Tx
from . import detached
from .ending import amend_gone, close_rest, close_stopped, end_process, sentence

# After the grace, the process's own watchdog and its engine come first.
MARGIN = timedelta(seconds=0.1)
NOT_ENFORCED = "Its code was not stopped: its process ({holder}) may not be ended."
POLL_SECONDS = 0.1

End = Callable[[Holder, str], bool]


class Outcome(StrEnum):
    """What became of a request: nobody asks (any more), its time has not come, it is not for us to enforce, or how it
    was enforced."""

    DONE = "done"
    EARLY = "early"
    LEFT = "left"
    GONE = "gone"
    KILLED = "killed"
    ABANDONED = "abandoned"


def enforce(
    store: Store,
    run_id: UUID,
    *,
    now: Callable[[], datetime],
    default_grace: float,
    lives: Lives,
    end: End = end_process,
    only: Holder | None = None,
) -> Outcome:
    """Enforces the request to stop a run, if its time has come. With `only`, for runs of that process alone.

    What is read is read again in the transaction that writes; but the process is ended outside it: one that is frozen
    may hold the record locked.
    """
    with store.read() as tx:
        signal, run = signals.get(tx, run_id), _find(tx, run_id)
        if signal is None or run is None or run.state.is_final():
            return Outcome.DONE
        if now() < due(signal, default_grace):
            return Outcome.EARLY
        holder = run.holder
        if holder is None or (only is not None and holder != only):
            return Outcome.LEFT
        may_be_killed = holders.may_be_killed(tx, holder)
    alive = lives(holder)
    if alive is None:
        return Outcome.LEFT
    if not alive:
        rescue(store, lives, now)
        return Outcome.GONE
    line = sentence(run, run_id, signal.stop, _grace(signal, default_grace), holder)
    killed = may_be_killed and end(holder, line)
    with store.write() as tx:
        return _close(tx, run_id, signal, holder, killed, now())


def due(signal: Signal, default_grace: float) -> datetime:
    """From when on a request may be enforced."""
    return signal.at + timedelta(seconds=_grace(signal, default_grace)) + MARGIN


def _grace(signal: Signal, default: float) -> float:
    return default if signal.grace is None else signal.grace


def _close(tx: Tx, run_id: UUID, signal: Signal, holder: Holder, killed: bool, now: datetime) -> Outcome:
    run = _find(tx, run_id)
    if run is None:
        return Outcome.DONE
    was_open = not run.state.is_final()
    if was_open:
        proof = Proof(KILLED if killed else ABANDONED, (now - signal.at).total_seconds())
        close_stopped(tx, run, signal.stop, proof, now, "" if killed else NOT_ENFORCED.format(holder=holder))
    elif killed:
        amend_gone(tx, run, (now - signal.at).total_seconds(), signal.stop.message)
    if killed:
        close_rest(tx, holder, run, now)
        return Outcome.KILLED
    return Outcome.ABANDONED if was_open else Outcome.DONE


def _find(tx: Tx, run_id: UUID) -> FlowRun | TaskRun | None:
    """A run that a process may be ended for; not a task run of a flow."""
    flow_run = flow_runs.get(tx, run_id)
    if flow_run is not None:
        return flow_run
    task_run = task_runs.get(tx, run_id)
    return task_run if task_run is not None and task_run.flow_run_id is None else None


# --- standing by itself ----------------------------------------------------------------------------------------------


def launch_enforcer(path: Path, run_id: UUID, default_grace: float = 30.0) -> None:
    """Has the open request to stop a run enforced by a process of its own, when its time has come; the caller may end.

    Raises `detached.CannotStart` or `OSError` where no process can be started.
    """
    asked = ["--enforce", str(run_id), "--database", str(path.absolute()), "--grace", repr(default_grace)]
    pid = detached.start("penstock.watchdog.__main__", asked)
    deadline = time.monotonic() + 1.0
    while not detached.wait_for(pid) and time.monotonic() < deadline:
        time.sleep(0.002)


def enforce_in_time(
    store: Store,
    run_id: UUID,
    *,
    now: Callable[[], datetime],
    default_grace: float,
    lives: Lives,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Waits until the run has ended or its grace has passed, and enforces the request then."""
    seen: tuple[int, Outcome] | None = None
    while True:
        changes = store.changes()
        if seen is None or seen[0] != changes or _is_due(store, run_id, now(), default_grace):
            outcome = enforce(store, run_id, now=now, default_grace=default_grace, lives=lives)
            if outcome is not Outcome.EARLY:
                return outcome
            seen = (changes, outcome)
        sleep(POLL_SECONDS)


def _is_due(store: Store, run_id: UUID, now: datetime, default_grace: float) -> bool:
    with store.read() as tx:
        signal = signals.get(tx, run_id)
    return signal is None or now >= due(signal, default_grace)

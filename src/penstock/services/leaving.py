"""Flow runs that nobody executes and that are to go on: those that wait without a process, and those that were told to
go on since.

Law: a run whose process is gone while it waits has not crashed. Its epoch is raised, so that this process, should it
turn up again, cannot write any more; and whoever enters the run next does so under the new one.
"""

from __future__ import annotations

from datetime import datetime

from ..domain.launches import Launch
from ..domain.pauses import RESUMING, SUSPENDED, WAITS_FOR, waiting
from ..domain.runs import FlowRun
from ..domain.states import PAUSED, RUNNING, make
from ..domain.stops import RESUME
from ..store import flow_runs, launches, pauses, signals
from ..store.contract import Tx
from .reopening import ANEW


def launch_again(tx: Tx, run: FlowRun, now: datetime) -> None:
    """Nobody executes the run, and it is to go on. What was launched is launched once more, as soon as what it was
    launched on is gone; any other is entered by whoever has its program."""
    run.holder = run.deadline = None
    run.epoch += 1
    run.version += 1
    launch = launches.get(tx, run.id)
    if launch is not None and not (launch.claimed is not None and launch.ended is None):
        run.infrastructure_pid = None
        make_anew(launch, now)
        launches.put(tx, launch)
    flow_runs.put(tx, run)


def _waiting_below(tx: Tx, run: FlowRun) -> FlowRun | None:
    """A subflow run of this one, however far down, that waits, or has just been told to go on; and was not launched by
    itself."""
    for child in flow_runs.get_all(tx, flow_runs.children(tx, run.id)).values():
        if launches.get(tx, child.id) is not None:
            continue
        if child.state.name == RESUMING or (child.state.type is PAUSED and pauses.open_of(tx, child.id) is not None):
            return child
        below = _waiting_below(tx, child) if not child.state.is_final() else None
        if below is not None:
            return below
    return None


def _wait_with(tx: Tx, run: FlowRun, below: FlowRun, now: datetime) -> None:
    """The run's code was in the call of a flow that waits: it waits with it, and is entered again with it."""
    resumed = below.state.name == RESUMING
    message = f"Its process ({run.holder}) is gone; its subflow run {below.id} {'was resumed' if resumed else 'waits'}."
    state = make(RESUMING if resumed else SUSPENDED, now, message=message, details={WAITS_FOR: str(below.id)})
    run.enter(state)
    if resumed:
        launch_again(tx, run, now)
        return
    run.holder = run.deadline = None
    run.epoch += 1
    flow_runs.put(tx, run)


def make_anew(launch: Launch, now: datetime) -> None:
    """It waits to be launched, as if it never had been."""
    for name, value in ANEW.items():
        setattr(launch, name, value)
    launch.scheduled = now


def keep(tx: Tx, run: FlowRun, now: datetime) -> bool:
    """For a run whose process is gone: whether it waits, or has just been told to go on, and is kept so."""
    pause = pauses.latest(tx, run.id)
    if run.state.name == RESUMING:
        signals.heeded(tx, run.id, RESUME)
        if run.holder is not None:
            launch_again(tx, run, now)
        return True
    if run.state.type is not PAUSED:
        below = _waiting_below(tx, run) if run.state.type is RUNNING else None
        if below is None:
            return False
        _wait_with(tx, run, below, now)
        return True
    if pause is not None and pause.answer is None and not pause.suspended:
        pause.suspended = True
        pauses.put(tx, pause)
        state = waiting(pause, now)
        message = f"The process that waited ({run.holder}) is gone; the pause stands. {state.message}"
        run.enter(make(SUSPENDED, now, message=message, details=state.details))
    if run.holder is not None:
        run.holder = run.deadline = None
        run.epoch += 1
        flow_runs.put(tx, run)
    return True

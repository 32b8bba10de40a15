"""Closing runs whose process is gone: the record must not call running what is not.

Only a process that is *known* to be gone is taken for dead; one that cannot be seen from here (another host) is left
to whoever can.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ..domain.logs import LogLine
from ..domain.runs import FlowRun, Holder, TaskRun
from ..domain.states import State, make
from ..store import flow_runs, logs, task_runs
from ..store.contract import Store, Tx

IsGone = Callable[[Holder], bool]


def rescue(store: Store, is_gone: IsGone, now: Callable[[], datetime]) -> list[FlowRun | TaskRun]:
    """Closes what the dead left open, flow runs with their task runs; gives what was closed.

    Reading comes first and is cheap: where nobody died, nothing is locked.
    """
    with store.read() as tx:
        suspects = [run for run in _open_runs(tx) if run.holder is not None and is_gone(run.holder)]
    if not suspects:
        return []
    with store.write() as tx:
        return [run for run in suspects if _close(tx, run, is_gone, now())]


def _open_runs(tx: Tx) -> list[FlowRun | TaskRun]:
    return [*flow_runs.unfinished_held(tx), *task_runs.unfinished_alone(tx)]


def _close(tx: Tx, run: FlowRun | TaskRun, is_gone: IsGone, now: datetime) -> bool:
    """Looked at again inside the transaction: another process may have rescued it, or taken it over, meanwhile."""
    fresh: FlowRun | TaskRun | None
    fresh = flow_runs.get(tx, run.id) if isinstance(run, FlowRun) else task_runs.get(tx, run.id)
    if fresh is None or fresh.state.is_final() or fresh.holder is None or not is_gone(fresh.holder):
        return False
    state = _ending(fresh, now)
    fresh.enter(state)
    if isinstance(fresh, TaskRun):
        task_runs.report(tx, [fresh])
        return True
    for task_run in task_runs.unfinished_of(tx, fresh.id):
        task_run.enter(_ending_of_child(state, now))
        task_runs.report(tx, [task_run])
    fresh.epoch += 1  # whoever still thinks it holds the run may not write any more
    fresh.lease_expires = None
    flow_runs.put(tx, fresh)
    logs.append(tx, [_line(tx, fresh, state)])
    run.states = fresh.states
    return True


def _ending(run: FlowRun | TaskRun, now: datetime) -> State[None]:
    details = {"stopped": "gone", "confirmed": True, "holder": str(run.holder)}
    if run.state.is_cancelling():
        return make("Cancelled", now, message="The run's process is gone.", details=details)
    if run.deadline is not None and run.deadline <= now and run.state.is_running():
        message = "The run's process ended without a word; its deadline has passed since."
        return make("TimedOut", now, message=message, details=details)
    message = f"The run's process ({run.holder}) ended before the run did."
    return make("Crashed", now, message=message, details=details)


def _ending_of_child(parent: State[None], now: datetime) -> State[None]:
    name = "Cancelled" if parent.is_cancelled() or parent.name == "TimedOut" else "Crashed"
    return make(name, now, message=f"Its flow run is {parent.name}: {parent.message}", details=parent.details)


def _line(tx: Tx, run: FlowRun, state: State[None]) -> LogLine:
    return LogLine(
        flow_run_id=run.id,
        task_run_id=None,
        seq=logs.next_seq(tx, run.id),
        timestamp=state.timestamp,
        level=40,
        message=f"Finished in state {state} (found by another process)",
    )

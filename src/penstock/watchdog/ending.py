"""Ending a process because a run in it does not stop, and what the record says of all that it had under way."""

from __future__ import annotations

import os
from datetime import datetime
from uuid import UUID

import msgspec

from ..domain.runs import FlowRun, Holder, TaskRun
from ..domain.states import State, make
from ..domain.stops import GONE, KILLED, PARENT, TIMEOUT, Proof, Stop, details_of
from ..infrastructure.process import Process, kill_tree
from ..services import proof, rescue
from ..store import flow_runs, holders, task_runs
from ..store.contract import Tx


def end_process(holder: Holder, line: str) -> bool:
    """Ends a process with all below it, and says so where it writes its errors. Whether it is gone.

    Never ends the process that asks. The holder must be of this host.
    """
    if holder.pid == os.getpid():
        return False
    errors = _errors_of(holder.pid)
    try:
        gone = kill_tree(Process(holder.pid, holder.started))
        if gone and errors is not None:
            _say(errors, line)
        return gone
    finally:
        if errors is not None:
            os.close(errors)


def _errors_of(pid: int) -> int | None:
    """Where a process writes its errors; None where that cannot be opened."""
    try:
        # At the end of a file, not over its beginning; and a pipe that nobody reads must not hold us up.
        return os.open(f"/proc/{pid}/fd/2", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None


def _say(errors: int, line: str) -> None:
    try:
        os.write(errors, f"{line}\n".encode("utf-8", "replace"))
    except OSError:
        pass


def sentence(run: FlowRun | TaskRun | None, run_id: UUID, stop: Stop, seconds: float, holder: Holder) -> str:
    """What is said when a process was ended."""
    kind = "task run" if isinstance(run, TaskRun) else "flow run"
    name = repr(run.name) if run is not None else str(run_id)
    why = stop.message.rstrip(".")
    within = f"within {round(seconds, 1):g} s of: {why}" if seconds > 0 else f"({why})"
    return f"penstock: {kind} {name} did not stop {within}; its process ({holder.pid}) was ended"


# --- the record ------------------------------------------------------------------------------------------------------


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


def amend_gone(tx: Tx, run: FlowRun | TaskRun, seconds: float, message: str | None = None) -> None:
    """Who saw the end of the run's process first did not know that it was us who ended it."""
    details = run.state.details or {}
    if details.get("stopped") != GONE:
        return
    details = {**details, "stopped": KILLED, "seconds_to_stop": round(seconds, 4)}
    state = msgspec.structs.replace(run.state, message=message or run.state.message, details=details)
    run.states = (*run.states[:-1], state)
    run.version += 1
    if isinstance(run, FlowRun):
        flow_runs.put(tx, run)
    else:
        task_runs.put_states(tx, run)


def held_by(tx: Tx, holder: Holder) -> list[FlowRun | TaskRun]:
    """Runs that a process executes, by the record."""
    runs: list[FlowRun | TaskRun] = [*flow_runs.unfinished_held(tx), *task_runs.unfinished_alone(tx)]
    return [run for run in runs if run.holder == holder]


def find(tx: Tx, run_id: UUID, is_flow: bool) -> FlowRun | TaskRun | None:
    return flow_runs.get(tx, run_id) if is_flow else task_runs.get(tx, run_id)


def _is_below(tx: Tx, run: FlowRun | TaskRun, above: UUID) -> bool:
    """Whether a run was called by another, however far down."""
    each: FlowRun | TaskRun | None = run
    while each is not None:
        if above in (each.flow_run_id, each.parent_task_run_id):
            return True
        each = None if each.flow_run_id is None else flow_runs.get(tx, each.flow_run_id)
    return False

"""Closing runs whose process is gone: the record must not call running what is not.

A process that can be seen from here is dead when it is seen to be gone, and never before, however late its lease is.
One that cannot be seen (another host, another container) is taken for dead when its lease has ended.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from ..domain.errors import RecordError
from ..domain.logs import LogLine
from ..domain.rules import Accept, Facts, Replace, Transition
from ..domain.runs import FlowRun, Holder, TaskRun
from ..domain.states import PAUSED, State, make
from ..domain.stops import CANCEL, GONE
from ..domain.transition import decide
from ..protocol.journal import Fact
from ..store import flow_runs, holders, launches, logs, signals, spool, task_runs, unconfirmed, workers
from ..store.contract import Store, Tx
from . import concurrency, ingest, leaving, orchestrate, proof

# Whether a process lives: None when it cannot be seen from here.
Lives = Callable[[Holder], bool | None]


def rescue(store: Store, lives: Lives, now: Callable[[], datetime]) -> list[FlowRun | TaskRun]:
    """Closes what the dead left open, flow runs with their task runs; gives what was closed.

    Reading comes first and is cheap: where nobody died, nothing is locked. What the dead had written last is in their
    logs before their runs are closed.
    """
    take_spooled(store, lives, now)
    with store.read() as tx:
        moment = now()
        lost = _lost(tx, lives, moment)
        suspects = [run for run in _open_runs(tx) if run.holder in lost] if lost else []
        # (That nothing is heard of a process is no proof that its code has ended.)
        gone = [holder for holder in unconfirmed.holders(tx) if lives(holder) is False]
        slots = concurrency.any_of_dead(tx, moment, lambda tx, holder: is_lost(tx, holder, lives, moment))
    if not suspects and not gone and not slots:
        return []
    with store.write() as tx:
        moment = now()  # one for all: what a run called ends no later than it
        closed = [run for run in suspects if _rescue(tx, run, lives, moment)]
        for holder in gone:
            proof.confirm_gone(tx, holder, GONE, moment)
        concurrency.end_of_dead(tx, moment, lambda tx, holder: is_lost(tx, holder, lives, moment))
        for holder in {*gone, *(run.holder for run in closed if run.holder is not None)}:
            holders.delete(tx, holder)
        return closed


def take_spooled(store: Store, lives: Lives, now: Callable[[], datetime]) -> None:
    """Records what processes which are gone had reported and had no time to record."""
    for spooled in spool.left(store.spool_folder):
        with store.read() as tx:
            if not is_lost(tx, spooled.holder, lives, now()):
                continue
        _take_in(store, spool.facts_of(spooled.path))
        with contextlib.suppress(OSError):  # somebody else did the same
            spooled.path.unlink()


def _take_in(store: Store, facts: list[Fact]) -> None:
    lines = [fact for fact in facts if isinstance(fact, LogLine)]
    try:
        with store.write() as tx:
            ingest.apply(tx, [fact for fact in facts if not isinstance(fact, LogLine)])
            known = {run_id for run_id in {_run_of(line) for line in lines} if _is_known(tx, run_id)}
            ingest.apply(tx, [line for line in lines if _run_of(line) in known])
    except RecordError:
        raise
    except Exception:
        # One cannot be written as it is, and would stand in the way of the others, and of every program that looks.
        if len(facts) > 1:
            for fact in facts:
                _take_in(store, [fact])


def _run_of(line: LogLine) -> UUID | None:
    return line.flow_run_id or line.task_run_id


def _is_known(tx: Tx, run_id: UUID | None) -> bool:
    return run_id is not None and (flow_runs.get(tx, run_id) is not None or task_runs.get(tx, run_id) is not None)


def _open_runs(tx: Tx) -> list[FlowRun | TaskRun]:
    return [*flow_runs.unfinished_held(tx), *task_runs.unfinished_alone(tx)]


def _lost(tx: Tx, lives: Lives, now: datetime) -> set[Holder]:
    """Those who are gone, of all who execute runs. There may be ten thousand, with a lease each, and this is asked
    every two seconds: so no run of theirs is read, and leases come with them."""
    found = set()
    for holder, lease in holders.of_open_runs(tx):
        alive = lives(holder)
        if not alive and (alive is False or _has_ended(lease, now)):
            found.add(holder)
    return found


def is_lost(tx: Tx, holder: Holder | None, lives: Lives, now: datetime) -> bool:
    """Whether a process is gone, as far as can be seen from here or from its lease; nobody never is."""
    if holder is None:
        return False
    alive = lives(holder)
    if alive is not None:
        return not alive
    return _has_ended(holders.lease_of(tx, holder), now)


def _has_ended(lease: datetime | None, now: datetime) -> bool:
    return lease is None or lease < now  # a process that has gone in peace took its lease with it


def _rescue(tx: Tx, run: FlowRun | TaskRun, lives: Lives, now: datetime) -> bool:
    """Looked at again inside the transaction: another process may have rescued it, or taken it over, meanwhile."""
    fresh: FlowRun | TaskRun | None
    fresh = flow_runs.get(tx, run.id) if isinstance(run, FlowRun) else task_runs.get(tx, run.id)
    if fresh is None or fresh.state.is_final() or not is_lost(tx, fresh.holder, lives, now):
        return False
    if _is_watched(tx, fresh, lives, now):
        return False
    assert fresh.holder is not None
    if isinstance(fresh, FlowRun) and keep_waiting(tx, fresh, now):
        return False
    close(tx, fresh, _asked_ending(tx, fresh, now) or ending(fresh, now, seen=lives(fresh.holder) is False))
    run.states = fresh.states
    return True


def _is_watched(tx: Tx, run: FlowRun | TaskRun, lives: Lives, now: datetime) -> bool:
    """Whether a worker that lives has launched the run: it sees what becomes of it, and why, and tells that."""
    launch = launches.get(tx, run.id)
    if launch is None or launch.claimed is None or launch.ended is not None or launch.worker is None:
        return False
    worker = workers.get(tx, launch.worker)
    return worker is not None and not worker.is_gone(now, None if worker.holder is None else lives(worker.holder))


def close_runs_of(tx: Tx, holder: Holder, now: datetime) -> None:
    """Closes what a process left open that is seen to be gone."""
    for run in _open_runs(tx):
        if run.holder == holder:
            _rescue(tx, run, lambda each: each != holder, now)


def _asked_ending(tx: Tx, run: FlowRun | TaskRun, now: datetime) -> State[None] | None:
    """A task run by itself is never Cancelling: that its end was asked for, only the request says."""
    asked = signals.get(tx, run.id) if isinstance(run, TaskRun) else None
    if asked is None:
        return None
    details = {"reason": CANCEL, "who": asked.who, "stopped": GONE, "confirmed": True, "holder": str(run.holder)}
    return make("Cancelled", now, message="The run's process is gone.", details=details)


def close(tx: Tx, run: FlowRun | TaskRun, state: State[None], note: str = "found by another process") -> None:
    """Ends a run on behalf of its process: with its task runs, its epoch raised so that the process, should it turn up
    again, cannot write any more, and a line in its log. Nothing, where the run has ended."""
    decision = decide(Transition(run.state, state), Facts(retry_wanted=False))
    if isinstance(decision, Replace):  # somebody cancelled the run: that stands, whatever happened to it then
        state = decision.state
    elif not isinstance(decision, Accept):
        return
    run.enter(state)
    orchestrate.clear_up(tx, run, state.timestamp)
    if isinstance(run, TaskRun):
        task_runs.report(tx, [run])
        return
    close_tasks(tx, run, state, state.timestamp)
    for below in flow_runs.get_all(tx, flow_runs.children(tx, run.id)).values():
        held = below.holder is not None or below.state.type is PAUSED
        if held and not below.state.is_final() and launches.get(tx, below.id) is None:
            close(tx, below, _ending_of_child(state, state.timestamp), note)
    run.epoch += 1
    flow_runs.put(tx, run)
    orchestrate.end_launched(tx, run, state.timestamp)
    logs.append(tx, [_line(run, state, note, logs.next_late_seq(tx, run.id, run.epoch))])


def close_idle(tx: Tx, runs: Sequence[FlowRun], state: State[None], note: str) -> None:
    """`close` of many runs of which nothing is at work, nothing is held, and of which nothing is asked."""
    first = logs.next_late_seqs(tx, {run.id: run.epoch + 1 for run in runs})
    for run in runs:
        run.enter(state)
        run.deadline = None
        run.epoch += 1
    flow_runs.put_all(tx, runs, state.timestamp)
    logs.append(tx, [_line(run, state, note, first[run.id]) for run in runs])


def keep_waiting(tx: Tx, run: FlowRun, now: datetime) -> bool:
    """For a run whose process is gone: whether it waits, or has just been told to go on, and is kept so."""
    state = ending(run, now)
    if not leaving.keep(tx, run, now):
        return False
    close_tasks(tx, run, state, now)
    return True


def close_tasks(tx: Tx, run: FlowRun, state: State[None], now: datetime) -> None:
    """Task runs of a flow run that has ended are over."""
    for task_run in task_runs.unfinished_of(tx, run.id):
        task_run.enter(_ending_of_child(state, now))
        task_runs.report(tx, [task_run])
        proof.note(tx, task_run)


def ending(run: FlowRun | TaskRun, now: datetime, *, seen: bool = True, stopped: str = GONE) -> State[None]:
    """How a run ends whose process is gone: as it was to end, where that was decided; else it crashed.

    `seen` is False when that is only known from the lease.
    """
    details: dict[str, Any] = {"stopped": stopped, "confirmed": seen, "holder": str(run.holder)}
    if run.state.is_cancelling():
        details = {**(run.state.details or {}), **details}
        return make("Cancelled", now, message="The run's process is gone.", details=details)
    if run.deadline is not None and run.deadline <= now and run.state.is_running():
        message = "The run's process ended without a word; its deadline has passed since."
        return make("TimedOut", now, message=message, details=details)
    message = f"The run's process ({run.holder}) ended before the run did."
    if not seen:
        # A guess: `reinstating` takes it back when the process is heard again.
        details["heard"] = False
        message = f"Nothing was heard of the run's process ({run.holder}) until its lease ended."
    return make("Crashed", now, message=message, details=details)


def _ending_of_child(parent: State[None], now: datetime) -> State[None]:
    name = "Cancelled" if parent.is_cancelled() or parent.name == "TimedOut" else "Crashed"
    return make(name, now, message=f"Its flow run is {parent.name}: {parent.message}", details=parent.details)


def _line(run: FlowRun, state: State[None], note: str, seq: int) -> LogLine:
    return LogLine(
        flow_run_id=run.id,
        task_run_id=None,
        seq=seq,
        timestamp=state.timestamp,
        level=40,
        message=f"Finished in state {state} ({note})",
    )

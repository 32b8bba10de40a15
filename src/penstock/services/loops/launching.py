"""Closing what no worker will: runs that did not begin in time, and launches whose run is over and whose worker has not
been heard of for long."""

from __future__ import annotations

from datetime import datetime, timedelta

from ...domain.launches import Launch
from ...domain.runs import FlowRun
from ...domain.states import CANCELLING, FINAL, RUNNING, make
from ...domain.stops import ABANDONED, IDLE
from ...store import flow_runs, launches, workers
from ...store.contract import Tx
from .. import launching, rescue
from ..desk import Desk

# How long a worker that is away has time to come back and see to what it launched; how long its word is kept.
AWAY = timedelta(hours=1)
WORKERS_KEPT = timedelta(days=7)
PIECE = 500


def once(desk: Desk) -> None:
    now = desk.now()
    with desk.store.read() as tx:
        suspects = [
            launch.flow_run_id
            for launch in launches.open_ones(tx, None, PIECE)
            if (run := flow_runs.get(tx, launch.flow_run_id)) is None
            or _is_late(launch, run, now)
            or _is_left(tx, launch, run, now)
        ]
        silent = workers.select(tx, None, None, 1, before=now - WORKERS_KEPT)
    if not suspects and not silent:
        return
    with desk.store.write() as tx:
        workers.prune(tx, now - WORKERS_KEPT)
        for id in suspects:
            launch, run = launches.get(tx, id), flow_runs.get(tx, id)
            if launch is None or launch.ended is not None:
                continue
            if run is None:
                launches.delete(tx, id)
            elif _is_late(launch, run, now):
                _close_late(tx, launch, run, now)
            elif _is_left(tx, launch, run, now):
                launch.ended = now
                launches.put(tx, launch)


def _is_late(launch: Launch, run: FlowRun, now: datetime) -> bool:
    """Whether a run was claimed so long ago that its code should have begun."""
    claimed = launch.claimed
    if launch.start_timeout is None or claimed is None or run.state.type in (*FINAL, CANCELLING):
        return False
    if any(state.type is RUNNING and state.timestamp >= claimed for state in run.states):
        return False
    return now - claimed > timedelta(seconds=launch.start_timeout)


def _close_late(tx: Tx, launch: Launch, run: FlowRun, now: datetime) -> None:
    """Its worker ends what it launched, if it did: the run is over."""
    launching.stop(launch, now, who="start timeout")
    launches.put(tx, launch)
    why = "" if launch.problem is None else f" ({launch.problem.rstrip('.')})"
    message = f"The run never started: {launch.start_timeout:g} s after it was claimed, no code of it runs{why}."
    # (A process may have taken it, and be loading its program: that its worker has ended it is told later.)
    taken = run.holder is not None
    details = {"stopped": ABANDONED if taken else IDLE, "confirmed": not taken}
    rescue.close(tx, run, make("Crashed", now, message=message, details=details), "start timeout")


def _is_left(tx: Tx, launch: Launch, run: FlowRun, now: datetime) -> bool:
    """Whether nobody will say any more what became of the infrastructure of a run that is over."""
    if run.state.type not in FINAL or now - run.state.timestamp < AWAY:
        return False
    worker = None if launch.worker is None else workers.get(tx, launch.worker)
    return worker is None or now - worker.heard > AWAY

"""A pause that was answered: its run is on its way again, by whatever way that is.

Law: called in the transaction that gave the pause its answer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from ..domain.pauses import RESUMING, SUSPENDED, Pause, resuming
from ..domain.rules import Facts
from ..domain.runs import FlowRun, Holder
from ..domain.states import make
from ..domain.stops import RESUME, Signal
from ..store import flow_runs, pauses, signals
from ..store.contract import Tx
from . import leaving, orchestrate


def unknown(holder: Holder) -> bool | None:
    """Whether a process lives, for who cannot see any: if it does not, the rescue finds that its run was to go on."""
    return None


def answered(tx: Tx, run: FlowRun, pause: Pause, now: datetime, lives: Callable[[Holder], bool | None]) -> FlowRun:
    """Tells the process that waits, or has the run entered by whoever enters it next; the run as it is then."""
    pauses.put(tx, pause)
    orchestrate.enter(tx, run.id, resuming(pause, now), Facts())
    run = _get(tx, run.id)
    if run.holder is not None and not pause.suspended and lives(run.holder) is not False:
        who = "" if pause.answer is None else pause.answer.who or ""
        signals.put(tx, Signal(run.id, now, who, kind=RESUME))
        return run
    leaving.launch_again(tx, run, now)
    above = run
    while above.flow_run_id is not None:  # they wait with it, and it is entered through them
        above = _get(tx, above.flow_run_id)
        if above.state.name == SUSPENDED and above.holder is None and pauses.open_of(tx, above.id) is None:
            details = {"who": pause.answer.who} if pause.answer is not None and pause.answer.who else None
            state = make(RESUMING, now, message=f"Subflow run {run.name!r} was resumed.", details=details)
            orchestrate.enter(tx, above.id, state, Facts())
            leaving.launch_again(tx, _get(tx, above.id), now)
    return run


def _get(tx: Tx, id: UUID) -> FlowRun:
    run = flow_runs.get(tx, id)
    assert run is not None
    return run

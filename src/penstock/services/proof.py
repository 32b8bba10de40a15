"""Proof that comes later: code that a run went on without has come to its end.

A final state stays what it is; only what it says of the code, `confirmed: false`, becomes true, once.
"""

from __future__ import annotations

import msgspec

from ..domain.runs import FlowRun, TaskRun
from ..domain.stops import Stilled
from ..store import flow_runs, task_runs
from ..store.contract import Tx


def confirm(tx: Tx, stilled: Stilled) -> bool:
    """Notes on a run that ended unconfirmed how its code ended; False where there is nothing to note."""
    run: FlowRun | TaskRun | None = task_runs.get(tx, stilled.run_id) or flow_runs.get(tx, stilled.run_id)
    if run is None or not run.state.is_final() or run.run_count != stilled.attempt:
        return False
    details = run.state.details or {}
    if details.get("confirmed") is not False:
        return False
    new = {
        **details, "stopped": stilled.stopped, "confirmed": True, "seconds_to_stop": round(stilled.seconds, 4)
    }  # fmt: skip
    if stilled.where and "where" not in new:
        new["where"] = stilled.where
        if len(stilled.stack) > 1:
            new["stack"] = list(stilled.stack)
    run.states = (*run.states[:-1], msgspec.structs.replace(run.state, details=new))
    run.version += 1
    if isinstance(run, FlowRun):
        flow_runs.put(tx, run)
    else:
        task_runs.put_states(tx, run)
    return True

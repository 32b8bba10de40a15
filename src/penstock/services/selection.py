"""Which runs are meant when something is to be done with many: chosen by a filter, each once, the oldest first."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import msgspec

from ..domain.filters import FilterError, RunFilter
from ..domain.runs import FlowRun
from ..domain.states import FINAL, StateType
from ..store import filters, flow_runs
from ..store.contract import Store, Tx

# More runs than this at once are no decision of a person's.
MOST = 10_000
UNFINISHED = tuple(type_ for type_ in StateType if type_ not in FINAL)


def unfinished(store: Store, filter: RunFilter) -> list[FlowRun]:
    """The runs that fit and have not ended, the oldest first. Those that end with one above them, which fits as well,
    are left out. Raises `FilterError` for a filter that no such run fits, and for one that too many do."""
    types = filter.types()
    if types is not None and types <= FINAL:
        raise FilterError(f"Runs that are {' or '.join(sorted(types)) or 'in no state'} cannot be cancelled.")
    filter = _in_states(filter, UNFINISHED)
    where, params = filters.runs(filter, filters.FLOW_RUN, MOST + 1)
    with store.read() as tx:
        found = list(flow_runs.select(tx, where, params, filters.NEWEST_FIRST, MOST + 1))
        if len(found) > MOST:
            raise FilterError(f"More than {MOST:,} runs fit that have not ended; narrow the choice.")
        runs = {run.id: run for run in reversed(found)}
        above = _all_above(tx, runs)
    return [run for run in runs.values() if not _ends_with_another(run, above, runs)]


def ended(store: Store, filter: RunFilter, limit: int) -> list[FlowRun]:
    """Runs that fit and have ended, `limit` of them, the newest first. Raises `FilterError` for a filter that no such
    run fits."""
    types = filter.types()
    if types is not None and not types & FINAL:
        raise FilterError(
            f"Runs that are {' or '.join(sorted(types)) or 'in no state'} have not ended: name those that are to be "
            "deleted all the same."
        )
    where, params = filters.runs(_in_states(filter, tuple(sorted(FINAL))), filters.FLOW_RUN, limit)
    with store.read() as tx:
        return list(flow_runs.select(tx, where, params, filters.NEWEST_FIRST, limit))


def _in_states(filter: RunFilter, wanted: Iterable[StateType]) -> RunFilter:
    types = filter.types()
    return msgspec.structs.replace(
        filter, state_types=tuple(type_ for type_ in wanted if types is None or type_ in types)
    )


def _all_above(tx: Tx, runs: dict[UUID, FlowRun]) -> dict[UUID, FlowRun]:
    """These runs, and those that they are below."""
    above = dict(runs)
    waiting = list(runs.values())
    while waiting:
        parent = waiting.pop().flow_run_id
        if parent is not None and parent not in above:
            run = flow_runs.get(tx, parent)
            if run is not None:
                above[parent] = run
                waiting.append(run)
    return above


def _ends_with_another(run: FlowRun, above: dict[UUID, FlowRun], runs: dict[UUID, FlowRun]) -> bool:
    parent = None if run.flow_run_id is None else above.get(run.flow_run_id)
    while parent is not None:
        if parent.id in runs:
            return True
        parent = None if parent.flow_run_id is None else above.get(parent.flow_run_id)
    return False

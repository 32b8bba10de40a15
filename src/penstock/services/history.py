"""How many runs there were, by time and state: what charts of runs are drawn from."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil

import msgspec

from ..domain.filters import FilterError, RunFilter
from ..domain.states import StateType
from ..store import filters
from ..store.contract import Store

MOST_INTERVALS = 1000


class Counted(msgspec.Struct, frozen=True):
    """One interval: (type, name, how many) of each state that runs which were created in it are in now."""

    start: datetime
    end: datetime
    states: list[tuple[StateType, str, int]]


def by_time(store: Store, filter: RunFilter, start: datetime, end: datetime, seconds: float) -> list[Counted]:
    """The intervals of `seconds` from `start` on, the last one up to `end`, those without runs included.

    Raises `FilterError` when they are more than 1000, or none.
    """
    span = (end - start).total_seconds()
    if span <= 0:
        raise FilterError("end must be after start.")
    count = ceil(span / seconds)
    if count > MOST_INTERVALS:
        raise FilterError(f"These are {count:,} intervals; {MOST_INTERVALS:,} are the most: make them longer.")
    filter = msgspec.structs.replace(
        filter,
        after=start if filter.after is None else max(start, filter.after),
        before=end if filter.before is None else min(end, filter.before),
    )
    with store.read() as tx:
        rows = list(filters.history(tx, filter, filters.FLOW_RUN, start, round(seconds * 1e6)))
    found: list[list[tuple[StateType, str, int]]] = [[] for _ in range(count)]
    for place, type_, name, runs in rows:
        found[min(place, count - 1)].append((StateType(type_), name, runs))
    step = timedelta(seconds=seconds)
    return [
        Counted(start + step * place, min(start + step * (place + 1), end), sorted(states))
        for place, states in enumerate(found)
    ]

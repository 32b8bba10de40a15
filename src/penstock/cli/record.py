"""How commands ask the record: a server, where PENSTOCK_API_URL is set, else in this process; a command does not know
which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from penstock import connect
from penstock.domain.filters import MOST_IDS, RunFilter
from penstock.domain.runs import FlowRun
from penstock.protocol.flow_runs import FILTER_FLOW_RUNS, FilterRuns
from penstock.protocol.operation import Operation, Page
from penstock.protocol.paging import MOST

T = TypeVar("T")

WAY = "CLI"
# For how long one question waits for news: who waits should notice soon when nobody reads on.
WAIT_SECONDS = 0.5


def ask(operation: Operation[Any, T], argument: msgspec.Struct) -> T:
    """The record's answer. Raises what the operation raises, and `RecordError` where nobody answers."""
    return connect.call(operation, argument, way=WAY)


def listed(
    operation: Operation[Any, Page[T]],
    query: Callable[[int, str | None], msgspec.Struct],
    limit: int,
    wanted: Callable[[T], bool] | None = None,
) -> list[T]:
    """The first `limit` things of a list (of those that are `wanted`): `query(limit, cursor)` asks for one page."""
    found: list[T] = []
    cursor: str | None = None
    while len(found) < limit:
        page = ask(operation, query(min(MOST, limit - len(found)), cursor))
        found += page.items if wanted is None else filter(wanted, page.items)
        cursor = page.next
        if cursor is None:
            break
    return found


def flow_runs_named(ids: Iterable[UUID | None]) -> dict[UUID, FlowRun]:
    """Flow runs by id, for the few that a page mentions; those that are not recorded are left out."""
    wanted = [id for id in dict.fromkeys(ids) if id is not None]
    return {
        run.id: run
        for some in _pieces(wanted)
        for run in ask(FILTER_FLOW_RUNS, FilterRuns(filter=RunFilter(ids=some), limit=MOST)).items
    }


def _pieces(ids: list[UUID]) -> Iterator[tuple[UUID, ...]]:
    for start in range(0, len(ids), MOST_IDS):
        yield tuple(ids[start : start + MOST_IDS])

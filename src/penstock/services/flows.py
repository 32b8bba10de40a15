"""Looking flows up: a flow is there from its first run on."""

from __future__ import annotations

import base64
from uuid import UUID

import msgspec

from ..domain import names
from ..domain.errors import ObjectNotFound
from ..domain.filters import FilterError, Moment
from ..domain.flows import FlowSummary
from ..store import flow_runs
from ..store.contract import Store

# When a flow's latest run was created (None: it has none), and its name.
Place = tuple[Moment | None, str]


def page(store: Store, limit: int, cursor: str | None = None) -> tuple[list[FlowSummary], str | None]:
    """Flows, the most recently used first; and the cursor of what follows, None when that was all. Raises
    `FilterError` for a cursor that is none."""
    after = None if cursor is None else _place_in(cursor)
    with store.read() as tx:
        found = flow_runs.flows(tx, limit, after=after)
    return found, _cursor(found[-1]) if len(found) == limit else None


def count(store: Store) -> int:
    with store.read() as tx:
        return flow_runs.count_flows(tx)


def get(store: Store, id: UUID) -> FlowSummary:
    """Raises `ObjectNotFound`."""
    with store.read() as tx:
        name = flow_runs.flow_name(tx, id)
        found = [] if name is None else flow_runs.flows(tx, 1, name)
    if not found:
        raise ObjectNotFound(f"Flow '{id}' not found!")
    return found[0]


def get_by_name(store: Store, name: str) -> FlowSummary:
    """Raises `ObjectNotFound`, with names that are near."""
    with store.read() as tx:
        found = flow_runs.flows(tx, 1, name)
        if found:
            return found[0]
        known = [each.name for each in flow_runs.flows(tx, 1000)]
    raise ObjectNotFound(f"Flow {names.shown(name)} not found!{names.suggestion(name, known)}")


def _cursor(flow: FlowSummary) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((flow.last_run, flow.name))).decode()


def _place_in(cursor: str) -> Place:
    try:
        last, name = msgspec.json.decode(base64.b64decode(cursor, altchars=b"-_", validate=True), type=Place)
    except (ValueError, msgspec.MsgspecError):
        raise FilterError("The cursor is none of a list of flows; give back `next` as it was.") from None
    return last, name

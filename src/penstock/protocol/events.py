"""What can be asked about events."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec

from ..domain.events import MOST_NAME, MOST_RELATED, Event, EventFilter
from ..domain.filters import Moment
from .operation import Count, Operation, Page
from .paging import Cursor, Limit

Label = Annotated[str, msgspec.Meta(max_length=10_000)]
Labels = Annotated[dict[str, Label], msgspec.Meta(max_length=500)]


class EmittedEvent(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An event as it is said; what is not given, the server fills in. See `Event`."""

    event: Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_NAME)]
    resource: Labels
    id: UUID | None = None
    occurred: Moment | None = None
    related: Annotated[tuple[Labels, ...], msgspec.Meta(max_length=MOST_RELATED)] = ()
    payload: dict[str, Any] = {}
    follows: UUID | None = None
    flow_run_id: UUID | None = None


class EmitEvents(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    events: Annotated[list[EmittedEvent], msgspec.Meta(min_length=1, max_length=1000)]


class FilterEvents(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Events that fit, the latest first."""

    filter: EventFilter = EventFilter()
    limit: Limit = 200
    cursor: Cursor | None = None


class CountEvents(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    filter: EventFilter = EventFilter()


class EventById(msgspec.Struct, forbid_unknown_fields=True):
    id: UUID


EMIT_EVENTS = Operation("emit_events", "POST", "/events", EmitEvents, Count, "Say that something happened.", status=201)
FILTER_EVENTS = Operation(
    "filter_events", "POST", "/events/filter", FilterEvents, Page[Event], "List events, the latest first.", reads=True
)
COUNT_EVENTS = Operation("count_events", "POST", "/events/count", CountEvents, Count, "Count events.", reads=True)
READ_EVENT = Operation("read_event", "GET", "/events/{id}", EventById, Event, "Read an event.")

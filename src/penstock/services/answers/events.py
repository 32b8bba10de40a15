"""Answers about events."""

from __future__ import annotations

import secrets

from ...domain.events import Event
from ...domain.ids import uuid7
from ...protocol import events as asked
from ...protocol import paging
from ...protocol.operation import Count, Page
from .. import events
from ..desk import Desk, answers


@answers(asked.EMIT_EVENTS)
def emit_events(desk: Desk, wanted: asked.EmitEvents) -> Count:
    now = desk.now()
    made = [
        Event(
            id=each.id or uuid7(round(now.timestamp() * 1e9), secrets.randbits(62)),
            event=each.event,
            occurred=each.occurred or now,
            resource=each.resource,
            related=each.related,
            payload=each.payload,
            follows=each.follows,
            flow_run_id=each.flow_run_id,
        )
        for each in wanted.events
    ]
    return Count(events.add(desk.store, made, now))


@answers(asked.FILTER_EVENTS)
def filter_events(desk: Desk, query: asked.FilterEvents) -> Page[Event]:
    found = events.list_events(desk.store, query.filter, query.limit, paging.id_in(query.cursor))
    return Page(items=found, next=paging.after(found[-1].id) if len(found) == query.limit else None)


@answers(asked.COUNT_EVENTS)
def count_events(desk: Desk, query: asked.CountEvents) -> Count:
    return Count(events.count(desk.store, query.filter))


@answers(asked.READ_EVENT)
def read_event(desk: Desk, query: asked.EventById) -> Event:
    return events.get(desk.store, query.id)

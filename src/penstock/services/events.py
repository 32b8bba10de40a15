"""Events: keeping and finding them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from ..domain import events as rules
from ..domain.errors import ObjectNotFound, UnstorableValue
from ..domain.events import Event, EventFilter
from ..store import events as kept
from ..store.contract import Store, Tx
from . import awaited_events, firing


def add(store: Store, events: Iterable[Event], now: datetime) -> int:
    """How many were given; those that are there already stay as they are. Raises `UnstorableValue`."""
    made = [rules.checked(event) for event in events]
    with store.write() as tx:
        _tell(tx, made, now)
        kept.add(tx, made, now)
    return len(made)


def report(tx: Tx, events: Iterable[Event]) -> None:
    """What was said inside runs. What breaks the rules was not said by an engine, and is not kept."""
    made = []
    for event in events:
        with contextlib.suppress(UnstorableValue):
            made.append(rules.checked(event))
    if made:
        # (`occurred` is what its author says; when it was said, the process knows.)
        now = max(event.received or event.occurred for event in made)
        _tell(tx, made, now)
        kept.add(tx, made, now)


def _tell(tx: Tx, made: list[Event], now: datetime) -> None:
    """Whoever waits for one of them, before they are written: what the record has already is no news."""
    awaited_events.arrived(tx, made, now)
    firing.heard(tx, made, now)


def get(store: Store, id: UUID) -> Event:
    """Raises `ObjectNotFound`."""
    with store.read() as tx:
        found = kept.get(tx, id)
    if found is None:
        raise ObjectNotFound(f"Event '{id}' not found!")
    return found


def list_events(store: Store, filter: EventFilter, limit: int, behind: UUID | None = None) -> list[Event]:
    """The latest first."""
    with store.read() as tx:
        return list(kept.select(tx, filter, limit, behind))


def count(store: Store, filter: EventFilter) -> int:
    with store.read() as tx:
        return kept.count(tx, filter)

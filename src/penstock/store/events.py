"""SQL of events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

from ..domain.events import Event, EventFilter, resource_id
from . import codec
from .contract import Row, Tx, Value

_COLUMNS = (
    "id", "event", "at", "received", "resource_id", "resource", "related", "payload", "follows", "flow_run_id",
)  # fmt: skip
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM event"
# What comes after every text that begins like another one.
_LAST = "\U0010ffff"

Condition = tuple[str, list[Value]]


def add(tx: Tx, events: Iterable[Event], received: datetime) -> None:
    """An event that is there already stays as it is."""
    at = codec.exact_micros(received)
    rows: list[tuple[Value, ...]] = [
        (
            event.id.bytes,
            event.event,
            codec.exact_micros(event.occurred),
            at,
            resource_id(event.resource),
            codec.text(event.resource),
            codec.text(event.related),
            codec.text(event.payload),
            codec.blob(event.follows),
            codec.blob(event.flow_run_id),
        )
        for event in events
    ]
    if rows:
        tx.insert("event", _COLUMNS, rows, "ON CONFLICT DO NOTHING")


def get(tx: Tx, id: UUID) -> Event | None:
    row = tx.row(f"{_SELECT} WHERE id = ?", (id.bytes,))
    return None if row is None else _event(row)


def select(tx: Tx, filter: EventFilter, limit: int, behind: UUID | None = None) -> Iterator[Event]:
    """The latest that fit; with `behind`, those that come after that one in the list."""
    where, params = _fitting(filter)
    if behind is not None:
        where += " AND (at, id) < (SELECT at, id FROM event WHERE id = ?)"
        params.append(behind.bytes)
    return map(_event, tx.rows(f"{_SELECT} WHERE {where} ORDER BY at DESC, id DESC LIMIT ?", (*params, limit)))


def count(tx: Tx, filter: EventFilter) -> int:
    where, params = _fitting(filter)
    row = tx.row(f"SELECT count(*) FROM event WHERE {where}", params)
    return 0 if row is None else int(row[0])


def _fitting(filter: EventFilter) -> Condition:
    parts: list[Condition] = []
    if filter.events:
        parts.append(_any_of("event", filter.events))
    if filter.resource_ids:
        parts.append(_any_of("resource_id", filter.resource_ids))
    if filter.flow_run_id is not None:
        parts.append(("flow_run_id = ?", [filter.flow_run_id.bytes]))
    if filter.after is not None:
        parts.append(("at >= ?", [codec.exact_micros(filter.after)]))
    if filter.before is not None:
        parts.append(("at < ?", [codec.exact_micros(filter.before)]))
    return " AND ".join(sql for sql, _ in parts) or "1 = 1", [value for _, values in parts for value in values]


def _any_of(column: str, texts: Iterable[str]) -> Condition:
    """Whole texts, or beginnings with a `*` behind."""
    parts: list[str] = []
    params: list[Value] = []
    for text in texts:
        if text.endswith("*"):
            parts.append(f"({column} >= ? AND {column} < ?)")
            params += [text[:-1], text[:-1] + _LAST]
        else:
            parts.append(f"{column} = ?")
            params.append(text)
    return f"({' OR '.join(parts)})", params


def _event(row: Row) -> Event:
    id, event, at, received, _, resource, related, payload, follows, flow_run_id = row
    return Event(
        id=UUID(bytes=bytes(id)),
        event=event,
        occurred=codec.exact_moment(at),
        resource=codec.untext(resource, {}),
        related=tuple(codec.untext(related, [])),
        payload=codec.untext(payload, {}),
        follows=codec.unblob(follows),
        flow_run_id=codec.unblob(flow_run_id),
        received=codec.exact_moment(received),
    )

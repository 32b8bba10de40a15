"""What an automation fires: one firing for each of its actions; and those that events begin.

Law: this is asked where events are recorded, so it needs the record only, and knows nothing of what is done then.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from ..domain.automations import Automation, Firing, Happened
from ..domain.events import Event, resource_id
from ..domain.ids import uuid7
from ..store import automations
from ..store.contract import Tx


def heard(tx: Tx, happened: Sequence[Event], now: datetime) -> None:
    """Events that are being recorded: in the same transaction, so each fires once however often it is sent."""
    for each in automations.awaiting_events(tx):
        assert isinstance(each.trigger, Happened)
        for event in happened:
            if each.trigger.match.fits(event):
                automations.fire(tx, firings_of(each, f"event {event.id}", now, _of_event(event), event.flow_run_id))


def firings_of(
    automation: Automation, subject: str, now: datetime, about: dict[str, str], run_id: UUID | None
) -> list[Firing]:
    """One for each of its actions."""
    about = {"automation.name": automation.name, **about}
    return [
        Firing(
            id=uuid7(round(now.timestamp() * 1e9), secrets.randbits(62)), automation=automation.name, subject=subject,
            place=place, at=now, action=action, about=about, flow_run_id=run_id,
        )
        for place, action in enumerate(automation.actions)
    ]  # fmt: skip


def _of_event(event: Event) -> dict[str, str]:
    return {
        "event.id": str(event.id), "event.event": event.event, "event.resource_id": resource_id(event.resource),
        "event.payload": msgspec.json.encode(event.payload).decode(),
    }  # fmt: skip

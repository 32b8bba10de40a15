"""Events for users: saying that something happened."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from .. import connect
from ..domain.events import RESOURCE_ID, ROLE, Event, checked
from ..engine.context import current
from ..engine.stopping import shielded


def emit_event(
    event: str,
    resource: dict[str, str],
    occurred: datetime | None = None,
    related: Iterable[dict[str, str]] | None = None,
    payload: dict[str, Any] | None = None,
    id: UUID | None = None,
    follows: Event | None = None,
) -> Event:
    """Says that something happened, for the record and whoever looks there; gives the event.

    `event` is what happened, `resource` to what: texts by name, of which `penstock.resource.id` is its id (as is
    `prefect.resource.id`). `occurred` is now, if not given. `related` are other resources; inside a run, that run is
    one of them. `payload` is a dict of JSON, `follows` the event that came before this one.

    It is reported, as lines are, and not waited for; what is secret in it is masked. An event has 250,000 bytes at
    most. Raises `UnstorableValue` (a ValueError) for what is no event.

    Example::

        emit_event("order.shipped", {"penstock.resource.id": "shop.order.17"}, payload={"parcels": 2})
    """

    def report() -> Event:
        context = current.get()
        runtime = connect.runtime() if context is None else context.runtime
        flow_run_id, task_run_id = (None, None) if context is None else context.stored_under()
        now = runtime.clock.now()
        made = checked(
            Event(
                id=id or runtime.clock.new_id(),
                event=event,
                occurred=_aware(occurred) or now,
                resource=resource,
                related=(*(related or ()), *_runs(flow_run_id, task_run_id)),
                payload={} if payload is None else payload,
                follows=None if follows is None else follows.id,
                flow_run_id=flow_run_id,
                received=now,
            )
        )
        runtime.ledger.write(made)
        return made

    return shielded(report)


def _aware(moment: datetime | None) -> datetime | None:
    """A time without an offset is the wall clock's here."""
    return None if moment is None else moment.astimezone(UTC)


def _runs(flow_run_id: UUID | None, task_run_id: UUID | None) -> list[dict[str, str]]:
    """The run that speaks, as resources."""
    ids = {"flow-run": flow_run_id, "task-run": task_run_id}
    return [{RESOURCE_ID: f"penstock.{role}.{id}", ROLE: role} for role, id in ids.items() if id is not None]

"""`penstock event`: list events, and say that something happened."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import click

from penstock.cli import choosing, shown
from penstock.cli.output import JSON, output_option, print_json, print_table, remark
from penstock.connect import call
from penstock.domain import filters
from penstock.domain.events import RESOURCE_ID, Event, EventFilter, resource_id
from penstock.domain.ids import parse_id
from penstock.engine.clock import SYSTEM
from penstock.protocol import events as asked
from penstock.protocol.paging import MOST

NONE = "There are no events yet. To say the first: `penstock event emit NAME --resource-id ID`"


@click.group()
def event() -> None:
    """View and emit events. (What happens to runs is in their states: see flow-run.)"""


@event.command()
@click.option("--event", "events", multiple=True, metavar="NAME", help="Of this name; 'order.*' for all that begin so.")
@click.option("--resource-id", "resources", multiple=True, metavar="ID", help="About this resource; may end with *.")
@click.option("--flow-run", "flow_run", metavar="ID", help="Emitted in this flow run (its whole id).")
@click.option("--after", metavar="TIME", help="Occurred after this time (2025-06-30T21:31), or so long ago (2h, 1d).")
@click.option("--before", metavar="TIME", help="Occurred before this time, or longer ago than this.")
@choosing.limit_option(100)
@output_option
def ls(
    events: tuple[str, ...],
    resources: tuple[str, ...],
    flow_run: str | None,
    after: str | None,
    before: str | None,
    limit: int,
    output: str,
) -> None:
    """List events, the latest first."""
    now = shown.now()
    wanted = EventFilter(
        events=events,
        resource_ids=resources,
        flow_run_id=None if flow_run is None else parse_id(flow_run),
        after=None if after is None else filters.moment(after, now),
        before=None if before is None else filters.moment(before, now),
    )
    found: list[Event] = []
    cursor = None
    while len(found) < limit:
        query = asked.FilterEvents(filter=wanted, limit=min(limit - len(found), MOST), cursor=cursor)
        page = call(asked.FILTER_EVENTS, query, way="CLI")
        found += page.items
        cursor = page.next
        if cursor is None:
            break
    if output == JSON:
        print_json(found)
    elif found:
        rows = [
            (each.id, each.event, resource_id(each.resource), _payload(each), shown.relative(each.occurred, now))
            for each in found
        ]
        print_table(("ID", "Event", "Resource", "Payload", "Occurred"), rows)
    else:
        remark(NONE if wanted == EventFilter() else "No events fit.")


@event.command()
@click.argument("name")
@click.option("--resource-id", required=True, metavar="ID", help="What it happened to.")
@click.option("--resource", "labels", multiple=True, metavar="NAME=TEXT", help="More about the resource.")
@click.option("--related", multiple=True, metavar="ID", help="Another resource that has to do with it.")
@click.option("--payload", metavar="JSON", help="More about the event: a JSON object.")
@output_option
def emit(
    name: str, resource_id: str, labels: tuple[str, ...], related: tuple[str, ...], payload: str | None, output: str
) -> None:
    """Say that something happened."""
    id: UUID = SYSTEM.new_id()
    said = asked.EmittedEvent(
        id=id,
        event=name,
        resource={RESOURCE_ID: resource_id, **dict(map(_label, labels))},
        related=tuple({RESOURCE_ID: each} for each in related),
        payload=_object(payload),
    )
    call(asked.EMIT_EVENTS, asked.EmitEvents(events=[said]), way="CLI")
    if output == JSON:
        print_json(call(asked.READ_EVENT, asked.EventById(id), way="CLI"))
    else:
        click.echo(f"Emitted event {name!r} with the id {id}.")


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.UsageError(f"{text!r} is not NAME=TEXT.")
    return name, value


def _object(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise click.UsageError(f"--payload is a JSON object, like '{{\"parcels\": 2}}'; {text[:60]!r} is not.")
    return value


def _payload(each: Event) -> str:
    return shown.one_line(json.dumps(each.payload, ensure_ascii=False)) if each.payload else ""

"""Events: kept once, found by what happened, to what, and when. On each database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest

from penstock.domain.events import MOST_BYTES, RESOURCE_ID, Event, EventFilter
from penstock.engine.clock import SYSTEM
from penstock.exceptions import UnstorableValue
from penstock.protocol import events as asked
from penstock.services import answers, ingest
from penstock.services.desk import Desk
from penstock.store.contract import Store
from penstock.vault import Vault

from ..store.kit import at

assert answers


@pytest.fixture
def desk(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    vault = Vault(tmp_path_factory.mktemp("vault") / "secret.key", None)
    return Desk(store, vault, lambda: at(100), lambda holder: True, "somebody")


def emit(desk: Desk, name: str, resource: str = "shop.1", **fields: Any) -> None:
    said = asked.EmittedEvent(event=name, resource={RESOURCE_ID: resource}, **fields)
    assert desk.answer(asked.EMIT_EVENTS, asked.EmitEvents(events=[said])).count == 1


def found(desk: Desk, **fields: Any) -> list[str]:
    """In pages of two."""
    names: list[str] = []
    cursor = None
    while True:
        query = asked.FilterEvents(filter=EventFilter(**fields), limit=2, cursor=cursor)
        page = desk.answer(asked.FILTER_EVENTS, query)
        names += [each.event for each in page.items]
        cursor = page.next
        if cursor is None:
            counted = desk.answer(asked.COUNT_EVENTS, asked.CountEvents(filter=query.filter)).count
            assert counted == len(names)
            return names


def test_events_are_listed_by_when_they_occurred_the_latest_first(desk: Desk) -> None:
    moments: dict[str, datetime] = {"b": at(2), "d": at(4), "a": at(1), "c": at(3), "c2": at(3)}
    for name, moment in moments.items():
        emit(desk, name, occurred=moment)
    assert found(desk) in (["d", "c2", "c", "b", "a"], ["d", "c", "c2", "b", "a"])
    assert sorted(found(desk, after=at(2), before=at(4))) == ["b", "c", "c2"]


def test_events_are_found_by_name_and_resource_whole_or_by_their_beginning(desk: Desk) -> None:
    run = SYSTEM.new_id()
    emit(desk, "order.shipped", "shop.1")
    emit(desk, "order.paid", "shop.22")
    emit(desk, "orders", "store.1", flow_run_id=run)
    assert sorted(found(desk, events=("order.*",))) == ["order.paid", "order.shipped"]
    assert sorted(found(desk, events=("orders", "order.paid"))) == ["order.paid", "orders"]
    assert found(desk, resource_ids=("shop.2*",)) == ["order.paid"]
    assert found(desk, resource_ids=("shop.2",)) == []
    assert found(desk, flow_run_id=run) == ["orders"]
    assert found(desk, events=("order*",), resource_ids=("st*",)) == ["orders"]


def test_a_star_stands_at_the_end_only(desk: Desk) -> None:
    with pytest.raises(ValueError, match="at the end only"):
        EventFilter(events=("a*b",))
    with pytest.raises(msgspec.ValidationError, match="at the end only"):
        msgspec.json.decode(b'{"events": ["*a"]}', type=EventFilter)


def test_an_event_is_kept_as_it_was_said_and_once(desk: Desk) -> None:
    event = Event(
        id=SYSTEM.new_id(),
        event="e",
        occurred=at(7),
        resource={RESOURCE_ID: "r", "kind": "ü"},
        related=({RESOURCE_ID: "s"},),
        payload={"n": [1, None, {"x": True}]},
        follows=SYSTEM.new_id(),
        flow_run_id=SYSTEM.new_id(),
    )
    with desk.store.write() as tx:
        ingest.apply(tx, [event])
        ingest.apply(tx, [event, msgspec.structs.replace(event, payload={})])
    read = desk.answer(asked.READ_EVENT, asked.EventById(event.id))
    assert msgspec.structs.replace(read, received=None) == event
    assert found(desk) == ["e"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"resource": {"id": "x"}}, "is a dict with its id"),
        ({"event": "a\nb"}, "printable text"),
        ({"payload": {"x": "y" * MOST_BYTES}}, "250,000 is the most"),
        ({"related": ({"x": "y"},)}, "related resource"),
    ],
)
def test_what_is_no_event_is_told(desk: Desk, fields: dict[str, Any], said: str) -> None:
    event = asked.EmittedEvent(**{"event": "e", "resource": {RESOURCE_ID: "r"}, **fields})
    with pytest.raises(UnstorableValue, match=said):
        desk.answer(asked.EMIT_EVENTS, asked.EmitEvents(events=[event]))
    assert found(desk) == []


def test_the_fields_own_name_of_a_resource_is_understood(desk: Desk) -> None:
    event = asked.EmittedEvent(event="e", resource={"prefect.resource.id": "r"})
    desk.answer(asked.EMIT_EVENTS, asked.EmitEvents(events=[event]))
    assert found(desk, resource_ids=("r",)) == ["e"]

"""A flow run waits for an event: it goes on with the one that fits, wherever that was said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock import connect, flow, resume_flow_run
from penstock.domain.events import Event
from penstock.events import EventMatch, emit_event, wait_for_event
from penstock.exceptions import FlowPauseTimeout, MissingContextError
from penstock.protocol.events import EMIT_EVENTS, EmitEvents, EmittedEvent

from .kit import Record, names, until
from .test_pauses import Flows, flows, pause_of, paused

__all__ = ["flows"]
ORDER = {"penstock.resource.id": "shop.order.17"}


def awaits(match: Any, **options: Any) -> Callable[[], Any]:
    @flow
    def awaits() -> Any:
        return wait_for_event(match, **{"timeout": 60, **options})

    return awaits


def test_it_goes_on_with_the_event_that_fits(record: Record, flows: Flows) -> None:
    match = {"event": "order.*", "resource_id": "shop.order.17", "payload": {"kind": "parcel"}}
    outcome = flows.start(awaits(match))
    run = paused(record)
    assert "Waits for event 'order.*'" in (run.state.message or "")
    emit_event("order.shipped", {"penstock.resource.id": "shop.order.18"}, payload={"kind": "parcel"})
    emit_event("order.shipped", ORDER, payload={"kind": "letter"})
    emit_event("orders", ORDER, payload={"kind": "parcel"})
    fitting = emit_event("order.shipped", ORDER, payload={"kind": "parcel", "weight": 2})
    emit_event("order.delivered", ORDER, payload={"kind": "parcel"})
    until(lambda: outcome)
    assert isinstance(outcome[0], Event)
    assert (outcome[0].id, outcome[0].payload, outcome[0].event) == (fitting.id, fitting.payload, "order.shipped")
    ended = until(lambda: run_ended(record))
    assert names(ended) == ["Pending", "Running", "Paused", "Resuming", "Running", "Completed"]
    answer = pause_of(record, ended).answer
    assert answer is not None
    assert answer.who == "event order.shipped"


def run_ended(record: Record) -> Any:
    run = record.flow_run()
    return run if run.state.is_final() else None


def test_an_event_that_was_said_to_the_record_from_elsewhere_counts(record: Record, flows: Flows) -> None:
    outcome = flows.start(awaits("order.shipped"))
    paused(record)
    event = EmittedEvent(event="order.shipped", resource=ORDER, payload={"a": 1})
    connect.call(EMIT_EVENTS, EmitEvents(events=[event]))
    until(lambda: outcome)
    assert outcome[0].payload == {"a": 1}


def test_an_event_that_happened_before_counts_only_where_that_is_wanted(record: Record, flows: Flows) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=1)
    for number in range(3):
        emit_event("order.shipped", ORDER, payload={"number": number})
    connect.settle()
    assert awaits("order.shipped", after=begun)().payload == {"number": 0}
    with pytest.raises(FlowPauseTimeout):
        awaits("order.shipped", timeout=0.2)()
    with pytest.raises(FlowPauseTimeout):
        awaits("order.shipped", timeout=0.2, after=datetime.now(UTC) + timedelta(seconds=30))()


def test_one_event_has_all_go_on_that_wait_for_it_and_is_heard_once(record: Record, flows: Flows) -> None:
    @flow
    def twice() -> Any:
        first = wait_for_event("tick", timeout=60)
        with pytest.raises(FlowPauseTimeout):
            wait_for_event("tick", timeout=0.3)
        return first

    outcomes = [flows.start(twice), flows.start(twice)]
    until(lambda: len([run for run in record.flow_runs() if run.state.is_paused()]) == 2)
    said = emit_event("tick", ORDER)
    until(lambda: all(outcomes))
    assert [each[0].id for each in outcomes] == [said.id, said.id]


@pytest.mark.parametrize("year", [1999, 2199])
def test_it_counts_when_an_event_was_said_and_not_when_its_author_says_it_occurred(
    record: Record, flows: Flows, year: int
) -> None:
    outcome = flows.start(awaits("order.shipped"))
    paused(record)
    emit_event("order.shipped", ORDER, occurred=datetime(year, 1, 1, tzinfo=UTC))
    until(lambda: outcome)
    assert outcome[0].occurred.year == year
    moments = [state.timestamp for state in until(lambda: run_ended(record)).states]
    assert moments == sorted(moments)
    assert moments[-1].year != year


def test_a_person_can_have_it_go_on_without(record: Record, flows: Flows) -> None:
    outcome = flows.start(awaits("order.shipped"))
    resume_flow_run(paused(record).id)
    until(lambda: outcome)
    assert outcome == [None]


def test_in_an_asynchronous_flow_it_is_awaited(record: Record, flows: Flows) -> None:
    @flow
    async def awaits() -> Any:
        return await wait_for_event(EventMatch(event="order.shipped"), timeout=60)

    outcome = flows.start(lambda: asyncio.run(awaits()))
    paused(record)
    emit_event("order.shipped", ORDER)
    until(lambda: outcome)
    assert outcome[0].event == "order.shipped"


@pytest.mark.parametrize(
    "match",
    ["", "a*b", "x" * 300, 7, None, {}, {"event": 7}, {"event": "a", "more": 1}, {"event": "a", "payload": [1]},
     {"event": "a", "payload": {"x": object()}}],
)  # fmt: skip
def test_what_matches_no_event_is_said(match: Any) -> None:
    with pytest.raises(ValueError, match="What is waited for is an event's name"):
        awaits(match)()


def test_outside_of_flows_there_is_nothing_that_waits() -> None:
    with pytest.raises(MissingContextError):
        wait_for_event("order.shipped")

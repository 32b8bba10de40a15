"""Runs that wait for events without a process, or with one that is gone. On each database."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from penstock.domain.events import Event, EventFilter, EventMatch
from penstock.domain.pauses import Outcome
from penstock.engine.clock import SYSTEM
from penstock.services import events
from penstock.store.contract import Store

from .test_pausing import ME, Office

ORDER = {"penstock.resource.id": "shop.order.17"}


class Happenings(Office):
    def happens(self, name: str, id: UUID | None = None, **payload: object) -> Event:
        made = Event(id=id or SYSTEM.new_id(), event=name, occurred=self.now(), resource=ORDER, payload=payload)
        events.add(self.store, [made], self.now())
        return made


@pytest.fixture
def office(store: Store) -> Happenings:
    return Happenings(store)


def test_a_run_without_a_process_goes_on_with_the_event(office: Happenings) -> None:
    run = office.run()
    office.pause(run, suspended=True, event=EventMatch(event="order.*", payload={"n": 1}))
    office.happens("order.shipped", n=2)
    assert office.read(run).state.name == "Suspended"
    said = office.happens("order.shipped", n=1)
    assert office.read(run).state.name == "Resuming"
    answer = office.latest(run).answer
    assert answer is not None
    assert (answer.outcome, answer.input["id"]) == (Outcome.RESUMED, str(said.id))


def test_a_run_whose_process_was_lost_while_it_waited_is_there_to_be_entered(office: Happenings) -> None:
    run = office.run()
    office.pause(run, event=EventMatch(event="order.shipped"))
    office.dead.add(ME)
    office.happens("order.shipped")  # before anybody has seen that the process is gone
    assert office.read(run).state.name == "Resuming"
    office.rescue()
    left = office.read(run)
    assert (left.state.name, left.holder) == ("Resuming", None)


def test_one_that_the_record_has_already_is_no_news(office: Happenings) -> None:
    said = office.happens("tick")
    run = office.run()
    office.pause(run, event=EventMatch(event="tick"))
    office.happens("tick", id=said.id)  # sent once more, as after a lost connection
    assert office.read(run).state.name == "Paused"
    assert events.count(office.store, EventFilter()) == 1


def test_an_event_after_the_time_is_over_does_not_count(office: Happenings) -> None:
    run = office.run()
    office.pause(run, 10, suspended=True, event=EventMatch(event="tick"))
    office.second = 10
    office.happens("tick")
    assert office.expire() == 1
    assert office.read(run).state.name == "Failed"


def test_one_that_happened_between_is_found_when_the_wait_begins(office: Happenings) -> None:
    for suspended in (False, True):
        run = office.run()
        since = office.now() - timedelta(seconds=1)
        office.happens("tick", first=suspended)
        office.second += 5
        pause = office.pause(run, suspended=suspended, event=EventMatch(event="tick", after=since))
        assert office.read(run).state.name == "Resuming"
        assert pause.answer is None  # whoever waits takes it up as any answer
        assert office.latest(run).answer is not None

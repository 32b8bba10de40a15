"""Backfills: each time of the stretch is one run, a few at a time. On each database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from penstock.domain.backfills import Backfill, BackfillStatus
from penstock.domain.deployments import Deployment
from penstock.domain.errors import ObjectNotFound, ParameterError, ScheduleError
from penstock.domain.ids import flow_id
from penstock.domain.rules import Facts
from penstock.domain.runs import FlowRun
from penstock.domain.schedules import CronSchedule, DeploymentSchedule, IntervalSchedule, OneOffSchedule, RRuleSchedule
from penstock.domain.states import make
from penstock.engine.clock import SYSTEM
from penstock.protocol.backfills import CreateBackfill
from penstock.services import backfills, orchestrate, scheduling
from penstock.store import deployments, flow_runs, launches, schedules
from penstock.store.contract import Store

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
START = datetime(2026, 3, 1, tzinfo=UTC)
DAILY = CronSchedule("0 6 * * *")


class Book:
    """A record with a deployment, and a clock of the test's own."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = NOW
        self.deployment = Deployment(
            id=SYSTEM.new_id(), name="nightly", flow_id=flow_id("etl"), flow_name="etl", created=NOW, updated=NOW,
            entrypoint="flows.py:etl", parameters={"a": 1}, work_pool=None,
            parameter_schema={"type": "object", "properties": {"a": {"type": "integer"}}},
        )  # fmt: skip
        with store.write() as tx:
            deployments.put(tx, self.deployment)

    def add(self, schedule: Any, slug: str | None = None) -> None:
        made = DeploymentSchedule(
            id=SYSTEM.new_id(), deployment_id=self.deployment.id, schedule=schedule, created=NOW, updated=NOW, slug=slug
        )
        with self.store.write() as tx:
            schedules.put(tx, made)

    def create(self, **fields: Any) -> Backfill:
        whole = {"start": START, "end": NOW, "schedule": DAILY, **fields}
        wanted = CreateBackfill(deployment_id=self.deployment.id, **whole)
        return backfills.create(self.store, wanted, who="me", now=self.now)

    def go_on(self) -> int:
        return backfills.go_on(self.store, self.now)

    def runs(self) -> list[FlowRun]:
        with self.store.read() as tx:
            return list(flow_runs.select(tx, "1 = 1", [], "expected_start, id", 100_000))

    def due(self) -> list[datetime | None]:
        return [run.expected_start_time for run in self.runs()]

    def end(self, run: FlowRun, name: str = "Completed") -> None:
        with self.store.write() as tx:
            orchestrate.enter(tx, run.id, make("Running", self.now), Facts())
            orchestrate.enter(tx, run.id, make(name, self.now), Facts(retry_wanted=False))

    def read(self, id: UUID) -> Backfill:
        return backfills.get(self.store, id)


@pytest.fixture
def book(store: Store) -> Book:
    return Book(store)


def test_each_time_of_the_stretch_is_run_once_the_oldest_first_and_no_more_than_may_be_at_once(book: Book) -> None:
    made = book.create(parallelism=2)
    assert (made.total, made.made, made.status) == (10, 2, BackfillStatus.RUNNING)
    assert book.due() == [START + timedelta(days=day, hours=6) for day in (0, 1)]
    assert book.go_on() == 0
    while book.read(made.id).status is BackfillStatus.RUNNING:
        open_ones = [run for run in book.runs() if run.state_name == "Scheduled"]
        assert len(open_ones) <= 2
        if open_ones:
            book.end(open_ones[0], "Failed" if len(book.runs()) == 3 else "Completed")
        book.go_on()
    assert book.due() == [START + timedelta(days=day, hours=6) for day in range(10)]
    found = book.read(made.id)
    assert (found.status, found.made) == (BackfillStatus.COMPLETED, 10)
    assert found.counts["COMPLETED"] + found.counts["FAILED"] == 10


def test_a_run_of_it_keeps_what_it_was_made_with_and_is_not_late(book: Book) -> None:
    made = book.create(parameters={"a": 7})
    (run,) = book.runs()
    with book.store.read() as tx:
        launch = launches.get(tx, run.id)
    assert launch is not None
    assert (launch.parameters, launch.backfill_id, run.tags) == ({"a": 7}, made.id, ("backfill",))
    assert scheduling.mark_late(book.store, NOW) == 0
    assert f"Backfill {made.id}: it stands for 2026-03-01T06:00:00+00:00." == run.state.message


def test_its_start_is_in_it_and_its_end_is_not(book: Book) -> None:
    book.create(start=START + timedelta(hours=6), end=START + timedelta(days=1, hours=6), parallelism=10)
    assert book.due() == [START + timedelta(hours=6)]


def test_it_ends_with_the_present(book: Book) -> None:
    assert book.create(end=NOW + timedelta(days=100)).total == 10


def test_times_before_a_schedule_was_made_are_those_that_it_would_have_had(book: Book) -> None:
    book.add(IntervalSchedule(86_400.0), "days")
    assert book.create(schedule=None, slug="days", start=NOW - timedelta(days=3, hours=1), parallelism=9).total == 3
    assert book.due() == [NOW - timedelta(days=day) for day in (3, 2, 1)]


@pytest.mark.parametrize(
    ("schedule", "total"),
    [
        (IntervalSchedule(3600.0), 24),
        (IntervalSchedule(3600.0, anchor_date=START + timedelta(hours=12)), 12),
        (RRuleSchedule("FREQ=HOURLY;INTERVAL=6"), 4),
        (OneOffSchedule(START + timedelta(hours=3)), 1),
        (CronSchedule("30 2 * * *", timezone="America/New_York"), 1),
    ],
)
def test_every_kind_of_schedule_can_be_run_for(book: Book, schedule: Any, total: int) -> None:
    assert book.create(schedule=schedule, end=START + timedelta(days=1)).total == total


def test_clocks_that_are_changed_are_as_the_schedule_has_them(book: Book) -> None:
    """On 2026-03-08 there is no 02:30 in New York; the run is due right after the gap."""
    book.create(
        schedule=CronSchedule("30 2 * * *", timezone="America/New_York"), start=datetime(2026, 3, 7, 5, tzinfo=UTC),
        end=datetime(2026, 3, 10, 4, tzinfo=UTC), parallelism=9,
    )  # fmt: skip
    assert [moment and moment.hour for moment in book.due()] == [7, 7, 6]


def test_it_is_cancelled_with_the_runs_that_have_not_ended(book: Book) -> None:
    made = book.create(parallelism=3)
    book.end(book.runs()[0])
    cancelled = backfills.cancel(book.store, made.id, who="me", now=NOW, lives=lambda holder: None)
    assert cancelled.status is BackfillStatus.CANCELLED
    assert sorted(run.state_name for run in book.runs()) == ["Cancelled", "Cancelled", "Completed"]
    assert book.go_on() == 0
    assert book.read(made.id).ended == NOW
    assert len(book.runs()) == 3


def test_it_ends_with_its_deployment(book: Book) -> None:
    made = book.create()
    with book.store.write() as tx:
        deployments.delete(tx, book.deployment.id)
    book.end(book.runs()[0])
    book.go_on()
    book.go_on()
    assert (book.read(made.id).status, len(book.runs())) == (BackfillStatus.CANCELLED, 1)


def test_a_dry_run_makes_nothing(book: Book) -> None:
    made = book.create(dry_run=True)
    assert (made.total, book.runs(), backfills.select(book.store, 10, None, None)) == (10, [], [])


def test_backfills_are_listed_by_page_and_deployment(book: Book) -> None:
    made = []
    for _ in range(3):
        made.append(book.create().id)
        book.now += timedelta(seconds=1)
    listed = backfills.select(book.store, 2, book.deployment.id, None)
    assert [each.id for each in listed] == made[:0:-1]
    assert [each.id for each in backfills.select(book.store, 2, None, listed[-1].id)] == made[:1]
    assert backfills.select(book.store, 2, SYSTEM.new_id(), None) == []


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"schedule": None}, ScheduleError, "has no schedule: describe one"),
        ({"schedule": None, "slug": "x"}, ObjectNotFound, "has no schedule 'x'!"),
        ({"start": NOW}, ScheduleError, "start is before its end"),
        ({"start": NOW + timedelta(days=1), "end": NOW + timedelta(days=2)}, ScheduleError, "not in the future"),
        ({"end": START + timedelta(hours=1)}, ScheduleError, "there is no such time from 2026-03-01"),
        ({"schedule": CronSchedule("* * * * *")}, ScheduleError, "more than 10,000 times"),
        ({"schedule": CronSchedule("61 * * * *")}, ScheduleError, "'61' is no minute"),
        ({"parameters": {"a": "x"}}, ParameterError, "a: 'x' is not of type 'integer'"),
        (
            {"schedule": IntervalSchedule(86_400.0 * 30), "start": datetime(1, 1, 2, tzinfo=UTC)},
            ScheduleError,
            "more than 10,000 times",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_makes_nothing(
    book: Book, fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        book.create(**fields)
    assert (book.runs(), backfills.select(book.store, 10, None, None)) == ([], [])


def test_one_of_several_schedules_has_to_be_named(book: Book) -> None:
    book.add(DAILY, "six")
    book.add(CronSchedule("0 7 * * *"), "seven")
    with pytest.raises(ScheduleError, match="has several schedules: name one"):
        book.create(schedule=None)
    book.create(schedule=None, slug="seven")
    assert book.due() == [START + timedelta(hours=7)]


def test_one_that_is_not_there_is_not_found(book: Book) -> None:
    with pytest.raises(ObjectNotFound, match="not found"):
        book.read(SYSTEM.new_id())
    assert msgspec.json.decode(msgspec.json.encode(book.create()), type=Backfill).total == 10

"""Planning: each time of a schedule is one run, whoever plans and however often. On each database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.domain.deployments import Deployment
from penstock.domain.ids import flow_id
from penstock.domain.runs import FlowRun
from penstock.domain.schedules import CatchUp, CronSchedule, DeploymentSchedule, IntervalSchedule, Schedule
from penstock.engine.clock import SYSTEM
from penstock.services import scheduling
from penstock.store import deployments, flow_runs, launches, schedules
from penstock.store.contract import Store

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOURLY = CronSchedule("0 * * * *")


class Plan:
    """A record with a deployment, and a clock of the test's own."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = NOW
        self.deployment = Deployment(
            id=SYSTEM.new_id(), name="nightly", flow_id=flow_id("etl"), flow_name="etl", created=NOW, updated=NOW,
            entrypoint="flows.py:etl", parameters={"a": 1, "b": 2},
        )  # fmt: skip
        with store.write() as tx:
            deployments.put(tx, self.deployment)

    def add(self, schedule: Schedule, **fields: Any) -> DeploymentSchedule:
        made = DeploymentSchedule(
            id=SYSTEM.new_id(), deployment_id=self.deployment.id, schedule=schedule, created=NOW, updated=NOW, **fields
        )
        with self.store.write() as tx:
            schedules.put(tx, made)
        return made

    def plan(self) -> int:
        return scheduling.plan(self.store, self.now)

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    def runs(self) -> list[FlowRun]:
        with self.store.read() as tx:
            return list(flow_runs.select(tx, "1 = 1", [], "expected_start, id", 100_000))

    def due(self) -> list[datetime | None]:
        return [run.expected_start_time for run in self.runs()]


@pytest.fixture
def plan(store: Store) -> Plan:
    return Plan(store)


def test_the_next_day_s_runs_are_there_before_they_are_due(plan: Plan) -> None:
    plan.add(HOURLY, parameters={"b": 3})
    assert plan.plan() == 24
    assert plan.due() == [NOW + timedelta(hours=hour) for hour in range(1, 25)]
    run = plan.runs()[0]
    with plan.store.read() as tx:
        launch = launches.get(tx, run.id)
    assert launch is not None
    assert (run.state_name, run.deployment_id, launch.parameters) == (
        "Scheduled", plan.deployment.id, {"a": 1, "b": 3},
    )  # fmt: skip
    assert "auto-scheduled" in run.tags


def test_planning_again_changes_nothing_and_goes_on_in_time(plan: Plan) -> None:
    plan.add(HOURLY)
    plan.plan()
    assert plan.plan() == 0
    plan.later(hours=13)
    assert plan.plan() == 13
    assert len(set(plan.due())) == len(plan.due()) == 37


def test_two_who_plan_at_once_make_each_run_once(plan: Plan) -> None:
    made = plan.add(HOURLY)
    plan.plan()
    with plan.store.write() as tx:
        schedules.put(tx, made)  # as one saw it that was slower
    assert plan.plan() == 0


def test_what_is_due_often_is_planned_a_hundred_times_ahead(plan: Plan) -> None:
    plan.add(IntervalSchedule(1.0))
    assert plan.plan() == 100
    plan.later(seconds=51)
    assert plan.plan() == 100


def test_what_is_due_seldom_is_planned_three_times_ahead(plan: Plan) -> None:
    plan.add(CronSchedule("0 0 1 1 *"))
    assert plan.plan() == 3
    assert [due.year for due in plan.due() if due] == [2027, 2028, 2029]


@pytest.mark.parametrize(
    ("policy", "window", "caught_up"),
    [
        (CatchUp.NONE, None, []),
        (CatchUp.LATEST, None, [5]),
        (CatchUp.ALL, None, [1, 2, 3, 4, 5]),
        (CatchUp.ALL, 2 * 3600.0 + 60, [4, 5]),
        (CatchUp.LATEST, 60.0, []),
    ],
)
def test_what_was_missed_while_nobody_planned_is_caught_up_by_the_policy(
    plan: Plan, policy: CatchUp, window: float | None, caught_up: list[int]
) -> None:
    made = plan.add(HOURLY, catchup=policy, catchup_window=window)
    with plan.store.write() as tx:
        made.planned_until = made.plan_again = NOW
        schedules.put(tx, made)
    plan.later(hours=5, minutes=30)
    plan.plan()
    missed = [run for run in plan.runs() if run.expected_start_time and run.expected_start_time < plan.now]
    assert [run.expected_start_time for run in missed] == [NOW + timedelta(hours=hour) for hour in caught_up]
    assert all("Caught up: it was due" in (run.state.message or "") for run in missed)


def test_a_paused_schedule_and_a_paused_deployment_plan_nothing(plan: Plan) -> None:
    plan.add(HOURLY, active=False)
    assert plan.plan() == 0
    plan.add(HOURLY)
    plan.deployment.paused = True
    with plan.store.write() as tx:
        deployments.put(tx, plan.deployment)
    assert plan.plan() == 0


def test_what_was_planned_for_a_schedule_that_was_changed_is_planned_anew(plan: Plan) -> None:
    made = plan.add(HOURLY)
    plan.plan()
    made.schedule = CronSchedule("30 * * * *")
    with plan.store.write() as tx:
        scheduling.replan(tx, made, plan.now)
    plan.plan()
    assert {due.minute for due in plan.due() if due} == {30}


def test_jitter_is_within_its_bounds_and_the_same_for_the_same_run(plan: Plan) -> None:
    made = plan.add(HOURLY, jitter=60.0)
    plan.plan()
    first = plan.due()
    offsets = [(due - NOW).total_seconds() % 3600 for due in first if due]
    assert all(0 <= each <= 60 for each in offsets)
    assert len(set(offsets)) > 20
    with plan.store.write() as tx:
        scheduling.replan(tx, made, plan.now)
    plan.plan()
    assert plan.due() == first


def test_what_nobody_claims_is_late_once(plan: Plan) -> None:
    plan.add(IntervalSchedule(3600.0))
    plan.plan()
    plan.later(hours=1, seconds=14)
    assert scheduling.mark_late(plan.store, plan.now) == 0
    plan.later(seconds=2)
    assert scheduling.mark_late(plan.store, plan.now) == 1
    assert scheduling.mark_late(plan.store, plan.now) == 0
    assert plan.runs()[0].state_name == "Late"
    assert plan.runs()[0].state.type == "SCHEDULED"


def test_a_schedule_whose_times_cannot_be_told_stops_and_the_others_go_on(plan: Plan) -> None:
    bad = plan.add(IntervalSchedule(86_400, datetime(1, 1, 1, tzinfo=UTC), "America/Los_Angeles"))
    plan.add(HOURLY)
    assert plan.plan() == 24
    with plan.store.read() as tx:
        found = schedules.get(tx, bad.id)
    assert found is not None
    assert (found.active, "cannot be told" in (found.problem or "")) == (False, True)
    assert plan.plan() == 0

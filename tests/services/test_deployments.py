"""Deployments, work pools and queues, as they are asked for: bad input changes nothing. On each database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock.domain.schedules import CronSchedule, IntervalSchedule
from penstock.exceptions import (
    DeploymentError,
    NameTaken,
    ObjectNotFound,
    ParameterError,
    ScheduleError,
    UnstorableValue,
    WorkPoolError,
)
from penstock.protocol import deployments as asked
from penstock.protocol import work_pools as pools
from penstock.protocol.deployments import ScheduleGiven
from penstock.services import answers, scheduling
from penstock.services.desk import Desk
from penstock.store import flow_runs, launches
from penstock.store.contract import Store
from penstock.vault import Vault

assert answers
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
SCHEMA = {
    "type": "object",
    "properties": {"day": {"type": "string"}, "count": {"type": "integer", "default": 1}},
    "required": ["day"],
}


class Office:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = NOW
        self.desk = Desk(store, Vault(Path("nowhere"), None), lambda: self.now, lambda holder: None, "ann")

    def ask(self, operation: Any, argument: Any) -> Any:
        return self.desk.answer(operation, argument)

    def apply(self, name: str = "nightly", **fields: Any) -> asked.Applied:
        return self.ask(asked.APPLY_DEPLOYMENT, asked.ApplyDeployment(flow_name="etl", name=name, **fields))

    def run(self, applied: asked.Applied, **fields: Any) -> Any:
        return self.ask(asked.CREATE_RUN, asked.CreateRun(id=applied.deployment.id, **fields))

    def pool(self, name: str = "local", **fields: Any) -> Any:
        return self.ask(pools.CREATE_POOL, pools.CreatePool(name=name, **fields))

    def planned(self) -> list[Any]:
        scheduling.plan(self.store, self.now)
        with self.store.read() as tx:
            return list(flow_runs.select(tx, "state_type = 'SCHEDULED'", [], "expected_start, id", 10_000))


@pytest.fixture
def office(store: Store) -> Office:
    return Office(store)


def test_applying_again_changes_what_differs_and_says_it(office: Office) -> None:
    first = office.apply(entrypoint="a.py:etl", tags=("x",))
    again = office.apply(entrypoint="b.py:etl", tags=("x",))
    same = office.apply(entrypoint="b.py:etl", tags=("x",))
    assert (first.created, first.deployment.revision) == (True, 1)
    assert (again.created, again.changes, again.deployment.revision) == (
        False, {"entrypoint": ["a.py:etl", "b.py:etl"]}, 2,
    )  # fmt: skip
    assert (same.changes, same.deployment.revision, same.deployment.id) == ({}, 2, first.deployment.id)


def test_a_dry_run_says_what_would_be_and_changes_nothing(office: Office) -> None:
    office.apply(entrypoint="a.py:etl")
    assert office.apply(entrypoint="b.py:etl", dry_run=True).changes == {"entrypoint": ["a.py:etl", "b.py:etl"]}
    found = office.ask(asked.READ_DEPLOYMENT_BY_NAME, asked.DeploymentByName("etl", "nightly"))
    assert (found.entrypoint, found.revision) == ("a.py:etl", 1)


def test_a_run_keeps_the_deployment_that_it_began_with(office: Office) -> None:
    first = office.apply(entrypoint="a.py:etl", version="1")
    run = office.run(first)
    office.apply(entrypoint="b.py:etl", version="2")
    with office.store.read() as tx:
        launch = launches.get(tx, run.id)
    assert launch is not None
    assert (launch.entrypoint, launch.revision, run.flow_version) == ("a.py:etl", 1, "1")


@pytest.mark.parametrize(
    ("text", "error"),
    [("etl/nightly", None), ("nightly", None), ("etl/nightle", "Did you mean 'etl/nightly'"), ("x", "not found")],
)
def test_it_is_found_as_people_name_it(office: Office, text: str, error: str | None) -> None:
    made = office.apply().deployment
    if error is None:
        assert office.ask(asked.FIND_DEPLOYMENT, asked.FindDeployment(text)).id == made.id
        assert office.ask(asked.FIND_DEPLOYMENT, asked.FindDeployment(str(made.id))).id == made.id
        return
    with pytest.raises(ObjectNotFound, match=error):
        office.ask(asked.FIND_DEPLOYMENT, asked.FindDeployment(text))


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"work_pool": "locl"}, ObjectNotFound, "Work pool 'locl' not found"),
        ({"work_queue": "q"}, DeploymentError, "is of no work pool"),
        ({"name": "a/b"}, DeploymentError, "without '/'"),
        ({"tags": ("",)}, UnstorableValue, "A tag is"),
        ({"pull_steps": ({"a": {}, "b": {}},)}, DeploymentError, "A pull step is one name"),
        ({"schedules": (ScheduleGiven(schedule=CronSchedule("61 * * * *")),)}, ScheduleError, "'61' is no minute"),
        (
            {"schedules": (ScheduleGiven(schedule=CronSchedule("* * * * *"), slug="s"),) * 2},
            DeploymentError,
            "Each slug",
        ),
        ({"parameter_schema": SCHEMA, "parameters": {"count": "x"}}, ParameterError, "count: 'x' is not of type"),
        (
            {"parameter_schema": {"$ref": "http://127.0.0.1:1/schema"}, "parameters": {"a": 1}},
            DeploymentError,
            "cannot be checked by its schema",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    office: Office, fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    before = office.apply(entrypoint="a.py:etl").deployment
    with pytest.raises(error, match=message):
        office.apply(**{"entrypoint": "b.py:etl", **fields})
    assert office.ask(asked.READ_DEPLOYMENT, asked.DeploymentById(before.id)) == before


def test_parameters_are_checked_when_a_run_is_made(office: Office) -> None:
    made = office.apply(parameter_schema=SCHEMA)
    with pytest.raises(ParameterError, match="'day' is a required property"):
        office.run(made)
    with pytest.raises(ParameterError, match="count: '2' is not of type 'integer'"):
        office.run(made, parameters={"day": "today", "count": "2"})
    run = office.run(made, parameters={"day": "today"})
    assert (run.state_name, run.parameters) == ("Scheduled", {"day": "'today'"})


def test_the_same_key_gives_the_same_run(office: Office) -> None:
    made = office.apply()
    first = office.run(made, idempotency_key="k")
    assert office.run(made, idempotency_key="k").id == first.id
    assert office.run(made, idempotency_key="l").id != first.id


def test_a_schedule_that_stays_keeps_its_id_and_its_runs(office: Office) -> None:
    hourly = ScheduleGiven(schedule=CronSchedule("0 * * * *"))
    first = office.apply(schedules=(hourly,)).deployment
    before = [run.id for run in office.planned()]
    second = office.apply(schedules=(hourly, ScheduleGiven(schedule=IntervalSchedule(86_400)))).deployment
    assert second.schedules[0].id == first.schedules[0].id
    after = [run.id for run in office.planned()]
    assert set(before) < set(after)
    third = office.apply(schedules=()).deployment
    assert (third.schedules, office.planned()) == ((), [])


def test_pausing_takes_back_what_is_planned_and_going_on_plans_anew(office: Office) -> None:
    made = office.apply(schedules=(ScheduleGiven(schedule=CronSchedule("0 * * * *")),)).deployment
    assert len(office.planned()) == 24
    office.ask(asked.UPDATE_DEPLOYMENT, asked.UpdateDeployment(id=made.id, paused=True))
    assert office.planned() == []
    office.now += timedelta(hours=5)
    office.ask(asked.UPDATE_DEPLOYMENT, asked.UpdateDeployment(id=made.id, paused=False))
    assert office.planned()[0].expected_start_time == NOW + timedelta(hours=6)


def test_one_schedule_is_changed_and_deleted_by_itself(office: Office) -> None:
    made = office.apply().deployment
    added = office.ask(
        asked.ADD_SCHEDULE, asked.AddSchedule(deployment_id=made.id, schedule=CronSchedule("0 * * * *"), slug="h")
    )
    with pytest.raises(DeploymentError, match="has a schedule 'h' already"):
        office.ask(
            asked.ADD_SCHEDULE, asked.AddSchedule(deployment_id=made.id, schedule=IntervalSchedule(60), slug="h")
        )
    assert len(office.planned()) == 24
    changed = asked.UpdateSchedule(deployment_id=made.id, schedule_id=added.id, active=False)
    assert office.ask(asked.UPDATE_SCHEDULE, changed).active is False
    assert office.planned() == []
    office.ask(asked.DELETE_SCHEDULE, asked.ScheduleOf(made.id, added.id))
    with pytest.raises(ObjectNotFound, match="has no schedule"):
        office.ask(asked.DELETE_SCHEDULE, asked.ScheduleOf(made.id, added.id))


def test_runs_that_wait_for_a_deployment_that_is_deleted_are_cancelled(office: Office) -> None:
    made = office.apply()
    run = office.run(made)
    office.ask(asked.DELETE_DEPLOYMENT, asked.DeploymentById(made.deployment.id))
    with office.store.read() as tx:
        found = flow_runs.get(tx, run.id)
    assert found is not None
    assert (found.state_name, found.state.message) == ("Cancelled", "Deployment 'etl/nightly' was deleted by ann.")


def test_a_preview_is_in_words_and_times(office: Office) -> None:
    found = office.ask(asked.PREVIEW_SCHEDULE, asked.PreviewSchedule(schedule=CronSchedule("0 6 * * *"), limit=2))
    assert (found.words, found.times) == (
        "at 06:00 every day", [datetime(2026, 3, day, 6, tzinfo=UTC) for day in (11, 12)],
    )  # fmt: skip


def test_lists_are_by_flow_and_name_and_go_on_where_they_ended(office: Office) -> None:
    office.pool()
    for name in ("b", "a", "c"):
        office.apply(name, work_pool="local" if name != "c" else None)
    first = office.ask(asked.FILTER_DEPLOYMENTS, asked.FilterDeployments(limit=2))
    assert [each.name for each in first.items] == ["a", "b"]
    rest = office.ask(asked.FILTER_DEPLOYMENTS, asked.FilterDeployments(limit=2, cursor=first.next))
    assert [each.name for each in rest.items] == ["c"]
    assert office.ask(asked.COUNT_DEPLOYMENTS, asked.FilterDeployments(work_pool="local")).count == 2


# --- work pools ------------------------------------------------------------------------------------------------------


def test_a_pool_is_made_with_its_queue_and_once(office: Office) -> None:
    office.pool()
    queues = office.ask(pools.READ_QUEUES, pools.QueuesOf("local")).items
    assert [queue.name for queue in queues] == ["default"]
    with pytest.raises(NameTaken, match="already exists"):
        office.pool()
    assert office.pool(overwrite=True, concurrency_limit=3).concurrency_limit == 3
    with pytest.raises(WorkPoolError, match="Every work pool has a queue 'default'"):
        office.ask(pools.DELETE_QUEUE, pools.QueueByName("local", "default"))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ({"jobs": {}}, "has 'jobs', too"),
        ({"job_configuration": []}, "is an object"),
        ({"job_configuration": {"image": "{{ image }}"}}, "names a variable 'image' that it does not describe"),
        ({"variables": {"properties": []}}, "is a JSON schema"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(office: Office, template: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkPoolError, match=message):
        office.pool(base_job_template=template)
    with pytest.raises(ObjectNotFound):
        office.ask(pools.READ_POOL, pools.PoolByName("local"))


def test_queues_are_changed_and_deleted(office: Office) -> None:
    office.pool()
    office.ask(pools.CREATE_QUEUE, pools.CreateQueue(work_pool="local", name="fast", priority=1))
    changed = office.ask(pools.UPDATE_QUEUE, pools.UpdateQueue(work_pool="local", name="fast", is_paused=True))
    assert (changed.priority, changed.is_paused) == (1, True)
    office.ask(pools.DELETE_QUEUE, pools.QueueByName("local", "fast"))
    with pytest.raises(ObjectNotFound, match="has no queue 'fast'"):
        office.ask(pools.READ_QUEUE, pools.QueueByName("local", "fast"))


def test_a_pool_that_has_runs_under_way_is_not_deleted(office: Office) -> None:
    office.pool()
    run = office.run(office.apply(work_pool="local"))
    with office.store.write() as tx:
        launch = launches.get(tx, run.id)
        assert launch is not None
        launch.claimed = NOW
        launches.put(tx, launch)
    with pytest.raises(WorkPoolError, match="1 run has not ended in work pool 'local'"):
        office.ask(pools.DELETE_POOL, pools.PoolByName("local"))

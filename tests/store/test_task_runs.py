"""Reports of task runs come twice, late and out of order; the record is right all the same."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.domain.runs import ResultRef, TaskRun
from penstock.domain.states import make
from penstock.services import ingest
from penstock.store import task_runs
from penstock.store.contract import Store

from .kit import HOLDER, at, path, task_run

LIFE = ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed"]
one_store = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)


def get(store: Store, run: TaskRun) -> TaskRun:
    with store.read() as tx:
        found = task_runs.get(tx, run.id)
    assert found is not None
    return found


def report(store: Store, *runs: TaskRun) -> None:
    with store.write() as tx:
        task_runs.report(tx, runs)


def test_everything_about_a_run_is_read_back(store: Store) -> None:
    run = task_run(
        "Pending",
        "Running",
        "Completed",
        task_version="3",
        dynamic_key="7",
        flow_run_id=uuid4(),
        parent_task_run_id=uuid4(),
        run_count=2,
        deadline=at(9),
        holder=HOLDER,
        tags=("a", "b"),
        parameters={"x": "1", "päth": "'🐍'"},
        upstream={"x": (uuid4(), uuid4()), "wait_for": (uuid4(),)},
        labels={"k": "v"},
        cache_key="abc",
        result=ResultRef("pickle", b"\0\1", "key", "/storage", 2, at(100)),
    )
    report(store, run)
    assert get(store, run) == run


def test_a_run_that_has_only_what_it_must_is_read_back(store: Store) -> None:
    run = task_run()
    report(store, run)
    assert get(store, run) == run


def test_states_keep_their_details_to_the_microsecond(store: Store) -> None:
    state = make("TimedOut", datetime(2026, 1, 1, 0, 0, 0, 999999, UTC), message="so\nlong", details={"where": "a:1"})
    run = task_run(states=(*path("Pending"), state), version=2)
    report(store, run)
    assert get(store, run).states == run.states


@one_store
@given(data=st.data())
def test_in_whatever_order_and_however_often_reports_come_the_last_state_stands(
    store: Store, data: st.DataObject
) -> None:
    run = task_run()
    versions = [task_run(*LIFE[:count], id=run.id) for count in range(1, len(LIFE) + 1)]
    arrivals = data.draw(st.permutations([*versions, *data.draw(st.lists(st.sampled_from(versions), max_size=4))]))
    size = data.draw(st.integers(1, len(arrivals)))
    for start in range(0, len(arrivals), size):
        with store.write() as tx:
            ingest.apply(tx, arrivals[start : start + size])
    assert get(store, run) == versions[-1]


@pytest.mark.parametrize("ending", ["Completed", "Failed", "TimedOut", "Cancelled", "Crashed", "Cached"])
def test_a_run_that_ended_has_ended_whatever_comes_later(store: Store, ending: str) -> None:
    run = task_run("Pending", "Running", ending)
    report(store, run)
    for later in ("Running", "Completed", "Failed", "AwaitingRetry"):
        report(store, task_run("Pending", "Running", "Running", "Running", later, id=run.id))
        assert get(store, run).state_name == ending


def test_the_same_report_twice_changes_nothing(store: Store) -> None:
    run = task_run("Pending", "Running")
    report(store, run)
    before = store.changes()
    report(store, run)
    assert get(store, run) == run
    assert before is not None


def test_a_late_report_does_not_take_a_run_back(store: Store) -> None:
    late = task_run("Pending")
    report(store, task_run("Pending", "Running", id=late.id))
    report(store, late)
    assert get(store, late).state_name == "Running"


def test_unfinished_runs_of_a_flow_run_are_those_that_have_not_ended(store: Store) -> None:
    flow_run_id = uuid4()
    names = [
        "Pending",
        "Running",
        "Completed",
        "Failed",
        "AwaitingRetry",
        "Paused",
        "Cancelling",
        "NotReady",
        "Crashed",
    ]
    runs = {name: task_run(name, flow_run_id=flow_run_id) for name in names}
    report(store, *runs.values(), task_run("Running", flow_run_id=uuid4()))
    with store.read() as tx:
        found = {run.state_name for run in task_runs.unfinished_of(tx, flow_run_id)}
        counted = task_runs.counts(tx, flow_run_id)
    assert found == {"Pending", "Running", "AwaitingRetry", "Paused", "Cancelling", "NotReady"}
    assert counted == dict.fromkeys(names, 1)

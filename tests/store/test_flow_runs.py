"""Flow runs are read back as they were written."""

from __future__ import annotations

from uuid import uuid4

from penstock.domain.ids import flow_id
from penstock.domain.runs import Entrypoint, FlowRun, ResultRef
from penstock.store import flow_runs
from penstock.store.contract import Store

from .kit import START, at, flow_run


def put(store: Store, run: FlowRun) -> FlowRun | None:
    with store.write() as tx:
        flow_runs.put(tx, run)
    with store.read() as tx:
        return flow_runs.get(tx, run.id)


def test_everything_about_a_run_is_read_back(store: Store) -> None:
    run = flow_run(
        "Pending",
        "Running",
        flow_version="1.2",
        flow_run_id=uuid4(),
        parent_task_run_id=uuid4(),
        root_flow_run_id=uuid4(),
        deployment_id=uuid4(),
        run_count=3,
        epoch=4,
        deadline=at(60),
        expected_start_time=at(0),
        entrypoint=Entrypoint("/etl.py", "main", ("etl.py", "--x"), "/work", "/usr/bin/python"),
        infrastructure_pid="host:1",
        keep=True,
        lines_lost=5,
        tags=("nightly",),
        parameters={"x": "1"},
        upstream={"x": (uuid4(),)},
        labels={"a": "b"},
        result=ResultRef("json", b"1", size=1),
    )
    assert put(store, run) == run


def test_a_run_that_has_only_what_it_must_is_read_back(store: Store) -> None:
    run = flow_run(holder=None)
    assert put(store, run) == run


def test_a_run_that_is_not_there_is_none(store: Store) -> None:
    with store.read() as tx:
        assert flow_runs.get(tx, uuid4()) is None


def test_a_flow_is_noted_once(store: Store) -> None:
    with store.write() as tx:
        for _ in range(2):
            flow_runs.put_flow(tx, flow_id("etl"), "etl", START)
        flow_runs.put(tx, flow_run("Running"))
        flow_runs.put(tx, flow_run("Failed"))
    with store.read() as tx:
        (found,) = flow_runs.flows(tx, 10)
    assert (found.id, found.name, found.runs, found.failed) == (flow_id("etl"), "etl", 2, 1)


def test_runs_that_some_process_executes_are_found(store: Store) -> None:
    running, ended, nobodys = flow_run("Running"), flow_run("Completed"), flow_run("Scheduled", holder=None)
    for run in (running, ended, nobodys):
        put(store, run)
    with store.read() as tx:
        assert [run.id for run in flow_runs.unfinished_held(tx)] == [running.id]


def test_a_run_is_deleted_with_its_log_and_tasks(store: Store) -> None:
    from penstock.store import logs, task_runs

    from .kit import line, task_run

    run, kept = flow_run("Completed"), flow_run("Completed")
    with store.write() as tx:
        for each in (run, kept):
            flow_runs.put(tx, each)
            task_runs.report(tx, [task_run("Completed", flow_run_id=each.id)])
            logs.append(tx, [line(each.id, 0)])
        assert flow_runs.delete(tx, [run.id, uuid4()]) == 1
    with store.read() as tx:
        for table in ("flow_run", "task_run", "log"):
            assert tx.row(f"SELECT count(*) FROM {table}") == (1,)
        assert flow_runs.get(tx, kept.id) == kept

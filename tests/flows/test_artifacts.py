"""Artifacts and events from inside runs: linked to them, masked, not waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock import connect, flow, task
from penstock.artifacts import (
    Artifact,
    acreate_markdown_artifact,
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from penstock.events import Event, emit_event
from penstock.exceptions import InvalidName, UnstorableValue
from penstock.logging import mask_secret
from penstock.protocol import artifacts as asked
from penstock.protocol import events as asked_events
from penstock.task_runners import ProcessPoolTaskRunner

from .kit import Record

SECRET = "hunter2-hunter2"


def artifacts() -> list[Artifact]:
    """The oldest first."""
    connect.settle()
    return connect.call(asked.FILTER_ARTIFACTS, asked.FilterArtifacts()).items[::-1]


def events() -> list[Event]:
    connect.settle()
    return connect.call(asked_events.FILTER_EVENTS, asked_events.FilterEvents()).items[::-1]


def test_an_artifact_belongs_to_the_run_that_made_it(record: Record) -> None:
    @task
    def report() -> None:
        create_table_artifact([{"a": 1}], key="in-task")

    @flow
    def reports() -> None:
        create_markdown_artifact("# x", key="in-flow", description="why")
        report()

    reports()
    create_link_artifact("http://x", key="outside")
    in_flow, in_task, outside = artifacts()
    run = record.flow_run()
    assert (in_flow.flow_run_id, in_flow.task_run_id, in_flow.description) == (run.id, None, "why")
    assert (in_task.flow_run_id, in_task.task_run_id) == (run.id, record.task_run().id)
    assert (outside.flow_run_id, outside.task_run_id) == (None, None)
    assert outside.data == {"link": "http://x", "text": "http://x"}


def test_artifacts_and_events_come_from_worker_processes_too(record: Record) -> None:
    @task
    def report() -> None:
        update_progress_artifact(create_progress_artifact(1), 2)
        emit_event("reported", {"penstock.resource.id": "r"})

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def reports() -> None:
        report.submit().result()

    reports()
    (made,) = artifacts()
    assert (made.data, made.task_run_id) == (2.0, record.task_run().id)
    (event,) = events()
    assert event.flow_run_id == record.flow_run().id
    assert [each["penstock.resource.role"] for each in event.related] == ["flow-run", "task-run"]


def test_progress_is_what_was_said_last() -> None:
    @flow
    def load() -> None:
        progress = create_progress_artifact(0.0, description="loading")
        for percent in range(101):
            update_progress_artifact(progress, percent)
        update_progress_artifact(str(progress), 99, description="nearly")

    load()
    (made,) = artifacts()
    assert (made.data, made.description) == (99.0, "nearly")


def test_cells_of_any_kind_are_kept_as_something(record: Record) -> None:
    create_table_artifact({"n": [1, float("nan"), float("inf"), 2**80], "x": [None, {1}, b"b", (1, "\0")]})
    create_table_artifact([["a", True]])
    first, second = artifacts()
    assert first.data == {"n": [1, None, None, str(2**80)], "x": [None, [1], "b'b'", [1, "\ufffd"]]}
    assert second.data == [["a", True]]


def test_what_is_secret_is_in_no_artifact_and_no_event() -> None:
    mask_secret(SECRET)

    @flow
    def tell() -> None:
        create_markdown_artifact(f"# {SECRET}", key="secret", description=SECRET)
        create_table_artifact([{SECRET: [SECRET]}])
        create_link_artifact(f"https://x/?key={SECRET}", SECRET)
        create_image_artifact(f"https://x/{SECRET}.png")
        update_progress_artifact(create_progress_artifact(1), 2, description=SECRET)
        emit_event(SECRET, {"penstock.resource.id": SECRET}, payload={"k": [SECRET]}, related=[
            {"penstock.resource.id": "r", SECRET: SECRET}
        ])  # fmt: skip

    tell()
    made, said = artifacts(), events()
    assert (len(made), len(said)) == (5, 1)
    assert SECRET not in repr(made) + repr(said)
    assert "********" in repr(made[0].data)


def test_a_twin_can_be_awaited() -> None:
    @flow
    async def tell() -> None:
        await acreate_markdown_artifact("# x")

    asyncio.run(tell())
    assert [each.data for each in artifacts()] == ["# x"]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: create_markdown_artifact("x", key="No Key"), InvalidName),
        (lambda: create_markdown_artifact(5), UnstorableValue),  # type: ignore[arg-type]
        (lambda: create_markdown_artifact("x" * 500_000), UnstorableValue),
        (lambda: create_table_artifact("x"), UnstorableValue),  # type: ignore[arg-type]
        (lambda: create_progress_artifact(-1), UnstorableValue),
        (lambda: emit_event("e", {}), UnstorableValue),
        (lambda: emit_event("e", {"penstock.resource.id": "r"}, payload=[]), UnstorableValue),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_kept_is_told_where_it_is_said(make: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        make()
    assert artifacts() == []


def test_an_event_can_follow_another() -> None:
    first = emit_event("a", {"penstock.resource.id": "r"})
    emit_event("b", {"penstock.resource.id": "r"}, follows=first)
    assert [each.follows for each in events()] == [None, first.id]

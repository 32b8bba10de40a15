"""Flows that call flows: runs of their own, below their parent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock import flow, tags, task
from penstock.runtime import flow_run

from .kit import Record


def test_a_subflow_knows_its_parent_and_its_root(record: Record) -> None:
    @flow
    def lowest() -> tuple[Any, ...]:
        return flow_run.id, flow_run.parent_flow_run_id, flow_run.root_flow_run_id

    @flow
    def middle() -> tuple[Any, ...]:
        return lowest()

    @flow
    def top() -> tuple[Any, ...]:
        return middle()

    ids = top()
    first, second, third = record.flow_runs()
    assert ids == (str(third.id), str(second.id), str(first.id))
    assert (first.flow_run_id, second.flow_run_id, third.flow_run_id) == (None, first.id, second.id)
    assert [run.root_flow_run_id for run in (second, third)] == [first.id, first.id]


def test_tasks_of_a_subflow_are_the_subflows(record: Record) -> None:
    @task
    def work() -> None: ...

    @flow
    def below() -> None:
        work()

    @flow
    def above() -> None:
        work()
        below()
        work()

    above()
    parent, child = record.flow_runs()
    runs = record.task_runs()
    assert [(run.flow_run_id, run.name) for run in runs] == [
        (parent.id, "work-0"),
        (child.id, "work-0"),
        (parent.id, "work-1"),
    ]


def test_a_flow_called_in_a_task_is_below_that_task(record: Record) -> None:
    @flow
    def below() -> int:
        return 1

    @task
    def calls() -> int:
        return below()

    @flow
    def above() -> int:
        return calls() + calls.submit().result()

    assert above() == 2
    children = record.flow_runs("below")
    assert {run.parent_task_run_id for run in children} == {run.id for run in record.task_runs("calls")}
    assert {run.flow_run_id for run in children} == {record.flow_run("above").id}


def test_the_failure_of_a_subflow_is_its_parents_unless_it_is_caught(record: Record) -> None:
    @flow
    def below() -> None:
        raise ValueError("below")

    @flow
    def passes() -> None:
        below()

    @flow
    def catches() -> str:
        return below(return_state=True).name

    with pytest.raises(ValueError, match="below"):
        passes()
    assert catches() == "Failed"
    assert [run.state_name for run in record.flow_runs()] == ["Failed", "Failed", "Completed", "Failed"]


def test_subflows_run_beside_each_other(record: Record) -> None:
    @flow
    async def below(number: int) -> int:
        await asyncio.sleep(0.05)
        return number

    @flow
    async def above() -> list[int]:
        return await asyncio.gather(*(below(number) for number in range(10)))

    assert asyncio.run(above()) == list(range(10))
    assert len(record.flow_runs("below")) == 10


def test_futures_are_handed_to_a_subflow_as_values(record: Record) -> None:
    @task
    def make() -> int:
        return 1

    @flow
    def below(number: int) -> int:
        return number + 1

    @flow
    def above() -> int:
        return below(make.submit())

    assert above() == 2
    assert record.flow_run("below").parameters == {"number": "1"}
    assert record.flow_run("below").upstream == {"number": (record.task_run().id,)}


# --- tags ------------------------------------------------------------------------------------------------------------


def test_tags_go_to_all_runs_that_begin_in_the_block(record: Record) -> None:
    @task(tags=["own"])
    def work() -> None: ...

    @flow(tags=["flow"])
    def main() -> None:
        work()
        with tags("inner"):
            work()
            work.submit().wait()
        work()

    with tags("outer", "more") as together:
        assert together == {"outer", "more"}
        main()
    assert record.flow_run().tags == ("flow", "more", "outer")
    runs = record.task_runs()
    assert [run.tags for run in runs] == [
        ("more", "outer", "own"),
        ("inner", "more", "outer", "own"),
        ("inner", "more", "outer", "own"),
        ("more", "outer", "own"),
    ]


def test_tags_are_gone_after_the_block_even_when_it_raises(record: Record) -> None:
    @flow
    def main() -> None: ...

    with pytest.raises(ZeroDivisionError), tags("x"):
        raise ZeroDivisionError
    main()
    assert record.flow_run().tags == ()

"""What code can know of the run it is in."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from penstock import flow, get_run_context, runtime, tags, task
from penstock.context import FlowRunContext, TaskRunContext
from penstock.exceptions import MissingContextError
from penstock.runtime import flow_run, task_run

from .kit import Record


def test_the_flow_run_is_at_hand_as_the_seed_uses_it(record: Record) -> None:
    @flow
    def main() -> Any:
        return get_run_context().flow_run.dict().get("id")  # type: ignore[union-attr]

    assert main() == record.flow_run().id


def test_the_context_is_the_innermost_runs(record: Record) -> None:
    @task
    def work(x: int) -> None:
        context = get_run_context()
        assert isinstance(context, TaskRunContext)
        assert context.task is work
        assert context.task_run.name == "work-0"
        assert context.parameters == {"x": 1}
        assert FlowRunContext.get() is not None
        assert TaskRunContext.get() is context

    @flow
    def main() -> None:
        context = get_run_context()
        assert isinstance(context, FlowRunContext)
        assert context.flow is main
        assert TaskRunContext.get() is None
        work(1)
        assert get_run_context() is context

    main()
    assert FlowRunContext.get() is TaskRunContext.get() is None


def test_outside_of_runs_there_is_no_context() -> None:
    with pytest.raises(MissingContextError, match="get_run_context"):
        get_run_context()


def test_threads_of_a_run_are_in_it(record: Record) -> None:
    seen: list[Any] = []

    @flow
    def main() -> Any:
        thread = threading.Thread(target=lambda: seen.append(get_run_context()))
        thread.start()
        thread.join()
        return get_run_context()

    assert main() is seen[0]


def test_runtime_values_of_a_flow_run(record: Record) -> None:
    @flow(version="3", flow_run_name="named")
    def main(x: int, y: str = "y") -> dict[str, Any]:
        return {name: getattr(flow_run, name) for name in dir(flow_run)}

    before = datetime.now(UTC)
    with tags("b", "a"):
        values = main(1)
    run = record.flow_run()
    assert values["id"] == str(run.id)
    assert values["name"] == "named"
    assert (values["flow_name"], values["flow_version"]) == ("main", "3")
    assert values["parameters"] == {"x": 1, "y": "y"}
    assert values["tags"] == ["a", "b"]
    assert values["run_count"] == 1
    assert before <= values["scheduled_start_time"] <= datetime.now(UTC)
    assert values["parent_flow_run_id"] is None
    assert values["root_flow_run_id"] == str(run.id)
    assert values["parent_deployment_id"] is None


def test_runtime_values_of_a_task_run(record: Record) -> None:
    attempts: list[int] = []

    @task(tags=["t"], retries=1)
    def work(x: int) -> dict[str, Any]:
        attempts.append(runtime.task_run.run_count)
        if len(attempts) == 1:
            raise ValueError
        return {name: getattr(task_run, name) for name in dir(task_run)}

    @flow
    def main() -> Any:
        return work.submit(5).result()

    values = main()
    assert values["id"] == str(record.task_run().id)
    assert (values["name"], values["task_name"]) == ("work-0", "work")
    assert (values["parameters"], values["tags"]) == ({"x": 5}, ["t"])
    assert attempts == [1, 2]


def test_the_flow_runs_values_are_there_in_its_tasks(record: Record) -> None:
    @task
    def work() -> Any:
        return flow_run.name, flow_run.parameters

    @flow
    def main(x: int) -> Any:
        return work()

    assert main(1) == (record.flow_run().name, {"x": 1})


def test_outside_of_runs_values_are_empty() -> None:
    assert (flow_run.id, flow_run.name, flow_run.parameters, flow_run.tags) == (None, None, {}, [])
    assert (task_run.id, task_run.parameters, task_run.run_count) == (None, {}, 0)


@pytest.mark.parametrize("values", [flow_run, task_run])
def test_a_value_that_there_is_not_is_refused_with_those_there_are(values: Any) -> None:
    with pytest.raises(AttributeError, match=r"'nothing'.*name"):
        _ = values.nothing


def test_values_belong_to_the_run_also_when_many_are_awaited(record: Record) -> None:
    @flow
    async def below(x: int) -> tuple[int, Any]:
        await asyncio.sleep(0.001)
        return x, flow_run.parameters["x"]

    async def program() -> list[Any]:
        return await asyncio.gather(*(below(x) for x in range(10)))

    assert asyncio.run(program()) == [(x, x) for x in range(10)]

"""Hooks are called with (definition, run, state), in their order, when the record has the state."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from penstock import flow, task
from penstock.cache_policies import INPUTS
from penstock.runtime import flow_run

from .kit import Record

Seen = list[tuple[Any, ...]]


def noting(seen: Seen, name: str) -> Any:
    def hook(definition: Any, run: Any, state: Any) -> None:
        seen.append((name, definition.name, run.id, state.name))

    hook.__name__ = name
    return hook


def all_hooks(seen: Seen, *more: str) -> dict[str, Any]:
    return {name: [noting(seen, name)] for name in ("on_running", "on_completion", "on_failure", *more)}


def test_hooks_of_a_task_are_called_for_its_states(record: Record) -> None:
    seen: Seen = []

    @task(**all_hooks(seen))
    def work(fails: bool) -> None:
        if fails:
            raise ValueError

    work(False)
    work(True, return_state=True)
    good, bad = record.task_runs()
    assert seen == [
        ("on_running", "work", good.id, "Running"),
        ("on_completion", "work", good.id, "Completed"),
        ("on_running", "work", bad.id, "Running"),
        ("on_failure", "work", bad.id, "Failed"),
    ]


def test_hooks_of_a_flow_are_called_for_its_states(record: Record) -> None:
    seen: Seen = []

    @flow(**all_hooks(seen, "on_cancellation", "on_crashed"))
    def work(fails: bool) -> None:
        if fails:
            raise ValueError

    work(False)
    work(True, return_state=True)
    assert [(name, state) for name, _, _, state in seen] == [
        ("on_running", "Running"),
        ("on_completion", "Completed"),
        ("on_running", "Running"),
        ("on_failure", "Failed"),
    ]


@pytest.mark.parametrize("submitted", [False, True])
def test_hooks_are_called_in_their_order_in_their_run(submitted: bool, record: Record) -> None:
    seen: list[Any] = []

    async def second(*_: Any) -> None:
        await asyncio.sleep(0)
        seen.append("second")

    @task(on_completion=[lambda *_: seen.append("first"), second])
    def work() -> None: ...

    @work.on_completion
    def third(*_: Any) -> None:
        seen.extend(["third", flow_run.id])

    @flow
    def main() -> str:
        work.submit().wait() if submitted else work()
        return flow_run.id

    id = main()
    assert seen == ["first", "second", "third", id]


def test_hooks_of_asynchronous_runs_of_both_colours(record: Record) -> None:
    seen: list[str] = []

    async def asynchronous(*_: Any) -> None:
        await asyncio.sleep(0)
        seen.append("asynchronous")

    @task(on_completion=[asynchronous, lambda *_: seen.append("synchronous")])
    async def work() -> None: ...

    @flow(on_completion=[asynchronous])
    async def main() -> None:
        await work()

    asyncio.run(main())
    assert seen == ["asynchronous", "synchronous", "asynchronous"]


def test_a_hook_that_fails_is_reported_and_changes_nothing_else(record: Record) -> None:
    seen: list[str] = []

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("in the hook")

    @flow(on_completion=[broken, lambda *_: seen.append("next")])
    def main() -> int:
        return 1

    assert main() == 1
    assert seen == ["next"]
    assert record.flow_run().state_name == "Completed"
    (line,) = [line for line in record.lines() if "in the hook" in line.message]
    assert line.level == 40
    assert "Hook 'broken' failed" in line.message
    assert "Traceback" in line.message


def test_a_hook_finds_its_state_in_the_record(record: Record) -> None:
    seen: list[str] = []

    @flow(on_completion=[lambda *_: seen.append(record.flow_run().state_name)])
    def main() -> None: ...

    main()
    assert seen == ["Completed"]


def test_a_hook_sees_the_error_of_a_failed_run(record: Record) -> None:
    seen: list[Any] = []
    hook = lambda _, __, state: seen.append(state.result(raise_on_failure=False))  # noqa: E731

    @task(on_failure=[hook])
    def bad_task() -> None:
        raise KeyError("task")

    @flow(on_failure=[hook])
    def bad_flow() -> None:
        bad_task()

    with pytest.raises(KeyError):
        bad_flow()
    assert [type(error) for error in seen] == [KeyError, KeyError]


def test_hooks_of_a_run_that_was_refused_its_parameters(record: Record) -> None:
    seen: Seen = []

    @flow(**all_hooks(seen))
    def main(number: int) -> None: ...

    main("not a number", return_state=True)
    assert [(name, state) for name, _, _, state in seen] == [("on_failure", "Failed")]


def test_the_hooks_time_is_not_the_runs_time(record: Record) -> None:
    """Who has done his work within his limit is not timed out for what his hooks take."""

    @flow(timeout_seconds=0.2, on_completion=[lambda *_: time.sleep(0.4)])
    def main() -> str:
        return "in time"

    assert main() == "in time"
    assert record.flow_run().state_name == "Completed"


def test_a_hook_may_call_tasks_and_print(record: Record) -> None:
    @task
    def notify(text: str) -> None: ...

    @flow(log_prints=True, on_completion=[lambda *_: (print("from the hook"), notify("done"))])
    def main() -> None: ...

    main()
    assert "from the hook" in record.messages()
    assert record.task_run().flow_run_id == record.flow_run().id


def test_prints_of_a_finished_runs_hook_come_after_its_end(record: Record) -> None:
    @flow(log_prints=True, on_completion=[lambda *_: print("hook")])
    def main() -> None:
        print("flow")

    main()
    messages = record.messages()
    assert messages.index("flow") < messages.index("hook")


def test_an_asynchronous_hook_of_a_synchronous_task_is_called_in_an_asynchronous_flow(record: Record) -> None:
    seen: Seen = []

    async def hook(definition: Any, run: Any, state: Any) -> None:
        await asyncio.sleep(0)
        seen.append((definition.name, run.id, state.name))

    @task(on_completion=[hook])
    def work() -> int:
        return 1

    @flow
    async def main() -> int:
        return work()

    assert asyncio.run(main()) == 1
    assert seen == [("work", record.task_run().id, "Completed")]


def test_hooks_of_a_cached_run_are_called(record: Record) -> None:
    seen: Seen = []

    @task(cache_policy=INPUTS, on_completion=[noting(seen, "on_completion")])
    def work(number: int) -> int:
        return number

    @flow
    def main() -> list[int]:
        return [work(1), work(1), work.submit(1).result()]

    assert main() == [1, 1, 1]
    assert sorted(state for *_, state in seen) == ["Cached", "Cached", "Completed"]
    assert {id for _, _, id, _ in seen} == {run.id for run in record.task_runs()}


def test_hooks_added_to_a_method_are_called_for_calls_on_an_instance(record: Record) -> None:
    seen: list[str] = []

    class Shop:
        @task
        def sell(self, number: int) -> int:
            return number

        @sell.on_completion
        def _sold(*_: Any) -> None:
            seen.append("in the class")

    shop = Shop()
    assert shop.sell(1) == 1
    assert seen == ["in the class"]
    Shop.sell.on_completion(lambda *_: seen.append("later"))

    @flow
    def main() -> int:
        return shop.sell.submit(2).result()

    assert main() == 2
    assert seen == ["in the class", "in the class", "later"]

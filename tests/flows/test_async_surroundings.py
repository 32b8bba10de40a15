"""Runs in a program of somebody else's event loop: its timeouts and its own waiting work as without us."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock import flow, task

from .kit import Record, names


def test_asyncios_own_timeout_around_a_flow_is_a_timeout(record: Record) -> None:
    @flow
    async def main() -> None:
        await asyncio.sleep(30)

    async def program() -> int:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await main()
        current = asyncio.current_task()
        assert current is not None
        return current.cancelling()

    assert asyncio.run(program()) == 0
    assert record.flow_run().state_name == "Cancelled"


def test_asyncios_own_timeout_is_one_at_whatever_moment_of_a_flow_it_comes(record: Record) -> None:
    @task
    async def nap(seconds: float) -> None:
        await asyncio.sleep(seconds)

    @flow
    async def main(seconds: float) -> str:
        await nap(seconds)
        return "completed"

    async def program() -> list[str]:
        endings = []
        current = asyncio.current_task()
        assert current is not None
        for number in range(20):
            try:
                async with asyncio.timeout(0.02):
                    endings.append(await main(number * 0.0015))
            except TimeoutError:
                endings.append("timed out")
            assert current.cancelling() == 0
        return endings

    endings = asyncio.run(program())
    assert len(endings) == 20
    assert endings[-1] == "timed out"
    assert all(run.state.is_final() for run in [*record.flow_runs(), *record.task_runs()])


def test_an_asynchronous_retry_condition_of_a_synchronous_task_is_awaited_in_an_asynchronous_flow(
    record: Record,
) -> None:
    asked: list[Any] = []
    calls: list[int] = []

    async def worth_it(definition: Any, run: Any, state: Any) -> bool:
        await asyncio.sleep(0)
        asked.append(state.name)
        return len(asked) < 2

    @task(retries=5, retry_condition_fn=worth_it)
    def work() -> None:
        calls.append(1)
        raise ValueError("boom")

    @flow
    async def main() -> str:
        return work(return_state=True).name

    assert asyncio.run(main()) == "Failed"
    assert (len(calls), asked) == (2, ["Failed", "Failed"])
    assert names(record.task_run()) == ["Pending", "Running", "AwaitingRetry", "Retrying", "Failed"]

"""A failed run is tried again as often as its author said, after as long as he said."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from penstock import flow, task
from penstock.engine.attempts import retry_delay
from penstock.tasks import exponential_backoff

from .kit import Record, names, taking_less_than

TRIED_TWICE = ["Pending", "Running", "AwaitingRetry", "Retrying"]


class Flaky:
    """Fails so many times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls: list[float] = []

    def __call__(self) -> int:
        self.calls.append(time.monotonic())
        if len(self.calls) <= self.failures:
            raise ValueError(f"failure {len(self.calls)}")
        return len(self.calls)


def test_a_task_is_tried_until_it_succeeds(record: Record) -> None:
    flaky = Flaky(2)

    @task(retries=5)
    def work() -> int:
        return flaky()

    @flow
    def main() -> int:
        return work()

    assert main() == 3
    run = record.task_run()
    assert names(run) == [*TRIED_TWICE, "AwaitingRetry", "Retrying", "Completed"]
    assert run.run_count == 3
    assert run.states[2].message == "Task run encountered an exception: ValueError: failure 1"
    said = record.messages()
    assert sum("Retry 1/5 will start 0 second(s) from now" in message for message in said) == 1
    assert sum("Retry 2/5" in message for message in said) == 1


@pytest.mark.parametrize("submitted", [False, True])
def test_a_task_that_fails_each_time_is_failed_by_its_last_error(submitted: bool, record: Record) -> None:
    flaky = Flaky(100)

    @task(retries=2)
    def work() -> int:
        return flaky()

    @flow
    def main() -> int:
        return work.submit().result() if submitted else work()

    with pytest.raises(ValueError, match="failure 3"):
        main()
    run = record.task_run()
    assert names(run) == [*TRIED_TWICE, "AwaitingRetry", "Retrying", "Failed"]
    assert len(flaky.calls) == 3
    assert any("Retries are exhausted" in message for message in record.messages())


def test_a_task_without_retries_is_tried_once(record: Record) -> None:
    flaky = Flaky(1)
    with pytest.raises(ValueError, match="failure 1"):
        task(flaky)()
    assert len(flaky.calls) == 1


def test_a_flow_is_tried_again_from_its_beginning(record: Record) -> None:
    flaky = Flaky(1)

    @task
    def step() -> None: ...

    @flow(retries=1)
    def main() -> int:
        step()
        return flaky()

    assert main() == 2
    run = record.flow_run()
    assert names(run) == [*TRIED_TWICE, "Completed"]
    assert run.run_count == 2
    assert len(record.task_runs("step")) == 2


def test_an_asynchronous_run_is_tried_again(record: Record) -> None:
    flaky, flaky_flow = Flaky(1), Flaky(1)

    @task(retries=1, retry_delay_seconds=0.01)
    async def work() -> int:
        return flaky()

    @flow(retries=1)
    async def main() -> int:
        await work()
        return flaky_flow()

    assert asyncio.run(main()) == 2
    assert names(record.flow_run())[-2:] == ["Retrying", "Completed"]
    assert names(record.task_runs()[0])[-2:] == ["Retrying", "Completed"]


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        (0.1, [0.1, 0.1]),
        ([0.05, 0.15], [0.05, 0.15]),
        ([0.1], [0.1, 0.1]),
        (lambda retries: [0.05 * retries] * retries, [0.1, 0.1]),
        (exponential_backoff(0.05), [0.05, 0.1]),
    ],
    ids=["number", "list", "short list", "function", "backoff"],
)
def test_between_tries_there_is_the_delay(delay: Any, expected: list[float], record: Record) -> None:
    flaky = Flaky(2)

    @task(retries=2, retry_delay_seconds=delay)
    def work() -> int:
        return flaky()

    assert work() == 3
    waited = [later - earlier for earlier, later in zip(flaky.calls, flaky.calls[1:], strict=False)]
    for seconds, at_least in zip(waited, expected, strict=True):
        assert at_least - 0.005 <= seconds < at_least + 0.3
    states = [state for state in record.task_run().states if state.name == "AwaitingRetry"]
    assert [(state.details or {})["scheduled_after_seconds"] for state in states] == pytest.approx(expected)


def test_a_flow_waits_between_tries_too(record: Record) -> None:
    flaky = Flaky(1)
    flow(retries=1, retry_delay_seconds=0.1)(flaky)()
    assert flaky.calls[1] - flaky.calls[0] >= 0.095


def test_jitter_spreads_the_delay_within_its_bounds_and_does_spread_it() -> None:
    @task(retries=3, retry_delay_seconds=10, retry_jitter_factor=0.5)
    def work() -> None: ...

    delays = [retry_delay(work, 1, 0.0, work.retry_jitter_factor) for _ in range(500)]
    assert all(5 <= delay <= 15 for delay in delays)
    assert min(delays) < 7
    assert max(delays) > 13


def test_jitter_never_makes_a_delay_negative() -> None:
    @task(retries=3, retry_delay_seconds=10, retry_jitter_factor=5)
    def work() -> None: ...

    assert all(retry_delay(work, 1, 0.0, work.retry_jitter_factor) >= 0 for _ in range(200))


def test_the_authors_condition_decides_whether_it_is_worth_another_try(record: Record) -> None:
    seen: list[tuple[str, str, str]] = []

    def only_the_first(a_task: Any, run: Any, state: Any) -> bool:
        with pytest.raises(ValueError) as raised:  # noqa: PT011
            state.result()
        seen.append((a_task.name, run.name, str(raised.value)))
        return str(raised.value) == "failure 1"

    flaky = Flaky(100)

    @task(retries=5, retry_condition_fn=only_the_first)
    def work() -> int:
        return flaky()

    with pytest.raises(ValueError, match="failure 2"):
        work()
    name = record.task_run().name
    assert seen == [("work", name, "failure 1"), ("work", name, "failure 2")]


def test_an_asynchronous_condition_is_awaited(record: Record) -> None:
    async def never(*_: Any) -> bool:
        await asyncio.sleep(0)
        return False

    flaky = Flaky(100)

    @task(retries=5, retry_condition_fn=never)
    async def work() -> int:
        return flaky()

    with pytest.raises(ValueError, match="failure 1"):
        asyncio.run(work())


def test_a_condition_that_fails_means_no_and_is_said(record: Record) -> None:
    flaky = Flaky(100)

    @task(retries=5, retry_condition_fn=lambda *_: 1 / 0)
    def work() -> int:
        return flaky()

    with pytest.raises(ValueError, match="failure 1"):
        work()
    assert any("ZeroDivisionError" in message for message in record.messages(record.task_run()))


def test_a_delay_function_that_fails_does_not_leave_the_run_open(record: Record) -> None:
    flaky = Flaky(100)

    @task(retries=1, retry_delay_seconds=lambda retries: 1 / 0)
    def work() -> int:
        return flaky()

    @flow
    def main() -> None:
        work()

    with pytest.raises((ValueError, ZeroDivisionError)):
        main()
    assert record.flow_run().state_name == "Failed"
    assert record.task_run().state_name == "Failed"


def test_a_stop_ends_the_wait_for_the_next_try(record: Record) -> None:
    @task(retries=3, retry_delay_seconds=30)
    def work() -> None:
        raise ValueError

    @flow(timeout_seconds=0.2)
    def main() -> None:
        work()

    with pytest.raises(TimeoutError), taking_less_than(2):
        main()
    assert names(record.task_run()) == ["Pending", "Running", "AwaitingRetry", "Cancelled"]
    assert record.flow_run().state_name == "TimedOut"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_not_an_error_is_not_tried_again(error: type[BaseException], record: Record) -> None:
    calls: list[int] = []

    @task(retries=3)
    def work() -> None:
        calls.append(1)
        raise error

    with pytest.raises(error):
        work()
    assert len(calls) == 1
    assert record.task_run().state.is_final()


def test_the_settings_have_a_say_where_the_author_has_not(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_TASKS_DEFAULT_RETRIES", "1")
    monkeypatch.setenv("PENSTOCK_FLOWS_DEFAULT_RETRIES", "1")
    flaky, once, flaky_flow = Flaky(1), Flaky(1), Flaky(1)

    @task
    def work() -> int:
        return flaky()

    @task(retries=0)
    def never_again() -> int:
        return once()

    @flow
    def main() -> int:
        work()
        return flaky_flow()

    assert main() == 2
    with pytest.raises(ValueError, match="failure 1"):
        never_again()


def test_hooks_see_only_the_failure_that_is_final(record: Record) -> None:
    called: list[str] = []
    flaky = Flaky(1)

    @task(retries=1, on_failure=[lambda *_: called.append("failed")], on_completion=[lambda *_: called.append("done")])
    def work() -> int:
        return flaky()

    work()
    assert called == ["done"]


def test_a_flow_that_completed_is_not_asked_for_a_delay() -> None:
    asked: list[int] = []

    def delay(retries: int) -> float:
        asked.append(retries)
        raise RuntimeError("nobody should have asked")

    @flow(retries=1, retry_delay_seconds=delay)  # type: ignore[call-overload]
    def main() -> str:
        return "done"

    assert main() == "done"
    assert asked == []

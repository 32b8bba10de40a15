"""A run that exceeds its own deadline is TimedOut at the deadline, whatever its code does; nobody else is."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from penstock import State, flow, task
from penstock.domain.runs import FlowRun, TaskRun
from penstock.exceptions import FlowRunTimeoutError, RunTimeoutError, TaskRunTimeoutError

from .kit import Gate, Record, names, taking_less_than, until

LIMIT = 0.2
LATE = 0.5  # how late the record may be here; the promise is 0.1 s, on a machine that does nothing else
LONG = 1.0


def sleep() -> None:
    time.sleep(LONG)


def loop() -> None:
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        pass


def wait_for_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=LONG)


def swallow_exceptions_in_a_loop() -> None:
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        try:
            time.sleep(0.01)
        except Exception:
            continue


def swallow_everything() -> str:
    end = time.monotonic() + LONG / 2
    while time.monotonic() < end:
        try:
            time.sleep(0.01)
        except BaseException:
            continue
    return "late"


SLOW: list[Callable[[], Any]] = [sleep, loop, wait_for_a_lock, swallow_exceptions_in_a_loop, swallow_everything]


def seconds_until_timed_out(run: FlowRun | TaskRun) -> float:
    """From the last attempt's begin to its end, by the record."""
    *_, began, ended = run.states
    assert (began.name in ("Running", "Retrying"), ended.name) == (True, "TimedOut"), run.states
    return (ended.timestamp - began.timestamp).total_seconds()


def check_task(record: Record, state: State[Any] | None = None) -> TaskRun:
    run = record.task_run()
    assert names(run) == ["Pending", "Running", "TimedOut"]
    assert run.state.is_failed()
    assert (run.state.message or "").startswith(f"Task run exceeded timeout of {LIMIT} second(s)")
    assert LIMIT <= seconds_until_timed_out(run) < LIMIT + LATE
    if state is not None:
        assert (state.name, state.type.value) == ("TimedOut", "FAILED")
        with pytest.raises(TaskRunTimeoutError, match="exceeded timeout"):
            state.result()
    return run


def check_flow(record: Record, flow_name: str | None = None) -> FlowRun:
    run = record.flow_run(flow_name)
    assert names(run) == ["Pending", "Running", "TimedOut"]
    assert (run.state.message or "").startswith(f"Flow run exceeded timeout of {LIMIT} second(s)")
    assert LIMIT <= seconds_until_timed_out(run) < LIMIT + LATE
    return run


# --- tasks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", SLOW)
def test_a_task_that_is_called_is_timed_out_at_its_deadline(code: Callable[[], Any], record: Record) -> None:
    slow = task(timeout_seconds=LIMIT)(code)

    @flow
    def calls() -> State[Any]:
        return slow(return_state=True)

    state = calls(return_state=True)
    assert state.is_failed()
    check_task(record)


@pytest.mark.parametrize("code", SLOW)
def test_a_task_that_was_submitted_is_timed_out_at_its_deadline(code: Callable[[], Any], record: Record) -> None:
    slow = task(timeout_seconds=LIMIT)(code)

    @flow
    def submits() -> float:
        began = time.monotonic()
        state = slow.submit(return_state=True)
        waited = time.monotonic() - began
        check_task(record, state)
        return waited

    assert submits() < LIMIT + LATE


@pytest.mark.parametrize("code", [sleep, loop, swallow_exceptions_in_a_loop])
def test_code_that_is_called_is_really_stopped(code: Callable[[], Any], record: Record) -> None:
    slow = task(timeout_seconds=LIMIT)(code)
    with taking_less_than(LIMIT + LATE):
        state = slow(return_state=True)
    assert state.name == "TimedOut"


def test_a_loop_in_a_thread_is_really_stopped(record: Record) -> None:
    ended = threading.Event()

    @task(timeout_seconds=LIMIT)
    def loops() -> None:
        try:
            loop()
        finally:
            ended.set()

    @flow
    def submits() -> None:
        began = time.monotonic()
        loops.submit().wait()
        assert ended.wait(10)
        assert time.monotonic() - began < LIMIT + LATE

    submits()


def test_a_value_that_comes_late_is_discarded(record: Record) -> None:
    returned = threading.Event()

    @task(timeout_seconds=LIMIT)
    def stubborn() -> str:
        try:
            return swallow_everything()
        finally:
            returned.set()

    @flow
    def submits() -> State[Any]:
        future = stubborn.submit()
        future.wait()
        assert not returned.is_set()
        assert returned.wait(10)
        return future.state

    state = submits(return_state=True)
    with pytest.raises(TaskRunTimeoutError):
        state.result()
    run = check_task(record)
    assert run.result is None


def test_a_task_that_swallows_its_stop_and_returns_at_once_is_timed_out_all_the_same(record: Record) -> None:
    @task(timeout_seconds=LIMIT)
    def swallows() -> str:
        try:
            time.sleep(LONG)
        except BaseException:
            return "value"
        return "slept"

    state = swallows(return_state=True)
    check_task(record, state)


def test_a_task_that_turns_its_stop_into_an_error_of_its_own_is_timed_out_all_the_same(record: Record) -> None:
    @task(timeout_seconds=LIMIT)
    def converts() -> None:
        try:
            time.sleep(LONG)
        except BaseException as error:
            raise ValueError("converted") from error

    check_task(record, converts(return_state=True))


def test_cleaning_up_is_done_before_the_run_is_closed(record: Record) -> None:
    order: list[str] = []

    @contextmanager
    def resource() -> Iterator[None]:
        try:
            yield
        finally:
            order.append("context left")

    @task(timeout_seconds=LIMIT, on_failure=[lambda *_: order.append("hook")])
    def careful() -> None:
        with resource():
            try:
                time.sleep(LONG)
            except Exception:
                order.append("except Exception")
            finally:
                order.append("finally")

    careful(return_state=True)
    assert order == ["finally", "context left", "hook"]


def test_the_record_says_where_the_code_was(record: Record) -> None:
    @task(timeout_seconds=LIMIT)
    def slow() -> None:
        sleep()

    slow(return_state=True)
    details = record.task_run().state.details or {}
    assert details["reason"] == "timeout"
    assert __file__ in details["where"]
    assert "in sleep" in details["where"]


def test_the_log_says_it_in_the_two_lines_of_the_field(record: Record) -> None:
    @task(timeout_seconds=LIMIT)
    def slow() -> None:
        time.sleep(LONG)

    @flow
    def calls() -> None:
        slow(return_state=True)

    calls()
    limit = f"Task run exceeded timeout of {LIMIT} second(s)"
    said = [line.message for line in record.lines() if line.task_run_id is not None and line.level >= 40]
    assert said == [limit, f"Finished in state TimedOut({limit!r})"]


def test_a_task_within_its_limit_is_not_touched(record: Record) -> None:
    @task(timeout_seconds=30)
    def quick() -> int:
        time.sleep(0.01)
        return 1

    @flow
    def calls() -> int:
        return quick() + quick.submit().result()

    assert calls() == 2


@pytest.mark.parametrize("none", [None, 0, 0.0])
def test_none_and_zero_are_no_limit(none: float | None, record: Record) -> None:
    @task(timeout_seconds=LIMIT)
    def slow() -> str:
        time.sleep(LIMIT * 2)
        return "done"

    assert slow.with_options(timeout_seconds=none)() == "done"


def test_the_wait_for_upstream_does_not_count(record: Record) -> None:
    @task
    def first() -> None:
        time.sleep(LIMIT * 2)

    @task(timeout_seconds=LIMIT)
    def second(_: Any) -> str:
        return "in time"

    @flow
    def chain() -> str:
        return second.submit(first.submit()).result()

    assert chain() == "in time"


def test_each_attempt_has_a_deadline_of_its_own(record: Record) -> None:
    attempts: list[float] = []

    @task(timeout_seconds=LIMIT, retries=2)
    def slow_twice() -> int:
        attempts.append(time.monotonic())
        if len(attempts) < 3:
            time.sleep(LONG)
        time.sleep(LIMIT / 2)
        return len(attempts)

    @flow
    def calls() -> int:
        return slow_twice.submit().result() if len(attempts) else slow_twice()

    assert calls() == 3
    run = record.task_run()
    assert names(run) == ["Pending", "Running", "AwaitingRetry", "Retrying", "AwaitingRetry", "Retrying", "Completed"]
    assert run.run_count == 3


def test_a_task_that_is_slow_each_time_is_timed_out_when_its_tries_are_used_up(record: Record) -> None:
    @task(timeout_seconds=LIMIT, retries=1)
    def slow() -> None:
        time.sleep(LONG)

    with pytest.raises(TaskRunTimeoutError), taking_less_than(2 * (LIMIT + LATE)):
        slow()
    run = record.task_run()
    assert names(run) == ["Pending", "Running", "AwaitingRetry", "Retrying", "TimedOut"]
    assert seconds_until_timed_out(run) < LIMIT + LATE


def test_the_error_is_a_timeout_error(record: Record) -> None:
    @task(timeout_seconds=LIMIT)
    def slow() -> None:
        time.sleep(LONG)

    with pytest.raises(TimeoutError) as raised:
        slow()
    assert isinstance(raised.value, TaskRunTimeoutError)
    assert isinstance(raised.value, RunTimeoutError)


def test_a_timeout_error_of_the_users_own_is_an_ordinary_failure(record: Record) -> None:
    @task(timeout_seconds=30)
    def raises() -> None:
        raise TimeoutError("the server did not answer")

    @flow(timeout_seconds=30)
    def calls() -> None:
        raises()

    with pytest.raises(TimeoutError, match="did not answer"):
        calls()
    assert record.task_run().state_name == "Failed"
    assert record.flow_run().state_name == "Failed"


def test_a_timed_out_task_fails_its_flow_but_the_flow_is_not_called_timed_out(record: Record) -> None:
    @task(timeout_seconds=LIMIT)
    def slow() -> None:
        time.sleep(LONG)

    @flow(timeout_seconds=30)
    def calls() -> None:
        slow()

    with pytest.raises(TaskRunTimeoutError):
        calls()
    assert record.flow_run().state_name == "Failed"
    assert "TaskRunTimeoutError" in (record.flow_run().state.message or "")
    check_task(record)


def test_a_flow_may_catch_that_a_task_was_timed_out(record: Record) -> None:
    @task(timeout_seconds=LIMIT)
    def slow() -> None:
        time.sleep(LONG)

    @flow
    def catches() -> str:
        try:
            slow()
        except TimeoutError:
            return "caught"
        return "slept"

    assert catches() == "caught"
    assert record.flow_run().state_name == "Completed"


def test_the_patience_of_who_waits_is_not_a_deadline_of_the_run(record: Record, gate: Gate) -> None:
    @task
    def slow() -> str:
        gate.wait()
        return "done"

    @flow
    def waits() -> str:
        future = slow.submit()
        with pytest.raises(TimeoutError, match="slow-0"):
            future.result(timeout=0.05)
        assert not future.done()
        gate.open()
        return future.result()

    assert waits() == "done"
    assert names(record.task_run()) == ["Pending", "Running", "Completed"]


def test_a_generator_task_is_timed_out_too(record: Record) -> None:
    @task(timeout_seconds=LIMIT)
    def slow() -> Iterator[int]:
        yield 1
        time.sleep(LONG)
        yield 2

    seen: list[int] = []
    with pytest.raises(TaskRunTimeoutError), taking_less_than(LIMIT + LATE):  # noqa: PT012
        for item in slow():
            seen.append(item)
    assert seen == [1]
    assert record.task_run().state_name == "TimedOut"


def test_a_thread_that_will_not_stop_takes_no_place_in_the_pool(record: Record, gate: Gate) -> None:
    from penstock.task_runners import ThreadPoolTaskRunner

    @task(timeout_seconds=LIMIT)
    def blocks() -> None:
        gate.wait()

    @task
    def quick() -> str:
        return "went on"

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def submits() -> str:
        blocked = blocks.submit()
        after = quick.submit().result(timeout=10)
        blocked.wait()
        assert blocked.state.name == "TimedOut"
        return after

    assert submits() == "went on"


# --- flows -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [sleep, loop, swallow_everything])
def test_a_flow_is_timed_out_at_its_deadline(code: Callable[[], Any], record: Record) -> None:
    slow = flow(timeout_seconds=LIMIT, name="slow")(code)
    with pytest.raises(FlowRunTimeoutError) as raised:
        slow()
    assert isinstance(raised.value, TimeoutError)
    check_flow(record)


def test_a_flow_that_waits_for_a_task_is_timed_out_and_the_task_is_cancelled(record: Record, gate: Gate) -> None:
    @task
    def slow() -> None:
        gate.wait()

    @flow(timeout_seconds=LIMIT)
    def waits() -> None:
        slow.submit().result()

    with pytest.raises(FlowRunTimeoutError), taking_less_than(LIMIT + 2 * LATE):
        waits()
    check_flow(record)
    assert record.task_run().state_name == "Cancelled"


def test_the_earliest_deadline_wins_and_is_reported_as_whose_it_was(record: Record) -> None:
    @task(timeout_seconds=30)
    def slow() -> None:
        time.sleep(LONG)

    @flow(timeout_seconds=LIMIT)
    def calls() -> None:
        slow()

    with pytest.raises(FlowRunTimeoutError), taking_less_than(LIMIT + LATE):
        calls()
    check_flow(record)
    run = record.task_run()
    assert run.state_name == "Cancelled"
    assert "Flow run exceeded timeout" in (run.state.message or "")


def test_a_flow_may_not_call_tasks_after_its_deadline(record: Record) -> None:
    called: list[int] = []

    @task
    def counts() -> None:
        called.append(1)

    @flow(timeout_seconds=LIMIT)
    def stubborn() -> None:
        try:
            time.sleep(LONG)
        except BaseException:
            counts()

    with pytest.raises(FlowRunTimeoutError):
        stubborn()
    assert not called
    assert record.flow_run().state_name == "TimedOut"


def test_a_subflow_ends_with_its_parent(record: Record) -> None:
    @flow
    def below() -> None:
        time.sleep(LONG)

    @flow(timeout_seconds=LIMIT)
    def above() -> None:
        below()

    with pytest.raises(FlowRunTimeoutError), taking_less_than(LIMIT + LATE):
        above()
    check_flow(record, "above")
    child = record.flow_run("below")
    assert child.state_name == "Cancelled"
    assert "exceeded timeout" in (child.state.message or "")
    assert child.state.timestamp <= record.flow_run("above").state.timestamp


def test_a_timed_out_subflow_fails_its_parent_as_a_failure_does(record: Record) -> None:
    @flow(timeout_seconds=LIMIT)
    def below() -> None:
        time.sleep(LONG)

    @flow
    def above() -> None:
        below()

    with pytest.raises(FlowRunTimeoutError):
        above()
    check_flow(record, "below")
    assert record.flow_run("above").state_name == "Failed"


def test_a_flow_is_tried_again_after_its_deadline_with_a_fresh_one(record: Record) -> None:
    attempts: list[int] = []

    @flow(timeout_seconds=LIMIT, retries=1)
    def slow_once() -> int:
        attempts.append(1)
        if len(attempts) == 1:
            time.sleep(LONG)
        time.sleep(LIMIT / 2)
        return len(attempts)

    assert slow_once() == 2
    assert names(record.flow_run()) == ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed"]


def test_the_record_knows_the_deadline_while_the_flow_runs(record: Record) -> None:
    @flow(timeout_seconds=30)
    def asks() -> None:
        run = record.flow_run()
        assert run.deadline is not None
        assert abs((run.deadline - run.state.timestamp).total_seconds() - 30) < 0.001

    asks()


def test_a_flow_in_another_thread_is_timed_out_too(record: Record) -> None:
    @flow(timeout_seconds=LIMIT)
    def slow() -> None:
        sleep()

    raised: list[BaseException] = []

    def run() -> None:
        try:
            slow()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: [run.state_name for run in record.flow_runs()] == ["TimedOut"])
    check_flow(record)
    thread.join(10)
    assert isinstance(raised[0], FlowRunTimeoutError)


# --- asynchronous ----------------------------------------------------------------------------------------------------


def test_a_coroutine_is_cancelled_at_its_deadline(record: Record) -> None:
    cancelled: list[str] = []

    @task(timeout_seconds=LIMIT)
    async def slow() -> None:
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            cancelled.append("cancelled")
            raise

    @flow
    async def calls() -> State[Any]:
        return await slow(return_state=True)

    with taking_less_than(LIMIT + LATE):
        state = asyncio.run(calls(return_state=True))
    assert state.is_failed()
    check_task(record)
    assert cancelled == ["cancelled"]


def test_the_other_coroutines_go_on(record: Record) -> None:
    @task(timeout_seconds=LIMIT)
    async def slow() -> None:
        await asyncio.sleep(LONG)

    @task
    async def steady() -> str:
        await asyncio.sleep(LIMIT * 2)
        return "done"

    @flow
    async def gathers() -> list[Any]:
        return await asyncio.gather(slow(), steady(), return_exceptions=True)

    error, value = asyncio.run(gathers())
    assert isinstance(error, TaskRunTimeoutError)
    assert value == "done"


def test_a_coroutine_that_blocks_the_loop_is_timed_out_in_the_record_meanwhile(record: Record) -> None:
    @task(timeout_seconds=LIMIT)
    async def blocks() -> str:
        time.sleep(LONG)
        return "late"

    @flow
    async def calls() -> State[Any]:
        return await blocks(return_state=True)

    state = asyncio.run(calls(return_state=True))
    assert state.is_failed()
    check_task(record)


def test_an_asynchronous_flow_is_timed_out(record: Record) -> None:
    @flow(timeout_seconds=LIMIT)
    async def slow() -> None:
        await asyncio.sleep(LONG)

    with pytest.raises(FlowRunTimeoutError), taking_less_than(LIMIT + LATE):
        asyncio.run(slow())
    check_flow(record)


def test_what_an_asynchronous_flow_awaits_ends_with_it(record: Record) -> None:
    @task
    async def slow() -> None:
        await asyncio.sleep(LONG)

    @flow(timeout_seconds=LIMIT)
    async def gathers() -> None:
        await asyncio.gather(slow(), slow())

    with pytest.raises(FlowRunTimeoutError), taking_less_than(LIMIT + LATE):
        asyncio.run(gathers())
    check_flow(record)
    assert [run.state_name for run in record.task_runs()] == ["Cancelled", "Cancelled"]


def test_a_submitted_coroutine_is_timed_out(record: Record) -> None:
    @task(timeout_seconds=LIMIT)
    async def slow() -> None:
        await asyncio.sleep(LONG)

    @flow
    def submits() -> State[Any]:
        return slow.submit(return_state=True)

    with taking_less_than(LIMIT + LATE):
        submits(return_state=True)
    check_task(record)


def test_an_asynchronous_generator_is_timed_out(record: Record) -> None:
    @task(timeout_seconds=LIMIT)
    async def slow() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(LONG)

    @flow
    async def consumes() -> None:
        async for _ in slow():
            pass

    with pytest.raises(TaskRunTimeoutError), taking_less_than(LIMIT + LATE):
        asyncio.run(consumes())
    check_task(record)


def test_after_a_timeout_the_callers_own_cancellation_still_works(record: Record) -> None:
    """The cancellation that stopped the task is taken back, so asyncio's own time-outs are not confused by it."""

    @task(timeout_seconds=LIMIT)
    async def slow() -> None:
        await asyncio.sleep(LONG)

    @flow
    async def calls() -> str:
        with pytest.raises(TaskRunTimeoutError):
            await slow()
        me = asyncio.current_task()
        assert me is not None
        assert me.cancelling() == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.sleep(10)
        return "went on"

    assert asyncio.run(calls()) == "went on"


def test_a_flow_is_stopped_after_it_called_a_subflow_with_a_future(record: Record) -> None:
    @task
    def value() -> int:
        time.sleep(0.05)
        return 1

    @flow
    def below(number: int) -> int:
        return number

    @flow(timeout_seconds=0.5)
    def main() -> None:
        below(value.submit())  # type: ignore[call-overload]
        time.sleep(5)

    with taking_less_than(2.0), pytest.raises(FlowRunTimeoutError):
        main()


def test_a_coroutine_that_was_told_twice_is_cancelled_once() -> None:
    """One that blocks its loop has not heard the first time; what its caller's task counts must be even afterwards."""

    @task(timeout_seconds=0.1)
    async def blocks() -> None:
        time.sleep(0.3)
        await asyncio.sleep(LONG)

    @flow
    async def main() -> int:
        await blocks(return_state=True)
        running = asyncio.current_task()
        assert running is not None
        return running.cancelling()

    assert asyncio.run(main()) == 0


def test_no_subflow_begins_below_a_run_that_has_ended_without_its_code(record: Record) -> None:
    """The code was about to call it when its time was over."""
    begun = threading.Event()

    def slow_name() -> str:
        time.sleep(0.8)
        begun.set()
        return "named"

    @flow(flow_run_name=slow_name)
    def child() -> None: ...

    @flow(timeout_seconds=0.2)
    def parent() -> None:
        child()

    state = parent(return_state=True)
    assert state.name == "TimedOut"
    assert begun.wait(10)
    time.sleep(0.2)  # it would be recorded by then
    assert [run.flow_name for run in record.flow_runs()] == ["parent"]

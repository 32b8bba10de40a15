"""Submitted tasks run beside the flow; a future is the promise of one."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest

from penstock import allow_failure, flow, quote, task, unmapped
from penstock.exceptions import MappingLengthMismatch, MappingMissingIterable, UpstreamTaskError
from penstock.futures import PenstockFuture, as_completed, wait
from penstock.task_runners import ConcurrentTaskRunner, SequentialTaskRunner, ThreadPoolTaskRunner

from .kit import Gate, Record, names, taking_less_than, until


@task
def add(a: int, b: int = 0) -> int:
    return a + b


@task
def fail(message: str = "boom") -> None:
    raise ValueError(message)


def test_a_submitted_task_runs_while_its_flow_goes_on(record: Record, gate: Gate) -> None:
    @task
    def slow() -> str:
        gate.wait()
        return "done"

    @flow
    def main() -> str:
        future = slow.submit()
        assert gate.arrived.wait(10)
        assert not future.done()
        assert future.state.is_running()
        gate.open()
        assert future.result() == "done"
        assert future.done()
        assert future.state.is_completed()
        return future.result()

    assert main() == "done"


def test_tasks_that_sleep_do_so_together(record: Record) -> None:
    @task
    def sleeps() -> None:
        time.sleep(0.2)

    @flow
    def main() -> None:
        wait([sleeps.submit() for _ in range(20)])

    began = time.monotonic()
    main()
    assert time.monotonic() - began < 2


def test_a_future_knows_its_run(record: Record) -> None:
    @flow
    def main() -> Any:
        future = add.submit(1)
        future.wait()
        return future.task_run_id

    assert main() == record.task_run().id


def test_the_result_of_a_failed_task_is_its_error(record: Record) -> None:
    @flow
    def main() -> str:
        future = fail.submit("one")
        with pytest.raises(ValueError, match="one"):
            future.result()
        assert isinstance(future.result(raise_on_failure=False), ValueError)
        assert future.state.is_failed()
        return "went on"

    assert main() == "went on"


def test_submit_gives_the_final_state_when_that_is_asked_for(record: Record) -> None:
    @flow
    def main() -> int:
        state = add.submit(1, 2, return_state=True)
        assert state.is_completed()
        return state.result()

    assert main() == 3


def test_waiting_ends_after_its_patience_and_says_what_is_done(record: Record, gate: Gate) -> None:
    @task
    def slow() -> None:
        gate.wait()

    @flow
    def main() -> None:
        quick, stuck = add.submit(1), slow.submit()
        quick.wait()
        stuck.wait(timeout=0.05)
        done, not_done = wait([quick, stuck], timeout=0.05)
        assert (done, not_done) == ({quick}, {stuck})
        with pytest.raises(TimeoutError):
            stuck.result(timeout=0)
        gate.open()
        assert wait([quick, stuck]).not_done == set()

    main()


def test_futures_come_as_they_are_completed(record: Record) -> None:
    gates = [Gate() for _ in range(3)]

    @task
    def waits(number: int) -> int:
        gates[number].wait()
        return number

    @flow
    def main() -> list[int]:
        futures = [waits.submit(number) for number in range(3)]
        order = []
        gates[2].open()
        for future in as_completed(futures):
            order.append(future.result())
            if len(order) < 3:
                gates[2 - len(order)].open()
        with pytest.raises(StopIteration):
            next(as_completed([]))
        return order

    assert main() == [2, 1, 0]


def test_as_completed_has_a_patience_too(record: Record, gate: Gate) -> None:
    @task
    def slow() -> None:
        gate.wait()

    @flow
    def main() -> None:
        futures = [add.submit(1), slow.submit()]
        seen = []
        with pytest.raises(TimeoutError, match="1 of 2"):  # noqa: PT012
            for future in as_completed(futures, timeout=0.1):
                seen.append(future)
        assert seen == futures[:1]
        gate.open()

    main()


def test_callbacks_are_called_once_when_the_run_ended_and_at_once_if_it_has(record: Record, gate: Gate) -> None:
    called: list[tuple[str, bool]] = []

    @task
    def slow() -> None:
        gate.wait()

    @flow
    def main() -> None:
        future = slow.submit()
        future.add_done_callback(lambda done: called.append(("early", done.done())))
        assert not called
        gate.open()
        future.wait()
        until(lambda: called)
        future.add_done_callback(lambda done: called.append(("late", done.done())))
        assert called[-1][0] == "late"

    main()
    assert called == [("early", True), ("late", True)]


def test_a_callback_that_raises_takes_no_other_with_it(record: Record, gate: Gate) -> None:
    called: list[str] = []

    @task
    def slow() -> int:
        gate.wait()
        return 1

    @flow
    def main() -> int:
        future = slow.submit()
        future.add_done_callback(lambda _: 1 / 0)
        future.add_done_callback(lambda _: called.append("second"))
        gate.open()
        value = future.result(timeout=10)
        until(lambda: called, 5)
        return value

    assert main() == 1
    assert record.flow_run().state_name == "Completed"


# --- upstream --------------------------------------------------------------------------------------------------------


def test_futures_among_the_arguments_are_replaced_by_their_values(record: Record) -> None:
    @task
    def collect(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    @flow
    def main() -> Any:
        one, two = add.submit(1), add.submit(2)
        return collect.submit([one, {"deep": (two, {3})}], other=one, nothing=None).result()

    assert main() == (([1, {"deep": (2, {3})}],), {"other": 1, "nothing": None})


def test_a_task_that_is_called_takes_futures_too(record: Record) -> None:
    @flow
    def main() -> int:
        return add(add.submit(1), b=add.submit(2))

    assert main() == 3


def test_a_state_among_the_arguments_is_replaced_by_its_value(record: Record) -> None:
    @flow
    def main() -> int:
        return add(add(1, return_state=True), add.submit(2, return_state=True))

    assert main() == 3


def test_quoted_futures_are_left_alone(record: Record) -> None:
    @task
    def takes(value: Any) -> str:
        return type(value[0]).__name__

    @flow
    def main() -> str:
        return takes(quote([add.submit(1)]))

    assert main() == PenstockFuture.__name__


def test_what_is_downstream_of_a_failure_is_not_ready_and_does_not_run(record: Record) -> None:
    ran: list[int] = []

    @task
    def after(value: Any) -> None:
        ran.append(1)

    @flow
    def main() -> None:
        bad = fail.submit()
        state = after.submit(bad, return_state=True)
        assert (state.name, state.type.value) == ("NotReady", "PENDING")
        with pytest.raises(UpstreamTaskError, match="fail-0"):
            after(bad)
        further = after.submit(after.submit(bad))
        further.wait(timeout=10)
        assert further.state.name == "NotReady"

    main()
    assert not ran
    for run in record.task_runs("after"):
        assert names(run) == ["Pending", "NotReady"]
        assert "did not reach a 'COMPLETED' state" in (run.state.message or "")


def test_a_failure_that_is_allowed_is_handed_on(record: Record) -> None:
    @task
    def after(value: Any) -> str:
        return repr(value)

    @flow
    def main() -> tuple[str, str, str]:
        bad, good = fail.submit(), add.submit(1)
        return after(allow_failure(bad)), after.submit(allow_failure([good, bad])).result(), after(allow_failure(good))

    assert main() == ("ValueError('boom')", "[1, ValueError('boom')]", "1")


def test_wait_for_orders_runs_that_share_no_values(record: Record, gate: Gate) -> None:
    order: list[str] = []

    @task
    def first() -> None:
        gate.wait()
        order.append("first")

    @task
    def second() -> None:
        order.append("second")

    @flow
    def below() -> None:
        order.append("below")

    @flow
    def main() -> None:
        earlier = first.submit()
        later = second.submit(wait_for=[earlier])
        gate.open()
        later.wait()
        second(wait_for=[earlier, later])
        below(wait_for=[later])

    main()
    assert order == ["first", "second", "second", "below"]


@pytest.mark.parametrize("submitted", [True, False])
def test_a_failure_that_is_waited_for_makes_not_ready(submitted: bool, record: Record) -> None:
    ran: list[int] = []

    @task
    def after() -> None:
        ran.append(1)

    @flow
    def main() -> None:
        bad = fail.submit()
        if submitted:
            assert after.submit(wait_for=[bad], return_state=True).name == "NotReady"
        else:
            with pytest.raises(UpstreamTaskError):
                after(wait_for=[bad])

    main()
    assert not ran


def test_a_subflow_that_waits_for_a_failure_does_not_run(record: Record) -> None:
    ran: list[int] = []

    @flow
    def below() -> None:
        ran.append(1)

    @flow
    def main() -> None:
        bad = fail.submit()
        with pytest.raises(UpstreamTaskError):
            below(wait_for=[bad])

    main()
    assert not ran


def test_a_wait_for_that_allows_failure_goes_on(record: Record) -> None:
    @task
    def cleans_up() -> str:
        return "clean"

    @flow
    def main() -> str:
        return cleans_up(wait_for=[allow_failure(fail.submit())])

    assert main() == "clean"


def test_a_single_future_may_be_waited_for_without_a_list(record: Record) -> None:
    @flow
    def main() -> int:
        return add.submit(1, wait_for=add.submit(2)).result()

    assert main() == 1


# --- map -------------------------------------------------------------------------------------------------------------


def test_map_runs_the_task_for_each_item_in_order(record: Record) -> None:
    @flow
    def main() -> list[int]:
        futures = add.map([1, 2, 3], b=unmapped(10))
        futures.wait()
        assert [future.result() for future in futures] == futures.result()
        return futures.result()

    assert main() == [11, 12, 13]
    assert sorted(run.name for run in record.task_runs()) == ["add-0", "add-1", "add-2"]


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        (([1, 2], [10, 20]), {}, [11, 22]),
        (((1, 2),), {"b": range(2)}, [1, 3]),
        ((iter([1, 2]), 5), {}, [6, 7]),
        (([],), {}, []),
        (({1: "a"},), {}, [1]),
    ],
)
def test_map_spreads_whatever_can_be_iterated(args: Any, kwargs: Any, expected: list[int], record: Record) -> None:
    @flow
    def main() -> list[int]:
        return add.map(*args, **kwargs).result()

    assert main() == expected


def test_text_is_one_value_to_map(record: Record) -> None:
    @task
    def pair(item: int, text: str) -> tuple[int, str]:
        return item, text

    @flow
    def main() -> Any:
        return pair.map([1, 2], "ab").result()

    assert main() == [(1, "ab"), (2, "ab")]


def test_an_unmapped_list_is_the_same_for_each(record: Record) -> None:
    @task
    def total(item: int, others: list[int]) -> int:
        return item + sum(others)

    @flow
    def main() -> Any:
        return total.map([1, 2], unmapped([10, 20])).result()

    assert main() == [31, 32]


def test_map_over_futures_and_over_a_future_of_a_list(record: Record) -> None:
    @task
    def listed() -> list[int]:
        return [1, 2]

    @flow
    def main() -> Any:
        return add.map(add.map([1, 2])).result(), add.map(listed.submit()).result()

    assert main() == ([1, 2], [1, 2])


def test_one_failed_item_fails_only_what_is_downstream_of_it(record: Record) -> None:
    @task
    def half(number: int) -> float:
        return 1 / number

    @task
    def shown(value: Any) -> str:
        return str(value)

    @flow
    def main() -> Any:
        states = shown.map(half.map([1, 0, 2]), return_state=True)
        allowed = shown.map(allow_failure(half.map([0, 1]))).result()
        return [state.name for state in states], allowed

    assert main() == (["Completed", "NotReady", "Completed"], ["division by zero", "1.0"])


def test_lengths_that_differ_are_named(record: Record) -> None:
    with pytest.raises(MappingLengthMismatch, match="2, 3") as raised:
        add.map([1, 2], [1, 2, 3])
    assert "unmapped" in str(raised.value)
    assert record.count("task_run") == 0


def test_map_without_anything_to_spread_is_refused(record: Record) -> None:
    for args in ((1,), (unmapped([1]),), ("text",)):
        with pytest.raises(MappingMissingIterable, match="add"):
            add.map(*args)


def test_map_waits_for_others(record: Record) -> None:
    @flow
    def main() -> None:
        states = add.map([1, 2], wait_for=[fail.submit()], return_state=True)
        assert [state.name for state in states] == ["NotReady", "NotReady"]

    main()


# --- runners ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_tasks_that_wait_for_tasks_do_not_use_up_the_pool(workers: int, record: Record) -> None:
    @task
    def tree(depth: int) -> int:
        if depth == 0:
            return 1
        return sum(tree.map([depth - 1, depth - 1]).result(timeout=20))

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=workers))
    def main() -> int:
        return tree.submit(5).result(timeout=20)

    assert main() == 32


def test_no_more_tasks_run_at_once_than_there_are_workers(record: Record) -> None:
    lock, now, most = threading.Lock(), [0], [0]

    @task
    def counts() -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=3))
    def main() -> None:
        wait([counts.submit() for _ in range(20)])

    main()
    assert most[0] == 3


def test_one_worker_takes_tasks_in_the_order_they_were_submitted(record: Record) -> None:
    order: list[int] = []

    @task
    def notes(number: int) -> None:
        order.append(number)

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def main() -> None:
        wait([notes.submit(number) for number in range(50)])

    main()
    assert order == list(range(50))


def test_the_sequential_runner_has_run_a_task_when_submit_returns(record: Record) -> None:
    here = threading.get_ident()

    @task
    def where() -> int:
        return threading.get_ident()

    @task
    async def later() -> str:
        await asyncio.sleep(0)
        return "done"

    @flow(task_runner=SequentialTaskRunner())
    def main() -> None:
        future = where.submit()
        assert future.done()
        assert future.result() == here
        assert later.submit().done()
        assert fail.submit().done()
        assert add.map([1, 2]).result() == [1, 2]

    main()


def test_asynchronous_tasks_run_together_in_one_loop(record: Record) -> None:
    loops: set[int] = set()

    @task
    async def waits() -> None:
        loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0.1)

    @flow
    def main() -> None:
        wait([waits.submit() for _ in range(50)])

    began = time.monotonic()
    main()
    assert time.monotonic() - began < 3
    assert len(loops) == 1


def test_the_older_name_of_the_thread_runner_is_known() -> None:
    assert ConcurrentTaskRunner is ThreadPoolTaskRunner


def test_tasks_are_submitted_outside_flows_too(record: Record) -> None:
    assert add.submit(1, 2).result() == 3
    assert add.map([1, 2]).result() == [1, 2]
    assert all(run.flow_run_id is None for run in record.task_runs())


def test_a_flow_waits_for_what_it_submitted(record: Record) -> None:
    ended = threading.Event()

    @task
    def slow() -> None:
        time.sleep(0.2)
        ended.set()

    @flow
    def main() -> int:
        slow.submit()
        return 1

    assert main() == 1
    assert ended.is_set()
    assert record.task_run().state_name == "Completed"
    assert record.task_run().state.timestamp <= record.flow_run().state.timestamp


def test_when_a_flow_fails_tasks_that_run_come_to_their_end_and_others_do_not_begin(record: Record, gate: Gate) -> None:
    began: list[str] = []

    @task
    def running() -> None:
        gate.wait()

    @task
    def waiting() -> None:
        began.append("waiting")

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def main() -> None:
        running.submit()
        assert gate.arrived.wait(10)
        waiting.submit()
        threading.Timer(0.1, gate.open).start()
        raise ValueError("the flow failed")

    with pytest.raises(ValueError, match="the flow failed"):
        main()
    assert not began
    assert record.task_run("running").state_name == "Completed"
    assert record.task_run("waiting").state_name == "Cancelled"
    assert record.flow_run().state_name == "Failed"


def test_many_tasks_are_submitted_and_mapped(record: Record) -> None:
    @flow
    def main() -> int:
        return sum(add.map(range(1000)).result())

    assert main() == sum(range(1000))
    assert record.count("task_run") == 1000


def test_a_long_chain_of_futures_does_not_need_a_deep_stack(record: Record) -> None:
    @flow
    def main() -> int:
        future = add.submit(0)
        for _ in range(2000):
            future = add.submit(future, 1)
        return future.result(timeout=60)

    assert main() == 2000


def test_a_failure_at_the_start_of_a_chain_is_said_in_few_words_at_its_end(record: Record) -> None:
    @flow
    def main() -> str:
        future = fail.submit()
        for _ in range(12):
            future = add.submit(future, 1)
        future.wait(timeout=10)
        return future.state.name

    assert main() == "NotReady"
    assert [run.state_name for run in record.task_runs("add")] == ["NotReady"] * 12
    assert max(len(run.state.message or "") for run in record.task_runs("add")) < 1000


def test_futures_in_a_frozen_dataclass_are_replaced_by_their_values(record: Record) -> None:
    @dataclass(frozen=True)
    class Order:
        number: Any
        parts: Any = ()

    @task
    def total(order: Order) -> int:
        return order.number + sum(order.parts)

    @flow
    def main() -> tuple[int, int]:
        order = Order(add.submit(1), parts=[add.submit(2), 3])
        results = total(order), total.submit(order).result(timeout=10)
        assert isinstance(order.number, PenstockFuture), "the caller's own object is as it was"
        return results

    assert main() == (6, 6)


# --- threads for everyone --------------------------------------------------------------------------------------------


def test_a_task_gets_a_thread_though_another_was_just_woken_for_the_one_before_it(record: Record) -> None:
    """One that was woken and has not begun yet is not free."""

    @task
    def waits(event: threading.Event) -> bool:
        return event.wait(5)

    @task
    def sets(event: threading.Event) -> None:
        event.set()

    @flow
    def main(event: Any) -> bool:
        add.submit(1).wait()
        first = waits.submit(quote(event))
        sets.submit(quote(event))
        return first.result(timeout=10)

    for _ in range(10):
        assert main(threading.Event())


def test_tasks_that_are_submitted_after_a_finished_one_sleep_together_too(record: Record) -> None:
    @task
    def sleeps() -> None:
        time.sleep(0.2)

    @flow
    def main() -> None:
        add.submit(1).wait()
        with taking_less_than(0.6):
            wait([sleeps.submit() for _ in range(4)])

    main()


def test_a_submitted_coroutine_may_wait_for_another(record: Record) -> None:
    @task
    async def inner(number: int) -> int:
        await asyncio.sleep(0)
        return number + 1

    @task
    async def outer(number: int) -> int:
        return inner.submit(number).result(timeout=5) * 10

    @flow
    def main() -> int:
        return outer.submit(1).result(timeout=10)

    assert main() == 20


def test_asynchronous_tasks_that_block_do_not_wait_for_each_other() -> None:
    freed = threading.Event()

    @task
    async def blocks() -> bool:
        return freed.wait(10)  # not an await: the loop stands still

    @task
    async def frees() -> None:
        freed.set()

    @flow
    def main() -> bool:
        blocked = blocks.submit()
        frees.submit()
        return blocked.result()

    assert main()

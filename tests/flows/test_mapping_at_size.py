"""A million items: a stream takes them as there is room, hands out what is done, and keeps nothing."""

from __future__ import annotations

import os
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock import flow, get_run_logger, task, unmapped
from penstock.domain.stops import CANCEL, Stop
from penstock.engine.context import current
from penstock.exceptions import CancelledRun, DefinitionError, MappingLengthMismatch, MappingMissingIterable
from penstock.futures import PenstockFuture
from penstock.task_runners import ProcessPoolTaskRunner, SequentialTaskRunner, ThreadPoolTaskRunner

from .kit import Gate, Record, names, until


@task
def double(number: int) -> int:
    return number * 2


class Source:
    """Items that say how many were taken, and whether they were closed."""

    def __init__(self, count: int | None = None) -> None:
        self.count = count
        self.taken = 0
        self.closed = False

    def items(self) -> Iterator[int]:
        try:
            while self.count is None or self.taken < self.count:
                self.taken += 1
                yield self.taken - 1
        finally:
            self.closed = True


# --- the stream ------------------------------------------------------------------------------------------------------


def test_futures_come_in_the_order_of_the_items(record: Record) -> None:
    @flow
    def main() -> list[int]:
        return [future.result() for future in double.stream(iter(range(300)))]

    assert main() == [number * 2 for number in range(300)]
    runs = record.task_runs("double")
    assert [run.parameters["number"] for run in runs] == [str(number) for number in range(300)]
    assert {run.state_name for run in runs} == {"Completed"}


def test_unordered_gives_what_is_done_first(record: Record) -> None:
    release = threading.Event()

    @task
    def work(number: int) -> int:
        if number == 0:
            assert release.wait(10)
        return number

    @flow
    def main() -> list[int]:
        found = []
        for value in work.stream(range(5), ordered=False).results():
            found.append(value)
            if len(found) == 4:
                release.set()
        return found

    found = main()
    assert found[-1] == 0
    assert sorted(found) == list(range(5))


def test_no_more_items_are_taken_than_the_window_has_room_for(record: Record) -> None:
    source = Source(1000)

    @flow
    def main() -> None:
        stream = double.stream(source.items(), buffersize=50)
        assert source.taken == 0  # nothing, before somebody asks
        for place, _ in enumerate(stream):
            assert source.taken <= place + 1 + 50
        assert source.taken == 1000

    main()
    assert record.count("task_run") == 1000


def test_an_endless_source_is_left_where_the_consumer_leaves_it(record: Record) -> None:
    source = Source()

    @flow
    def main() -> int:
        with double.stream(source.items(), buffersize=20) as futures:
            for future in futures:
                if future.result() > 100:
                    break
        assert source.closed
        return source.taken

    assert main() < 100
    assert {run.state_name for run in record.task_runs()} == {"Completed"}


def test_what_was_handed_out_is_not_kept(record: Record) -> None:
    class Value:
        pass

    made: list[weakref.ref[Value]] = []

    @task(persist_result=False)
    def make(number: int) -> Value:
        value = Value()
        made.append(weakref.ref(value))
        return value

    @flow
    def main() -> int:
        most = 0
        for future in make.stream(range(500), buffersize=10):
            del future
            most = max(most, sum(ref() is not None for ref in made))
        return most

    assert main() < 40


def test_wait_counts_how_runs_ended(record: Record) -> None:
    @task
    def odd(number: int) -> None:
        if number % 2:
            raise ValueError(number)

    @flow
    def main() -> dict[str, int]:
        return odd.stream(range(10)).wait()

    assert main() == {"Completed": 5, "Failed": 5}
    assert sorted(run.state_name for run in record.task_runs()) == ["Completed"] * 5 + ["Failed"] * 5


def test_a_source_that_fails_fails_the_flow_after_what_it_gave(record: Record) -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("the disk is gone")

    found = []

    @flow
    def main() -> None:
        for value in double.stream(items()).results():
            found.append(value)

    with pytest.raises(OSError, match="the disk is gone"):
        main()
    assert found == [0, 2, 4]
    assert record.flow_run().state_name == "Failed"
    assert "the disk is gone" in (record.flow_run().state.message or "")
    assert {run.state_name for run in record.task_runs()} == {"Completed"}
    assert any("in items" in message for message in record.messages())


def test_a_flow_that_fails_closes_the_source_and_leaves_no_run_open(record: Record) -> None:
    source = Source()
    held = []

    @flow
    def main() -> None:
        stream = double.stream(source.items(), buffersize=30)
        held.append(stream)
        next(stream)
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        main()
    assert source.closed
    assert source.taken <= 31
    assert all(run.state.is_final() for run in record.task_runs())
    taken = source.taken
    list(held[0])  # what was on its way can be had still; nothing more is taken
    assert source.taken == taken


@pytest.mark.parametrize("runner", [ThreadPoolTaskRunner(max_workers=2), ProcessPoolTaskRunner(max_workers=2)])
@pytest.mark.parametrize("chunk_size", [1, 8])
def test_a_cancel_takes_no_more_items_and_ends_the_window(record: Record, runner: Any, chunk_size: int) -> None:
    source = Source()

    @task
    def slow(number: int) -> int:
        time.sleep(0.02)
        return number

    @flow(task_runner=runner)
    def main() -> None:
        context = current.get()
        assert context is not None
        for place, _ in enumerate(slow.stream(source.items(), buffersize=32, chunk_size=chunk_size)):
            if place == 10:
                threading.Thread(target=context.halt, args=(Stop(CANCEL, "Enough."),)).start()

    with pytest.raises(CancelledRun):
        main()
    assert source.closed
    assert record.flow_run().state_name == "Cancelled"
    runs = record.task_runs()
    assert all(run.state.is_final() for run in runs)
    assert {run.state_name for run in runs} <= {"Completed", "Cancelled"}
    # Those that the stopped loop had in its hand, to submit them together, are no runs yet.
    assert source.taken - max(chunk_size, 4) <= len(runs) <= source.taken


def test_a_timeout_of_the_flow_ends_a_stream(record: Record) -> None:
    source = Source()

    @flow(timeout_seconds=0.5)
    def main() -> None:
        double.stream(source.items()).wait()

    with pytest.raises(TimeoutError):
        main()
    assert source.closed
    assert record.flow_run().state_name == "TimedOut"
    assert all(run.state.is_final() for run in record.task_runs())


def test_inputs_are_spread_as_by_map(record: Record) -> None:
    @task
    def add(a: int, b: int, c: int = 0) -> int:
        return a + b + c

    @flow
    def main() -> None:
        later = double.submit(5)
        assert list(add.stream(iter([1, 2]), unmapped(10), c=[100, 200]).results()) == [111, 212]
        assert list(add.stream([1, 2], later).results()) == [11, 12]
        with pytest.raises(MappingMissingIterable, match="stream"):
            add.stream(1, 2)
        with pytest.raises(MappingLengthMismatch, match="2, 3"):
            add.stream([1, 2], [1, 2, 3])
        with pytest.raises(MappingLengthMismatch, match="differ in length"):
            add.stream(iter([1, 2]), iter([1, 2, 3])).wait()
        with pytest.raises(DefinitionError, match="buffersize"):
            add.stream([1], [2], buffersize=0)

    main()


def test_a_stream_ends_a_run_that_stands_in_order(record: Record) -> None:
    @flow(task_runner=SequentialTaskRunner())
    def main() -> list[int]:
        return list(double.stream(range(5), buffersize=2).results())

    assert main() == [0, 2, 4, 6, 8]


def test_outside_of_flows_a_stream_works_as_well(record: Record) -> None:
    assert list(double.stream(iter(range(5))).results()) == [0, 2, 4, 6, 8]


def test_a_flow_that_is_tried_again_does_not_repeat_what_completed(record: Record) -> None:
    done: list[int] = []
    fails = [True]

    @task
    def work(number: int) -> int:
        if number == 30 and fails[0]:
            raise ValueError("not yet")
        done.append(number)
        return number

    @flow(retries=1)
    def main() -> int:
        try:
            return sum(work.stream(iter(range(50)), buffersize=8, chunk_size=4).results())
        finally:
            fails[0] = False

    assert main() == sum(range(50))


# --- chunks ----------------------------------------------------------------------------------------------------------


def test_a_parameter_of_the_tasks_own_comes_before_the_option(record: Record) -> None:
    @task
    def read(path: str, chunk_size: int) -> str:
        return f"{path}:{chunk_size}"

    @flow
    def main() -> None:
        assert read.map(["a", "b"], chunk_size=7).result() == ["a:7", "b:7"]
        assert double.map([1, 2, 3], chunk_size=2).result() == [2, 4, 6]
        with pytest.raises(DefinitionError, match="chunk_size"):
            double.map([1], chunk_size=0)

    main()


@pytest.mark.parametrize("runner", [ThreadPoolTaskRunner(max_workers=2), ProcessPoolTaskRunner(max_workers=2)])
def test_each_item_of_a_chunk_is_a_run_of_its_own(record: Record, runner: Any, tmp_path: Path) -> None:
    @task(retries=1, log_prints=True)
    def work(number: int, folder: str) -> int:
        print(f"item {number}")
        get_run_logger().info("logged %s", number)
        first = Path(folder) / str(number)
        if number % 10 == 3 and not first.exists():
            first.touch()
            raise ValueError("once")
        if number == 17:
            raise KeyError("always")
        return number

    @flow(task_runner=runner)
    def main(folder: str) -> None:
        work.map(range(40), unmapped(folder), chunk_size=10).wait()

    main(str(tmp_path))
    runs = {int(run.parameters["number"]): run for run in record.task_runs()}
    lines = record.lines()
    assert len(runs) == 40
    for number, run in runs.items():
        expected = ["Pending", "Running"]
        if number % 10 == 3 or number == 17:
            expected += ["AwaitingRetry", "Retrying"]
        expected += ["Failed" if number == 17 else "Completed"]
        assert names(run) == expected, number
        messages = [line.message for line in lines if line.task_run_id == run.id]
        assert messages.count(f"item {number}") == run.run_count
        assert messages.count(f"logged {number}") == run.run_count
        # What it wrote lies between its beginning and its end.
        assert messages[-1].startswith("Finished in state")
        assert not any("item" in message and f"item {number}" != message for message in messages)


def test_a_worker_that_dies_in_a_chunk_crashes_one_item(record: Record, tmp_path: Path) -> None:
    @task
    def work(number: int, folder: str) -> int:
        with (Path(folder) / f"{number}").open("a") as file:
            file.write("x")
        if number == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def main(folder: str) -> None:
        work.map(range(20), folder, chunk_size=20).wait()

    main(str(tmp_path))
    times = {int(path.name): len(path.read_text()) for path in tmp_path.glob("[0-9]*")}
    states = {int(run.parameters["number"]): run.state_name for run in record.task_runs()}
    assert states == {number: "Crashed" if number == 5 else "Completed" for number in range(20)}
    assert times == dict.fromkeys(range(20), 1)  # nothing was done twice


@pytest.mark.parametrize("how", ["cancel", "fail"])
def test_the_record_says_of_each_item_whether_its_code_ran(record: Record, tmp_path: Path, how: str) -> None:
    """Also of those that the worker was ahead with when the flow ended."""

    @task
    def work(number: int, folder: str) -> int:
        (Path(folder) / f"{number}").touch()
        if number >= 8:
            time.sleep(0.05)
        (Path(folder) / f"{number}-done").touch()
        return number

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def main(folder: str) -> None:
        context = current.get()
        assert context is not None
        futures = work.map(range(60), folder, chunk_size=60)
        futures[9].wait()
        if how == "fail":
            raise ValueError("enough")
        threading.Thread(target=context.halt, args=(Stop(CANCEL, "Enough."),)).start()
        futures.wait()

    with pytest.raises((CancelledRun, ValueError)):
        main(str(tmp_path))
    done = {int(path.name.removesuffix("-done")) for path in tmp_path.glob("*-done")}
    begun = {int(path.name) for path in tmp_path.glob("[0-9]*") if "-" not in path.name}
    assert 10 <= len(begun) < 60
    for run in record.task_runs():
        number = int(run.parameters["number"])
        if number in done:
            stopped = (run.state.details or {}).get("stopped")
            assert run.state.is_completed() or stopped in ("returned", "raised"), (number, run.state)
        else:
            assert run.state_name == "Cancelled", (number, run.state)


def test_one_item_of_a_chunk_is_cancelled_and_the_others_go_on(record: Record, gate: Gate) -> None:
    from penstock.engine.live import RUNS

    @task
    def work(number: int) -> int:
        if number == 3:
            time.sleep(60)
        return number

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def main() -> list[str]:
        futures = work.map(range(8), chunk_size=8)
        until(lambda: futures[3].state.is_running())
        RUNS[futures[3].task_run_id].halt(Stop(CANCEL, "Not this one."))
        futures.wait()
        return [future.state.name for future in futures]

    main()
    states = {int(run.parameters["number"]): run.state_name for run in record.task_runs()}
    assert states == {number: "Cancelled" if number == 3 else "Completed" for number in range(8)}


def test_a_thread_that_hangs_does_not_keep_the_rest_of_its_chunk(record: Record, gate: Gate) -> None:
    """Its item is over at its limit, and another thread takes the others."""
    stuck = threading.Lock()
    stuck.acquire()

    @task(timeout_seconds=0.2)
    def work(number: int) -> int:
        if number == 1:
            stuck.acquire()
        return number

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def main() -> list[str]:
        futures = work.map(range(4), chunk_size=4)
        futures.wait(10)
        names = [future.state.name for future in futures]
        stuck.release()
        return names

    main()
    states = [run.state_name for run in record.task_runs()]
    assert states == ["Completed", "TimedOut", "Completed", "Completed"]


# --- futures ---------------------------------------------------------------------------------------------------------


def test_a_future_that_is_done_keeps_all_that_is_known_of_its_run_in_few_bytes(record: Record) -> None:
    kept: list[PenstockFuture[int]] = []

    @flow
    def main() -> None:
        future = double.submit(21)
        assert future.result() == 42
        kept.append(future)

    main()
    (future,) = kept
    run = record.task_run()
    assert future.task_run_id == run.id
    assert future.task_run.name == run.name == "double-0"
    assert future.task_run.states == run.states
    assert future.task_run.parameters == run.parameters == {"number": "21"}
    assert isinstance(future._run, bytes)
    assert len(future._run) < 500

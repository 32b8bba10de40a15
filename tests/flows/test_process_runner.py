"""Tasks in worker processes, of this machine, of Dask and of Ray: the same record as in threads, and what only
processes can promise, stopping anything. Each test that runs its tasks by `in_processes` is put to all three."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from penstock import connect, flow, get_run_context, get_run_logger, tags, task
from penstock.context import FlowRunContext
from penstock.domain.errors import CrashedRun, DefinitionError, SerializationError
from penstock.flow_runs import cancel_task_run
from penstock.protocol import concurrency_limits as asked
from penstock.runtime import flow_run, task_run
from penstock.settings import PENSTOCK_TASK_RUNNER_PROCESS_POOL_MAX_WORKERS, temporary_settings
from penstock.task_runners import DaskTaskRunner, ProcessPoolTaskRunner, RayTaskRunner

from .kit import Programs, Record, names, no_children_left, taking_less_than, until

KINDS = ("process", "dask", "ray")
# The kind that the test at hand is put to; and clusters of Dask, by how many workers they have.
_kind = "process"
_clusters: dict[int, Any] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "in_processes" in metafunc.function.__code__.co_names:
        metafunc.parametrize("kind", KINDS, indirect=True)


def in_processes(body: Callable[[], Any], workers: int = 1, **options: Any) -> Any:
    """Runs a function as a flow with that many worker processes."""
    return flow(name="f", task_runner=_runner(workers), **options)(body)()


def _runner(workers: int) -> Any:
    if _kind == "process":
        return ProcessPoolTaskRunner(workers)
    if _kind == "ray":
        return RayTaskRunner()
    from distributed import LocalCluster

    if workers not in _clusters:
        _clusters[workers] = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0")
    return DaskTaskRunner(cluster=_clusters[workers])


@pytest.fixture(autouse=True)
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Whatever a test does, its workers are gone when its flow is over, and nothing has to be reaped. (On a cluster
    they are the cluster's to keep.)"""
    global _kind
    _kind = getattr(request, "param", "process")
    if _kind == "ray":
        request.getfixturevalue("ray_cluster")
    with no_children_left() if _kind == "process" else contextlib.nullcontext():
        yield _kind
    _kind = "process"


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module", autouse=True)
def clusters_end() -> Iterator[None]:
    yield
    while _clusters:
        _clusters.popitem()[1].close()


class Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle this on purpose")


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# --- values ----------------------------------------------------------------------------------------------------------


def test_a_task_runs_in_another_process_and_its_value_comes_back(record: Record) -> None:
    @task
    def where(x: int) -> tuple[int, int]:
        return x, os.getpid()

    value, pid = in_processes(lambda: where.submit(7).result())
    assert value == 7
    assert pid != os.getpid()
    assert names(record.task_run()) == ["Pending", "Running", "Completed"]


def test_many_tasks_share_a_few_warm_workers(record: Record) -> None:
    @task
    def where(x: int) -> tuple[int, int]:
        return x, os.getpid()

    found = in_processes(lambda: where.map(range(100)).result(), workers=2)
    assert [x for x, _ in found] == list(range(100))
    assert len({pid for _, pid in found}) <= 2
    assert {run.state_name for run in record.task_runs()} == {"Completed"}
    assert len(record.task_runs()) == 100


def test_tasks_of_every_colour_give_their_values(record: Record) -> None:
    @task
    async def asynchronous() -> str:
        await asyncio.sleep(0)
        return "async"

    @task
    def generator() -> Iterator[int]:
        yield from range(3)

    @task
    async def asynchronous_generator() -> Any:
        for item in range(3):
            await asyncio.sleep(0)
            yield item

    def body() -> list[Any]:
        submitted = [asynchronous.submit(), generator.submit(), asynchronous_generator.submit()]
        return [future.result() for future in submitted]

    assert in_processes(body) == ["async", [0, 1, 2], [0, 1, 2]]


def test_a_task_has_the_main_thread_of_its_worker(record: Record) -> None:
    @task
    def handle() -> str:
        before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # works on the main thread only
        signal.signal(signal.SIGUSR1, before)
        return threading.current_thread().name

    assert in_processes(lambda: handle.submit().result()) == "MainThread"


def test_large_arguments_and_results_travel(record: Record) -> None:
    @task
    def twice(data: bytes) -> bytes:
        return data * 2

    data = os.urandom(3_000_000)
    assert in_processes(lambda: twice.submit(data).result()) == data * 2


def test_results_of_tasks_are_arguments_of_others(record: Record) -> None:
    @task
    def add(a: int, b: int) -> int:
        return a + b

    assert in_processes(lambda: add.submit(add.submit(1, 2), add.submit(3, 4)).result(), workers=2) == 10


def test_a_module_of_a_program_is_imported_and_keeps_what_cannot_be_pickled(
    programs: Programs, tmp_path: Path, record: Record
) -> None:
    (tmp_path / "etl.py").write_text(
        "import threading\n"
        "from penstock import flow, task\n"
        "lock = threading.Lock()\n"
        "calls = []\n"
        "@task\n"
        "def load(x):\n"
        "    with lock:\n"
        "        calls.append(x)\n"
        "    return len(calls)\n"
    )
    done = programs.run(
        """
        from penstock import flow
        from penstock.task_runners import ProcessPoolTaskRunner
        from etl import load

        @flow(task_runner=ProcessPoolTaskRunner(1))
        def main():
            print([load.submit(x).result() for x in range(3)], load.with_options(name="other").submit(1).result())

        main()
        """
    )
    assert done.code == 0, done.stderr
    assert done.stdout.split("\n")[0] == "[1, 2, 3] 4"


def test_a_script_needs_no_main_guard_and_runs_once(programs: Programs, record: Record) -> None:
    done = programs.run(
        """
        import os
        from dataclasses import dataclass
        from penstock import flow, task
        from penstock.task_runners import ProcessPoolTaskRunner

        print("top level")

        @dataclass
        class Point:
            x: int

        FACTOR = 3

        @task
        def scale(point):
            return Point(point.x * FACTOR)

        @flow(task_runner=ProcessPoolTaskRunner(2))
        def main():
            return scale.map([Point(x) for x in range(4)]).result()

        print(main() == [Point(0), Point(3), Point(6), Point(9)])
        """
    )
    assert done.code == 0, done.stderr
    assert done.stdout == "top level\nTrue\n"


# --- what a task knows, and what it records --------------------------------------------------------------------------


def test_a_task_knows_its_run_its_flow_run_and_their_parameters(record: Record) -> None:
    @task(task_run_name="named-{x}", tags=["of-task"])
    def look(x: int) -> dict[str, Any]:
        context = get_run_context()
        above = FlowRunContext.get()
        assert above is not None
        return {
            "id": context.task_run.id,  # type: ignore[union-attr]
            "task": context.task.name,  # type: ignore[union-attr]
            "name": task_run.name,
            "parameters": task_run.parameters,
            "tags": set(task_run.tags),
            "flow": above.flow.name,
            "flow_id": flow_run.id,
            "flow_name": flow_run.name,
            "flow_parameters": flow_run.parameters,
        }

    @flow(task_runner=ProcessPoolTaskRunner(1))
    def looking(day: str) -> dict[str, Any]:
        with tags("of-block"):
            return look.submit(5).result()

    found = looking("Monday")
    run, above = record.task_run(), record.flow_run()
    assert found == {
        "id": run.id,
        "task": "look",
        "name": "named-5",
        "parameters": {"x": 5},
        "tags": {"of-task", "of-block"},
        "flow": "looking",
        "flow_id": str(above.id),
        "flow_name": above.name,
        "flow_parameters": {"day": "Monday"},
    }


def test_tasks_and_subflows_called_in_a_worker_are_recorded_below_their_task(record: Record) -> None:
    @task
    def leaf(x: int) -> int:
        return x + 1

    @flow
    def below(x: int) -> int:
        return leaf(x) + leaf.submit(x).result()

    @task
    def branch(x: int) -> int:
        return leaf(x) + below(x) + leaf.submit(x).result()

    assert in_processes(lambda: branch.map([1, 2]).result(), workers=2) == [8, 12]
    top, branches = record.flow_run("f"), {run.id: run for run in record.task_runs("branch")}
    subflows = {run.id: run for run in record.flow_runs("below")}
    assert len(branches) == len(subflows) == 2
    assert {run.state_name for run in record.task_runs()} == {"Completed"}
    for run in subflows.values():
        assert run.state_name == "Completed"
        assert run.flow_run_id == run.root_flow_run_id == top.id
        assert run.parent_task_run_id in branches
    leaves = record.task_runs("leaf")
    of_top = [run for run in leaves if run.flow_run_id == top.id]
    assert len(leaves) == 8
    assert len(of_top) == 4
    assert all(run.parent_task_run_id in branches for run in of_top)
    assert len({run.name for run in of_top}) == 4
    assert all(run.flow_run_id in subflows for run in leaves if run not in of_top)


def test_a_subflow_in_a_worker_may_have_workers_of_its_own(record: Record) -> None:
    @task
    def where() -> int:
        return os.getpid()

    @flow(task_runner=ProcessPoolTaskRunner(1))
    def below() -> tuple[int, int]:
        return os.getpid(), where.submit().result()

    @task
    def branch() -> tuple[int, int]:
        return below()

    inner = in_processes(lambda: branch.submit().result())
    assert len({os.getpid(), *inner}) == 3
    assert {run.state_name for run in (*record.flow_runs(), *record.task_runs())} == {"Completed"}
    assert len({line.seq for line in record.lines(record.flow_run("below"))}) == len(
        record.lines(record.flow_run("below"))
    )


def test_tasks_that_failed_in_a_worker_count_in_their_flow(record: Record) -> None:
    @task
    def leaf() -> None:
        raise ValueError

    @task
    def branch() -> None:
        leaf(return_state=True)

    in_processes(lambda: branch.submit().wait())
    assert record.flow_run().state.message == "1/2 states failed."


def test_tasks_left_running_in_a_worker_end_before_their_task_does(record: Record) -> None:
    @task
    def slow() -> None:
        time.sleep(0.2)

    @task
    def careless() -> None:
        slow.submit()

    in_processes(lambda: careless.submit().wait())
    (inner,), (outer,) = record.task_runs("slow"), record.task_runs("careless")
    assert inner.state_name == "Completed"
    assert inner.end_time is not None
    assert outer.end_time is not None
    assert inner.end_time <= outer.end_time


def test_prints_and_logger_lines_of_workers_are_in_the_log_in_order(record: Record, capfd: Any) -> None:
    @task(log_prints=True)
    def talk(x: int) -> None:
        for number in range(20):
            print(f"{x}: print {number}")
            get_run_logger().warning("%s: line %s", x, number)
        print("no end", end="")

    in_processes(lambda: talk.map(range(3)).wait(), workers=2)
    lines = record.lines()
    assert len({line.seq for line in lines}) == len(lines)
    expected = [text for n in range(20) for text in (f"print {n}", f"line {n}")]
    for run in record.task_runs():
        x = run.parameters["x"]
        said = [line.message for line in lines if line.task_run_id == run.id]
        assert said[:-2] == [f"{x}: {text}" for text in expected]
        assert said[-2:] == ["no end", "Finished in state Completed()"]
    (printed,) = [line for line in lines if line.message == "1: print 3"]
    assert (printed.function, printed.level) == ("talk", 20)
    assert printed.file is not None
    assert printed.file.endswith("test_process_runner.py")
    shown = capfd.readouterr().err
    assert shown.count("1: line 7") == 1
    assert shown.count("1: print 7") == 1


def test_what_a_process_said_last_before_it_died_is_heard(record: Record) -> None:
    @task(log_prints=True)
    def last_words() -> None:
        print("these are my last words")
        os._exit(3)

    in_processes(lambda: last_words.submit().wait())
    assert "these are my last words" in record.messages()


def test_lines_of_processes_that_a_task_forks_are_in_the_log(record: Record) -> None:
    @task(log_prints=True)
    def forking() -> int:
        pid = os.fork()
        if pid == 0:
            print("from the fork")
            from penstock import connect

            connect.disconnect()
            os._exit(0)
        return os.waitpid(pid, 0)[1]

    assert in_processes(lambda: forking.submit().result()) == 0
    assert "from the fork" in record.messages()
    assert len({line.seq for line in record.lines()}) == len(record.lines())


def test_settings_of_the_flow_hold_in_its_workers(record: Record) -> None:
    @task
    def look() -> tuple[int | None, bool]:
        value = PENSTOCK_TASK_RUNNER_PROCESS_POOL_MAX_WORKERS.value()
        return value, get_run_context().log_prints

    overrides = {"task_runner_process_pool_max_workers": 1, "logging_log_prints": True}
    with temporary_settings(overrides):
        assert flow(name="f", task_runner=ProcessPoolTaskRunner())(lambda: look.submit().result())() == (1, True)


def test_cached_values_are_found_without_a_worker(record: Record) -> None:
    @task(cache_key_fn=lambda context, parameters: "one key")
    def where() -> int:
        return os.getpid()

    first, second = in_processes(lambda: [where.submit().result(), where.submit().result()])
    assert first == second
    assert [run.state_name for run in record.task_runs()] == ["Completed", "Cached"]


def test_hooks_run_in_the_process_of_the_flow(record: Record) -> None:
    seen = []

    def hook(task: Any, run: Any, state: Any) -> None:
        seen.append((os.getpid(), state.name))

    @task(on_failure=[hook])
    def boom() -> None:
        raise ValueError("boom")

    in_processes(lambda: boom.submit().wait())
    assert seen == [(os.getpid(), "Failed")]


# --- failures --------------------------------------------------------------------------------------------------------


class Awkward(Exception):
    """Cannot be rebuilt from its args, as many exceptions of libraries cannot."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


def test_the_exception_of_the_code_is_raised_with_the_workers_traceback(record: Record) -> None:
    @task
    def boom() -> None:
        raise KeyError("gone") from OSError("disk")

    def body() -> None:
        with pytest.raises(KeyError, match="gone") as caught:
            boom.submit().result()
        assert isinstance(caught.value.__cause__, OSError)
        (note,) = caught.value.__notes__
        assert "in boom" in note
        assert 'raise KeyError("gone")' in note

    in_processes(body)
    failed = next(line for line in record.messages() if "failed with exception" in line)
    assert 'raise KeyError("gone")' in failed


def test_an_exception_that_pickle_cannot_rebuild_keeps_its_class(record: Record) -> None:
    @task
    def boom() -> None:
        raise Awkward(404, "not found")

    def body() -> None:
        with pytest.raises(Awkward, match="404: not found") as caught:
            boom.submit().result()
        assert caught.value.code == 404

    in_processes(body)


def test_an_exception_that_cannot_be_sent_is_told_as_text(record: Record) -> None:
    @task
    def boom() -> None:
        raise ValueError("the reason", threading.Lock())

    def body() -> None:
        with pytest.raises(RuntimeError, match=r"ValueError: .*the reason") as caught:
            boom.submit().result()
        assert "in boom" in caught.value.__notes__[0]

    in_processes(body)


def test_an_argument_that_cannot_be_sent_is_named(record: Record) -> None:
    @task
    def take(a: int, thing: Any) -> None: ...

    def body() -> None:
        with pytest.raises(SerializationError, match=r"Parameter 'thing' of task 'take' is a .*Unpicklable"):
            take.submit(1, thing=Unpicklable()).result()
        take.submit(1, 2).result()

    in_processes(body)
    assert [run.state_name for run in record.task_runs()] == ["Failed", "Completed"]


def test_a_result_that_cannot_be_sent_is_named(record: Record) -> None:
    @task
    def make() -> Any:
        return threading.Lock()

    def body() -> None:
        with pytest.raises(SerializationError, match=r"Task 'make' was run, but its result is a _thread\.lock"):
            make.submit().result()

    in_processes(body)


def test_a_function_that_cannot_be_sent_is_named(record: Record) -> None:
    lock = threading.Lock()

    @task
    def locked() -> None:
        with lock:
            pass

    def body() -> None:
        with pytest.raises(SerializationError, match="Task 'locked' cannot be sent to a worker process"):
            locked.submit().result()

    in_processes(body)


def test_sys_exit_in_a_worker_is_the_tasks_affair_only(record: Record) -> None:
    @task
    def leave(code: int) -> int:
        if code:
            raise SystemExit(code)
        return os.getpid()

    def body() -> None:
        leave.submit(3).wait()
        assert leave.submit(0).result() != os.getpid()

    in_processes(body)
    assert str(record.task_runs()[0].state) == "Crashed('Execution was aborted by sys.exit(3).')"


@pytest.mark.parametrize("wrong", [0, -1, True, "2", 1.5])
def test_a_wrong_number_of_workers_is_refused_where_it_is_written(wrong: Any) -> None:
    with pytest.raises(DefinitionError, match="max_workers of ProcessPoolTaskRunner"):
        ProcessPoolTaskRunner(wrong)


# --- workers that die ------------------------------------------------------------------------------------------------


def test_a_killed_worker_makes_its_run_crashed_and_others_go_on(record: Record, tmp_path: Path) -> None:
    @task
    def work(x: int) -> int:
        if x == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    def body() -> list[Any]:
        return [future.result(raise_on_failure=False) for future in work.map(range(6))]

    results = in_processes(body, workers=2)
    assert isinstance(results[1], CrashedRun)
    assert [x for x in results if not isinstance(x, CrashedRun)] == [0, 2, 3, 4, 5]
    (crashed,) = [run for run in record.task_runs() if run.state_name == "Crashed"]
    assert "was killed by SIGKILL (was the machine out of memory?) while it ran task 'work'" in str(crashed.state)


def test_a_worker_that_exits_is_named_with_its_exit_code(record: Record) -> None:
    @task
    def leave() -> None:
        os._exit(17)

    in_processes(lambda: leave.submit().wait())
    assert "ended with exit code 17 while it ran task 'leave'" in str(record.task_run().state)


def test_a_crash_is_tried_again_like_a_failure(record: Record, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    @task(retries=2)
    def work() -> str:
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGSEGV)
        return "done"

    assert in_processes(lambda: work.submit().result()) == "done"
    assert names(record.task_run()) == ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed"]


def test_runs_that_a_dead_worker_had_begun_are_closed(record: Record) -> None:
    @task
    def leaf() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @flow
    def below() -> None:
        leaf()

    @task
    def branch() -> None:
        below()

    in_processes(lambda: branch.submit().wait())
    assert {run.task_name: run.state_name for run in record.task_runs()} == {"branch": "Crashed", "leaf": "Crashed"}
    assert record.flow_run("below").state_name == "Crashed"
    assert record.flow_run("f").state_name == "Completed"


def test_an_idle_worker_that_dies_is_replaced_without_a_word(record: Record) -> None:
    @task
    def where() -> int:
        return os.getpid()

    def body() -> None:
        first = where.submit().result()
        psutil.Process(first).kill()
        until(lambda: gone(first))
        assert where.submit().result() != first

    in_processes(body)
    assert {run.state_name for run in record.task_runs()} == {"Completed"}


# --- stopping --------------------------------------------------------------------------------------------------------


def test_a_timeout_stops_a_blocking_call_and_the_next_task_has_its_place(record: Record, kind: str) -> None:
    @task(timeout_seconds=0.5)
    def sleepy() -> None:
        time.sleep(30)

    @task
    def where() -> int:
        return os.getpid()

    def body() -> tuple[int, int]:
        before = where.submit().result()
        with taking_less_than(5):
            sleepy.submit().wait()
        return before, where.submit().result()

    before, after = in_processes(body)
    if kind == "process":  # over a network the gentle end may take longer than there is time for
        assert before == after  # it stopped gently, so it could be used again
    (run,) = record.task_runs("sleepy")
    assert str(run.state) == "TimedOut('Task run exceeded timeout of 0.5 second(s)')"
    assert "in sleepy" in run.state.details["where"]  # type: ignore[index]
    assert 0.4 < run.total_run_time.total_seconds() < 2


def test_code_that_will_not_stop_is_killed_with_what_it_started(record: Record, tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    @task(timeout_seconds=1)
    def stubborn() -> None:
        child = subprocess.Popen(["sleep", "1000"])
        pids.write_text(f"{os.getpid()} {child.pid}")
        while True:
            try:
                time.sleep(30)
            except BaseException:
                continue

    @task
    def where() -> int:
        return os.getpid()

    def body() -> int:
        with taking_less_than(5):
            stubborn.submit().wait()
        return where.submit().result()

    with temporary_settings({"PENSTOCK_STOP_GRACE_SECONDS": "0.3"}):
        after = in_processes(body)
    killed = [int(text) for text in pids.read_text().split()]
    assert after not in killed
    assert record.task_runs("stubborn")[0].state_name == "TimedOut"
    until(lambda: all(map(gone, killed)))


def test_a_cancel_reaches_the_code_and_the_record_proves_it(record: Record) -> None:
    @task
    def sleepy() -> None:
        time.sleep(60)

    def body() -> None:
        future = sleepy.submit()
        until(lambda: [run for run in record.task_runs() if run.state_name == "Running"])
        with taking_less_than(10):
            cancel_task_run(record.task_run().id, wait=True, timeout=20)
            future.wait()

    in_processes(body)
    (run,) = record.task_runs()
    assert run.state_name == "Cancelled"
    assert run.state.details["confirmed"] is True  # type: ignore[index]
    assert run.state.details["stopped"] in ("raised", "gone", "idle")  # type: ignore[index]


def test_limits_of_tags_hold(record: Record) -> None:
    connect.call(asked.CREATE_LIMIT, asked.CreateLimit(name="tag:scarce", limit=1))

    @task(tags=["scarce"])
    def spans(n: int) -> tuple[float, float]:
        began = time.time()
        time.sleep(0.1)
        return began, time.time()

    found = sorted(in_processes(lambda: spans.map(range(4)).result(), workers=2))
    assert all(before[1] <= after[0] for before, after in pairwise(found))


def test_finally_blocks_run_when_a_task_is_stopped(record: Record) -> None:
    @task(timeout_seconds=0.3, log_prints=True)
    def careful() -> None:
        try:
            time.sleep(30)
        finally:
            print("cleaned up")

    in_processes(lambda: careful.submit().wait())
    assert "cleaned up" in record.messages()


def test_each_retry_of_a_task_that_timed_out_has_its_full_time(record: Record, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    @task(timeout_seconds=0.4, retries=1)
    def sometimes() -> str:
        if not mark.exists():
            mark.touch()
            time.sleep(30)
        time.sleep(0.1)
        return "done"

    assert in_processes(lambda: sometimes.submit().result()) == "done"
    assert names(record.task_run()) == ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed"]


def test_starting_a_worker_does_not_count_as_the_tasks_time(record: Record) -> None:
    @task(timeout_seconds=0.08)
    def quick() -> str:
        return "done"

    assert in_processes(lambda: quick.submit().result()) == "done"


def test_the_end_of_a_flow_ends_what_its_workers_do(record: Record) -> None:
    @task
    def leaf() -> None:
        time.sleep(30)

    @task
    def branch() -> None:
        leaf()

    def body() -> None:
        branch.submit()
        until(lambda: record.task_runs("leaf"))

    with taking_less_than(15):
        state = flow(name="f", timeout_seconds=2.5, task_runner=ProcessPoolTaskRunner(1))(body)(return_state=True)
    assert state.name == "TimedOut"
    assert {run.task_name: run.state_name for run in record.task_runs()} == {"branch": "Cancelled", "leaf": "Cancelled"}


INTERRUPTED = """
    import os, time
    from penstock import flow, task
    from penstock.task_runners import ProcessPoolTaskRunner

    @task
    def gentle():
        open(os.environ["MARKS"] + f"/{os.getpid()}", "w").close()
        time.sleep(1000)

    @task
    def stubborn():
        open(os.environ["MARKS"] + f"/{os.getpid()}", "w").close()
        while True:
            try:
                time.sleep(1000)
            except BaseException:
                pass

    @flow(task_runner=ProcessPoolTaskRunner(2))
    def main():
        gentle.submit()
        stubborn.submit()

    main()
"""


def started(programs: Programs, folder: Path, **settings: str) -> tuple[subprocess.Popen[str], list[int]]:
    """The program with two tasks at work, and the processes of these."""
    folder.mkdir()
    process = programs.start(INTERRUPTED, MARKS=str(folder), **settings)
    until(lambda: len(list(folder.iterdir())) == 2)
    return process, [int(path.name) for path in folder.iterdir()]


def test_ctrl_c_ends_a_script_and_all_its_workers(programs: Programs, record: Record, tmp_path: Path) -> None:
    process, pids = started(programs, tmp_path / "marks", PENSTOCK_STOP_GRACE_SECONDS="1")
    process.send_signal(signal.SIGINT)
    with taking_less_than(10):
        done = programs.finish(process)
    assert done.code != 0
    assert "KeyboardInterrupt" in done.stderr
    until(lambda: all(map(gone, pids)))
    assert {run.task_name: run.state_name for run in record.task_runs()} == {
        "gentle": "Cancelled",
        "stubborn": "Cancelled",
    }
    assert record.flow_run().state_name == "Cancelled"


def test_workers_do_not_outlive_a_flow_that_was_killed(programs: Programs, tmp_path: Path) -> None:
    process, pids = started(programs, tmp_path / "marks")
    process.kill()
    process.communicate()
    until(lambda: all(map(gone, pids)))


def test_workers_end_with_their_flow_run(record: Record, kind: str) -> None:
    if kind != "process":
        pytest.skip("a cluster's workers are kept for a while, for the next flow run")

    @task
    def where(x: int) -> int:
        return os.getpid()

    pids = in_processes(lambda: where.map(range(10)).result(), workers=2)
    until(lambda: all(map(gone, pids)))
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("penstock-process")])

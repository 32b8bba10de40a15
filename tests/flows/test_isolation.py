"""`isolation="process"`: however a task is called, its code is in another process, which can be stopped whatever it
does; and the record says how it stopped."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from penstock import flow, get_run_context, get_run_logger, task
from penstock.domain.errors import CrashedRun, DefinitionError, SerializationError, TaskRunTimeoutError
from penstock.domain.stops import Stop
from penstock.engine.context import FlowRunContext
from penstock.flows.runners import isolation
from penstock.settings import temporary_settings
from penstock.task_runners import ProcessPoolTaskRunner, SequentialTaskRunner, ThreadPoolTaskRunner

from .kit import Programs, Record, names, no_children_left, taking_less_than, until


@pytest.fixture(autouse=True)
def no_workers_left(disconnected: None) -> Iterator[None]:
    """Each test has workers of its own."""
    with no_children_left():
        yield
        isolation.close()


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where code in other processes leaves signs."""
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def mark(folder: Path, name: str = "begun") -> None:
    """The sign is whole when it is there."""
    (folder / f"{name}.tmp").write_text(str(os.getpid()))
    (folder / f"{name}.tmp").rename(folder / name)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@task(isolation="process")
def where() -> int:
    return os.getpid()


@task(isolation="process")
async def where_awaiting() -> int:
    await asyncio.sleep(0)
    return os.getpid()


# --- every way of calling --------------------------------------------------------------------------------------------


@flow
def directly() -> int:
    return where()


@flow
def submitting() -> int:
    return where.submit().result()


@flow
def mapping() -> int:
    return twice_where.map([1]).result()[0]


@flow
def in_subflow() -> int:
    return directly()


@flow
async def awaiting() -> int:
    return await where_awaiting()


@flow
async def calling_in_coroutine() -> int:
    return where()


@flow
def submitting_asynchronous() -> int:
    return where_awaiting.submit().result()


@task(isolation="process")
def twice_where(x: int) -> int:
    return os.getpid()


WAYS: dict[str, Callable[[], int]] = {
    "directly": directly,
    "submit": submitting,
    "map": mapping,
    "subflow": in_subflow,
    "no flow": where,
    "no flow, submitted": lambda: where.submit().result(),
    "no flow, awaited": lambda: asyncio.run(where_awaiting()),
    "awaited": lambda: asyncio.run(awaiting()),
    "in a coroutine": lambda: asyncio.run(calling_in_coroutine()),
    "asynchronous, submitted": submitting_asynchronous,
    "one after the other": lambda: submitting.with_options(task_runner=SequentialTaskRunner())(),
    "asynchronous, one after the other": lambda: submitting_asynchronous.with_options(
        task_runner=SequentialTaskRunner()
    )(),
    "process pool": lambda: submitting.with_options(task_runner=ProcessPoolTaskRunner(1))(),
}


@pytest.mark.parametrize("way", WAYS)
def test_however_it_is_called_the_code_is_in_another_process(record: Record, way: str) -> None:
    assert WAYS[way]() != os.getpid()
    assert names(record.task_run()) == ["Pending", "Running", "Completed"]


def test_a_worker_stays_warm_between_calls_and_flow_runs(record: Record) -> None:
    assert len({where(), directly(), submitting(), in_subflow(), asyncio.run(awaiting())}) == 1


def test_code_has_the_main_thread_of_its_process_and_knows_its_run(record: Record) -> None:
    @task(isolation="process", log_prints=True)
    def look(x: int) -> tuple[Any, ...]:
        print("printed", x)
        get_run_logger().info("logged")
        context = get_run_context()
        above = FlowRunContext.get()
        assert above is not None
        return threading.current_thread().name, context.run.id, context.parameters, above.run.id

    @flow
    def looking() -> tuple[Any, ...]:
        return look(5)

    found = looking()
    run, above = record.task_run(), record.flow_run()
    assert found == ("MainThread", run.id, {"x": 5}, above.id)
    said = [line.message for line in record.lines() if line.task_run_id == run.id]
    assert said[:2] == ["printed 5", "logged"]


def test_folder_environment_and_globals_are_those_of_the_moment(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factor = 1

    @task(isolation="process")
    def look() -> tuple[str, str | None, int]:
        return os.getcwd(), os.environ.get("OF_TEST"), factor

    @flow
    def looking() -> tuple[str, str | None, int]:
        return look()

    before = looking()
    factor = 2
    with monkeypatch.context() as changed:
        changed.chdir(tmp_path)
        changed.setenv("OF_TEST", "é")
        assert looking() == (str(tmp_path), "é", 2)
    factor = 1
    assert looking() == before


def test_isolated_tasks_inside_isolated_tasks_have_processes_of_their_own(record: Record) -> None:
    @task(isolation="process")
    def outer() -> tuple[int, int]:
        return os.getpid(), where()

    assert len({os.getpid(), *outer()}) == 3
    assert {run.state_name for run in record.task_runs()} == {"Completed"}


def test_as_many_are_at_work_as_there_are_workers_and_other_tasks_go_on(record: Record, marks: Path) -> None:
    @task(isolation="process", timeout_seconds=1.5)  # to wait for a worker does not count
    def work(x: int) -> int:
        mark(marks, f"{x}")
        until(lambda: (marks / f"go{x}").exists())
        return os.getpid()

    @task
    def other() -> str:
        return "done"

    @flow(task_runner=ThreadPoolTaskRunner())
    def working() -> list[int]:
        futures = [work.submit(x) for x in range(3)]
        until(lambda: len(list(marks.glob("[0-9]"))) == 2)
        assert other.submit().result() == "done"
        direct = threading.Thread(target=lambda: found.append(work(3)))
        found: list[int] = []
        direct.start()
        time.sleep(0.1)
        assert len(list(marks.glob("[0-9]"))) == 2
        for x in range(4):
            mark(marks, f"go{x}")
        direct.join()
        return [*found, *[future.result() for future in futures]]

    with temporary_settings({"task_runner_process_pool_max_workers": 2}):
        assert len(set(working())) == 2


def test_idle_workers_end(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "IDLE_SECONDS", 0.2)
    first = where()
    until(lambda: gone(first))
    assert where() != first


# --- what cannot be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["fork", "", True, 1])
def test_a_wrong_isolation_is_refused_where_it_is_written(wrong: Any) -> None:
    with pytest.raises(DefinitionError, match=r"isolation of task 'f' must be \"process\", \"thread\" or None"):
        task(name="f", isolation=wrong)(lambda: None)


@pytest.mark.parametrize("as_usual", [None, "thread"])
def test_isolation_can_be_taken_back(record: Record, as_usual: Any) -> None:
    assert where.with_options(isolation=as_usual)() == os.getpid()
    assert task(isolation=as_usual)(os.getpid)() == os.getpid()


def test_a_generator_cannot_be_isolated() -> None:
    with pytest.raises(DefinitionError, match=r"is a generator.*Return a list, or leave out isolation"):

        @task(isolation="process")
        def items() -> Iterator[int]:
            yield 1


class Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle this on purpose")


def test_an_argument_that_cannot_be_sent_is_named_with_what_to_do(record: Record) -> None:
    @task(isolation="process")
    def take(thing: Any) -> None: ...

    with pytest.raises(SerializationError, match=r"Parameter 'thing' of task 'take'.*leave out isolation"):
        take(Unpicklable())
    assert record.task_run().state_name == "Failed"


@pytest.mark.parametrize("fatal", [signal.SIGKILL, signal.SIGSEGV, None])
def test_the_death_of_a_worker_is_a_crash_and_is_tried_again(record: Record, marks: Path, fatal: int | None) -> None:
    @task(isolation="process", retries=1)
    def fragile() -> str:
        if (marks / "begun").exists():
            return "done"
        mark(marks)
        if fatal is None:
            os._exit(3)
        os.kill(os.getpid(), fatal)
        return "not killed"

    assert fragile() == "done"
    assert names(record.task_run()) == ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed"]
    (marks / "begun").unlink()
    with pytest.raises(CrashedRun, match="while it ran task 'fragile'"):
        fragile.with_options(retries=0)()
    assert record.task_runs()[-1].state_name == "Crashed"


# --- limits ----------------------------------------------------------------------------------------------------------


def blocking() -> None:
    time.sleep(60)


def swallowing() -> None:
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue


def holding_the_interpreter() -> None:
    re.match(r"(a+)+$", "a" * 64 + "b")


@pytest.mark.parametrize("code", [blocking, swallowing, holding_the_interpreter])
def test_a_direct_call_is_released_at_the_deadline(record: Record, code: Callable[[], None], marks: Path) -> None:
    @task(isolation="process", timeout_seconds=0.4)
    def stuck() -> None:
        mark(marks)
        code()

    with temporary_settings({"stop_grace_seconds": 0.4}):
        where()
        began = time.monotonic()
        with pytest.raises(TaskRunTimeoutError, match=r"Task run exceeded timeout of 0\.4 second"):
            stuck()
        assert time.monotonic() - began < 1.5
        run = record.task_run("stuck")
        assert names(run) == ["Pending", "Running", "TimedOut"]
        if code is blocking:
            assert run.state.details is not None
            assert run.state.details["stopped"] == "raised"
            assert run.state.details["confirmed"] is True
            assert "in blocking" in run.state.details["where"]
            return
        assert run.state.details is not None
        assert run.state.details["stopped"] == "abandoned"
        assert run.state.details["confirmed"] is False
        until(lambda: gone(int((marks / "begun").read_text())))
        details = until(lambda: (d := record.task_run("stuck").state.details) and d["confirmed"] and d)
        assert details["stopped"] == "killed"
        assert details["seconds_to_stop"] >= 0.4


def test_cleaning_up_may_take_the_grace_and_the_worker_can_be_used_again(record: Record, marks: Path) -> None:
    @task(isolation="process", timeout_seconds=0.2, log_prints=True)
    def careful() -> None:
        try:
            time.sleep(60)
        finally:
            time.sleep(0.3)
            print("cleaned up")
            mark(marks)

    @flow
    def main() -> None:
        careful(return_state=True)
        assert not (marks / "begun").exists()

    first = where()
    main(return_state=True)
    details = until(lambda: (d := record.task_run("careful").state.details) and d["confirmed"] and d)
    assert details["stopped"] == "raised"
    assert (marks / "begun").read_text() == str(first)
    assert "cleaned up" in record.messages()
    until(lambda: where() == first)


def test_the_next_attempt_has_a_fresh_worker_while_the_last_one_still_ends(record: Record, marks: Path) -> None:
    @task(isolation="process", timeout_seconds=0.5, retries=1)
    def sometimes() -> int:
        if not (marks / "begun").exists():
            mark(marks)
            swallowing()
        return os.getpid()

    with temporary_settings({"task_runner_process_pool_max_workers": 1}):
        second = sometimes()
    first = int((marks / "begun").read_text())
    assert first != second
    assert not gone(first)
    assert names(record.task_run()) == ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed"]


def test_what_a_worker_imports_for_a_task_does_not_count(programs: Programs, record: Record, tmp_path: Path) -> None:
    (tmp_path / "heavy.py").write_text(
        "import os, time\n"
        "from penstock import task\n"
        "if os.environ['MAIN'] != str(os.getpid()): time.sleep(0.6)\n"
        "@task(isolation='process', timeout_seconds=0.5)\n"
        "def quick(): return 'done'\n"
    )
    done = programs.run(
        """
        import os
        os.environ["MAIN"] = str(os.getpid())
        from heavy import quick
        print(quick())
        """
    )
    assert done.stdout == "done\n", done.stderr


# --- other stops -----------------------------------------------------------------------------------------------------


def stop_when_begun(marks: Path, context: Any, stop: Stop) -> threading.Thread:
    def work() -> None:
        until(lambda: (marks / "begun").exists())
        context.halt(stop)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.parametrize("submitted", [False, True])
def test_cancelling_a_flow_waits_for_the_grace_and_kills_all_processes(
    record: Record, marks: Path, submitted: bool
) -> None:
    @task(isolation="process")
    def stubborn() -> None:
        child = subprocess.Popen(["sleep", "1000"])
        mark(marks, str(child.pid))
        mark(marks)
        swallowing()

    @flow
    def main() -> None:
        stopper = stop_when_begun(marks, get_run_context(), Stop("cancel", "Cancelled by a test.", grace=0.3))
        try:
            if submitted:
                stubborn.submit().wait()
            else:
                stubborn()
        finally:
            stopper.join()

    with taking_less_than(5):
        assert main(return_state=True).name == "Cancelled"
    run = record.task_run()
    assert run.state_name == "Cancelled"
    pids = [int(path.read_text() if path.name == "begun" else path.name) for path in marks.iterdir()]
    until(lambda: all(map(gone, pids)))
    assert run.state.details is not None
    assert run.state.details["stopped"] == "killed"
    assert run.state.details["confirmed"] is True


def test_cancelled_code_may_clean_up(record: Record, marks: Path) -> None:
    @task(isolation="process")
    def careful() -> None:
        try:
            mark(marks)
            time.sleep(60)
        finally:
            time.sleep(0.2)
            mark(marks, "cleaned")

    @flow
    def main() -> None:
        stopper = stop_when_begun(marks, get_run_context(), Stop("cancel", "Cancelled by a test."))
        try:
            careful()
        finally:
            stopper.join()

    assert main(return_state=True).name == "Cancelled"
    assert (marks / "cleaned").exists()
    details = record.task_run().state.details
    assert details is not None
    assert details["stopped"] == "raised"


def test_the_loop_goes_on_while_an_isolated_task_is_awaited(record: Record, marks: Path) -> None:
    @task(isolation="process")
    async def wait_for_sign() -> str:
        mark(marks)
        while not (marks / "go").exists():
            time.sleep(0.005)  # it blocks its own loop, and no other
        return "done"

    @flow
    async def main() -> str:
        waiting = asyncio.ensure_future(wait_for_sign())
        while not (marks / "begun").exists():
            await asyncio.sleep(0.005)
        mark(marks, "go")
        return await waiting

    assert asyncio.run(main()) == "done"


def test_cancelling_the_asyncio_task_stops_the_code_and_awaits_its_end(record: Record, marks: Path) -> None:
    @task(isolation="process")
    async def careful() -> None:
        try:
            mark(marks)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.2)
            mark(marks, "cleaned")

    async def main() -> None:
        waiting = asyncio.ensure_future(careful())
        while not (marks / "begun").exists():
            await asyncio.sleep(0.005)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (marks / "cleaned").exists()

    asyncio.run(main())
    assert record.task_run().state_name == "Cancelled"


def test_a_call_that_waits_for_a_worker_can_be_cancelled(record: Record, marks: Path) -> None:
    @task(isolation="process")
    async def hold() -> str:
        mark(marks)
        until(lambda: (marks / "go").exists())
        return "done"

    async def main() -> None:
        first = asyncio.ensure_future(hold())
        while not (marks / "begun").exists():
            await asyncio.sleep(0.005)
        second = asyncio.ensure_future(where_awaiting())
        while not (runs := record.task_runs("where_awaiting")) or runs[0].state_name != "Running":
            await asyncio.sleep(0.005)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        mark(marks, "go")
        assert await first == "done"
        await where_awaiting()  # the place is free again

    with temporary_settings({"task_runner_process_pool_max_workers": 1}):
        asyncio.run(main())
    cancelled, completed = record.task_runs("where_awaiting")
    assert (cancelled.state_name, completed.state_name) == ("Cancelled", "Completed")
    assert cancelled.state.details is not None
    assert cancelled.state.details["reason"] == "cancel"


# --- the end of the program ------------------------------------------------------------------------------------------

STUCK = """
    import os, re, subprocess, sys, time
    from penstock import flow, task

    def swallowing():
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass

    def holding_the_interpreter():
        re.match(r"(a+)+$", "a" * 64 + "b")

    @task(isolation="process", timeout_seconds=float(sys.argv[2]))
    def stuck():
        child = subprocess.Popen(["sleep", "1000"])
        open(os.environ["MARKS"] + f"/{child.pid}", "w").close()
        open(os.environ["MARKS"] + f"/{os.getpid()}", "w").close()
        {"swallowing": swallowing, "holding_the_interpreter": holding_the_interpreter}[sys.argv[1]]()

    @flow
    def main():
        stuck(return_state=True)

    main(return_state=True)
"""


@pytest.mark.parametrize("code", ["swallowing", "holding_the_interpreter"])
def test_stopped_code_does_not_outlive_the_program(programs: Programs, record: Record, marks: Path, code: str) -> None:
    with taking_less_than(15):  # the grace is longer
        done = programs.run(STUCK, code, 0.5, MARKS=str(marks))
    assert done.code == 0, done.stderr
    pids = [int(path.name) for path in marks.iterdir()]
    until(lambda: all(map(gone, pids)))
    details = record.task_run().state.details
    assert details is not None
    assert (details["stopped"], details["confirmed"]) == ("killed", True)


@pytest.mark.parametrize("code", ["swallowing", "holding_the_interpreter"])
def test_isolated_code_does_not_outlive_a_program_that_was_killed(programs: Programs, marks: Path, code: str) -> None:
    process = programs.start(STUCK, code, 1000, MARKS=str(marks))
    until(lambda: len(list(marks.iterdir())) == 2)
    process.kill()
    process.communicate()
    until(lambda: all(gone(int(path.name)) for path in marks.iterdir()))

"""Ctrl-C, sys.exit and other ends of a program leave a truthful record."""

from __future__ import annotations

import signal
import subprocess

import pytest

from penstock import connect
from penstock.engine.results import StoredResult

from .kit import Finished, Programs, Record, names

START = """
import asyncio, os, signal, sys, threading, time
from penstock import flow, task

begun = threading.Event()

def ready():
    sys.stdout.write("ready\\n")  # in one piece, whoever else writes
    sys.stdout.flush()
    begun.set()

@task
def waits():
    ready()
    time.sleep(30)

"""


def interrupted(programs: Programs, text: str, ready: int = 1) -> Finished:
    """Runs a program until it has said so often that it is ready, and sends it what Ctrl-C does."""
    process: subprocess.Popen[str] = programs.start(START + text)
    assert process.stdout is not None
    for _ in range(ready):
        assert process.stdout.readline() == "ready\n"
    return programs.tell(process, signal.SIGINT, timeout=15)


def ended_by_ctrl_c(done: Finished) -> None:
    assert done.code == -signal.SIGINT, done.stderr
    assert done.stderr.rstrip().endswith("KeyboardInterrupt"), done.stderr
    assert "attempts.py" not in done.stderr, done.stderr  # where we made it is nobody's affair


def test_ctrl_c_in_a_flow_cancels_it_and_ends_the_program_as_it_would_without_us(
    programs: Programs, record: Record
) -> None:
    done = interrupted(
        programs,
        """
@flow
def main():
    try:
        ready()
        time.sleep(30)
    finally:
        print("cleaned up", flush=True)

main()
print("went on")
""",
    )
    ended_by_ctrl_c(done)
    assert done.stdout == "cleaned up\n"
    run = record.flow_run()
    assert names(run) == ["Pending", "Running", "Cancelled"]
    assert "Ctrl-C" in (run.state.message or "")


def test_ctrl_c_in_a_task_cancels_it_and_its_flow(programs: Programs, record: Record) -> None:
    done = interrupted(
        programs,
        """
@flow
def main():
    waits()

main()
""",
    )
    ended_by_ctrl_c(done)
    assert record.task_run().state_name == "Cancelled"
    assert record.flow_run().state_name == "Cancelled"


def test_ctrl_c_in_a_task_outside_flows_cancels_it(programs: Programs, record: Record) -> None:
    ended_by_ctrl_c(interrupted(programs, "waits()"))
    assert record.task_run().state_name == "Cancelled"


def test_ctrl_c_while_a_flow_waits_cancels_what_it_submitted(programs: Programs, record: Record) -> None:
    done = interrupted(
        programs,
        """
@task
def later(value): ...

@flow
def main():
    futures = [waits.submit() for _ in range(3)]
    later.submit(futures[0])
    futures[0].result()

main()
""",
        ready=3,
    )
    ended_by_ctrl_c(done)
    assert record.flow_run().state_name == "Cancelled"
    assert {run.state_name for run in record.task_runs("waits")} == {"Cancelled"}
    assert record.task_run("later").state_name in ("Cancelled", "NotReady")


def test_ctrl_c_in_a_subflow_cancels_all_above_it(programs: Programs, record: Record) -> None:
    done = interrupted(
        programs,
        """
@flow
def below():
    waits()

@flow
def above():
    below()

above()
""",
    )
    ended_by_ctrl_c(done)
    assert [run.state_name for run in record.flow_runs()] == ["Cancelled", "Cancelled"]


def test_ctrl_c_in_an_asynchronous_flow_cancels_it(programs: Programs, record: Record) -> None:
    done = interrupted(
        programs,
        """
@task
async def waits_async():
    ready()
    await asyncio.sleep(30)

@flow
async def main():
    await waits_async()

asyncio.run(main())
""",
    )
    ended_by_ctrl_c(done)
    assert record.task_run().state_name == "Cancelled"
    assert record.flow_run().state_name == "Cancelled"


def test_a_flow_that_handles_ctrl_c_is_cancelled_all_the_same(programs: Programs, record: Record) -> None:
    done = interrupted(
        programs,
        """
@flow
def main():
    try:
        ready()
        time.sleep(30)
    except KeyboardInterrupt:
        return "handled"

main()
""",
    )
    assert done.code != 0
    assert record.flow_run().state_name == "Cancelled"


def test_a_program_with_its_own_ctrl_c_keeps_its_way(programs: Programs, record: Record) -> None:
    done = interrupted(
        programs,
        """
stop = threading.Event()
signal.signal(signal.SIGINT, lambda *_: stop.set())

@flow
def main():
    ready()
    assert stop.wait(20)
    return "stopped in its own way"

print(main())
""",
    )
    assert done.code == 0, done.stderr
    assert "stopped in its own way" in done.stdout
    assert record.flow_run().state_name == "Completed"


def test_handlers_are_the_programs_own_again_after_a_flow(programs: Programs) -> None:
    done = programs.run(
        START
        + """
before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGURG, signal.SIGTERM)}

@flow
def main():
    pass

@flow
def fails():
    raise ValueError

main()
fails(return_state=True)
asyncio.run(flow(lambda: None).fn() or asyncio.sleep(0))
assert before == {number: signal.getsignal(number) for number in before}
"""
    )
    assert done.code == 0, done.stderr


@pytest.mark.parametrize("where", ["flow", "task"])
@pytest.mark.parametrize(("argument", "code"), [("", 0), ("3", 3), ("'words'", 1)])
def test_sys_exit_is_recorded_as_a_crash_and_ends_the_program_with_its_code(
    where: str, argument: str, code: int, programs: Programs, record: Record
) -> None:
    done = programs.run(
        START
        + f"""
def exits():
    sys.exit({argument})

@task
def work():
    {"exits()" if where == "task" else "pass"}

@flow
def main():
    work()
    exits()

main()
"""
    )
    assert done.code == code, done.stderr
    run = record.flow_run()
    assert run.state_name == "Crashed"
    assert "sys.exit" in (run.state.message or "")
    assert record.task_run().state_name == ("Crashed" if where == "task" else "Completed")


def test_sys_exit_in_a_flow_ends_what_it_submitted(programs: Programs, record: Record) -> None:
    done = programs.run(
        START
        + """
@flow
def main():
    waits.submit()
    assert begun.wait(10)
    sys.exit(3)

main()
""",
        timeout=10,
    )
    assert done.code == 3, done.stderr
    assert record.flow_run().state_name == "Crashed"
    assert record.task_run().state_name == "Cancelled"


def test_sys_exit_in_a_submitted_task_ends_the_task_only(programs: Programs, record: Record) -> None:
    done = programs.run(
        START
        + """
@task
def exits():
    sys.exit(3)

@flow
def main():
    future = exits.submit()
    future.wait()
    return future.state.name

assert main() == "Crashed"
"""
    )
    assert done.code == 0, done.stderr
    assert record.task_run().state_name == "Crashed"
    assert record.flow_run().state_name == "Completed"


def test_what_was_printed_just_before_the_end_is_in_the_log(programs: Programs, record: Record) -> None:
    done = programs.run(
        START
        + """
@flow(log_prints=True)
def main():
    for number in range(100):
        print("line", number)
    sys.exit(1)

main()
"""
    )
    assert done.code == 1
    said = [message for message in record.messages() if message.startswith("line")]
    assert said == [f"line {number}" for number in range(100)]


def test_an_error_at_the_top_of_the_program_comes_after_a_recorded_flow(programs: Programs, record: Record) -> None:
    done = programs.run(
        START
        + """
@flow
def main():
    raise ValueError("boom")

main()
"""
    )
    assert done.code == 1
    assert done.stderr.rstrip().endswith("ValueError: boom")
    assert record.flow_run().state_name == "Failed"


def test_facts_of_a_daemon_like_end_are_recorded_at_exit(programs: Programs, record: Record) -> None:
    """A task outside flows is a fact that nobody asked about: the exit of the program is what records it."""
    done = programs.run(
        START
        + """
@task
def quick():
    return 1

quick()
""",
        PENSTOCK_JOURNAL_INTERVAL_SECONDS="30",
    )
    assert done.code == 0, done.stderr
    assert record.task_run().state_name == "Completed"


def test_a_program_ends_though_an_abandoned_thread_goes_on(programs: Programs, record: Record) -> None:
    done = programs.run(
        START
        + """
@task(timeout_seconds=0.2)
def blocks():
    threading.Event().wait()

@flow
def main():
    blocks.submit().wait()

main()
""",
        timeout=10,
    )
    assert done.code == 0, done.stderr
    assert record.task_run().state_name == "TimedOut"


def test_a_broken_pipe_is_not_the_runs_fault(programs: Programs, record: Record) -> None:
    process = programs.start(
        START
        + """
@flow
def main():
    ready()
    sys.stdin.close()
    time.sleep(0.2)
    for _ in range(100):
        quick()
    return 1

@task
def quick():
    pass

main()
os._exit(0)
"""
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "ready\n"
    process.stderr.close()
    process.stderr = None
    done = programs.finish(process)
    assert done.code == 0
    assert record.flow_run().state_name == "Completed"


def test_a_forked_child_that_returns_from_the_task_does_not_end_the_parents_run(
    programs: Programs, record: Record
) -> None:
    done = programs.run(
        START
        + """
@task
def forks():
    pid = os.fork()
    if pid == 0:
        return "the child's"
    os.waitpid(pid, 0)
    return "the parent's"

@flow
def main():
    return forks()

main()
""",
        timeout=15,
    )
    assert done.code == 0, done.stderr
    for run in (record.task_run(), record.flow_run()):
        assert names(run) == ["Pending", "Running", "Completed"]
        assert StoredResult(run.result, run.name, connect.vault()).load() == "the parent's"


def test_many_threads_are_stopped_at_once(programs: Programs, record: Record) -> None:
    done = programs.run(
        START
        + """
from penstock.exceptions import FlowRunTimeoutError
from penstock.task_runners import ThreadPoolTaskRunner

begun = threading.Semaphore(0)

@task
def sleeps():
    begun.release()
    time.sleep(30)

@flow(timeout_seconds=0.3, task_runner=ThreadPoolTaskRunner(max_workers=20))
def main():
    for future in [sleeps.submit() for _ in range(20)]:
        future.wait()

start = time.monotonic()
try:
    main()
except FlowRunTimeoutError:
    assert time.monotonic() - start < 1.5, time.monotonic() - start
    assert all(begun.acquire(blocking=False) for _ in range(20)), "all had begun"
    print("timed out")
""",
        timeout=15,
    )
    assert (done.code, done.stdout) == (0, "timed out\n"), done.stderr
    assert record.flow_run().state_name == "TimedOut"
    assert [run.state_name for run in record.task_runs()] == ["Cancelled"] * 20

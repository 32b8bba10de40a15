"""Programs that are told to end, that do not let themselves be told, and that are ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from penstock import cancel_flow_run

from .kit import Finished, Programs, Record, names, until

START = """
import asyncio, os, re, signal, subprocess, sys, threading, time
from penstock import flow, task

def ready():
    sys.stdout.write("ready\\n")  # in one piece, whoever else writes
    sys.stdout.flush()

def swallow(seconds=30):
    end, told = time.monotonic() + seconds, False
    while time.monotonic() < end:
        try:
            if not told:
                told = True
                ready()
            time.sleep(0.01)
        except BaseException:
            continue

"""


def begun(programs: Programs, text: str, ready: int = 1, **settings: str) -> subprocess.Popen[str]:
    """A program that has said so often that it is ready."""
    process: subprocess.Popen[str] = programs.start(START + text, **settings)
    assert process.stdout is not None
    for _ in range(ready):
        assert process.stdout.readline() == "ready\n"
    return process


def told(programs: Programs, number: int, text: str, ready: int = 1, **settings: str) -> Finished:
    process = begun(programs, text, ready, **settings)
    return programs.tell(process, number)


# --- SIGTERM ---------------------------------------------------------------------------------------------------------


def test_sigterm_stops_the_run_records_it_and_ends_the_program_as_it_would_without_us(
    programs: Programs, record: Record
) -> None:
    done = told(
        programs,
        signal.SIGTERM,
        """
@task
def beside():
    ready()
    while True:
        time.sleep(0.01)

@flow(on_crashed=[lambda flow, run, state: print("hooked", flush=True)])
def main():
    beside.submit()
    try:
        ready()
        time.sleep(30)
    finally:
        print("cleaned up", flush=True)

main()
print("went on")
""",
        ready=2,
    )
    assert done.code == -signal.SIGTERM
    assert done.stdout == "cleaned up\nhooked\n"
    run = record.flow_run()
    assert names(run) == ["Pending", "Running", "Crashed"]
    assert run.state.message == "Terminated by SIGTERM."
    assert run.state.details is not None
    assert (run.state.details["reason"], run.state.details["stopped"]) == ("shutdown", "raised")
    assert record.task_run().state_name == "Cancelled"


def test_sigterm_reaches_a_coroutine(programs: Programs, record: Record) -> None:
    done = told(
        programs,
        signal.SIGTERM,
        """
@flow
async def main():
    ready()
    await asyncio.sleep(30)

asyncio.run(main())
""",
    )
    assert done.code == -signal.SIGTERM
    assert record.flow_run().state.message == "Terminated by SIGTERM."


def test_a_program_with_its_own_sigterm_keeps_its_way(programs: Programs, record: Record) -> None:
    done = told(
        programs,
        signal.SIGTERM,
        """
done = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: done.set())

@flow
def main():
    ready()
    while not done.is_set():
        time.sleep(0.01)

main()
assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
""",
    )
    assert done.code == 0, done.stderr
    assert record.flow_run().state_name == "Completed"


def test_after_a_flow_sigterm_is_the_programs_again(programs: Programs) -> None:
    done = programs.run(
        START
        + """
@flow
def main(): ...

before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGURG)
main()
assert before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGURG))
"""
    )
    assert done.code == 0, done.stderr


# --- Ctrl-C ----------------------------------------------------------------------------------------------------------


def test_ctrl_c_in_asyncio_is_recorded_as_what_it_is(programs: Programs, record: Record) -> None:
    done = told(
        programs,
        signal.SIGINT,
        """
@task
async def waits():
    ready()
    await asyncio.sleep(30)

@flow
async def main():
    await asyncio.gather(waits(), waits())

asyncio.run(main())
""",
        ready=2,
    )
    assert done.code == -signal.SIGINT, done.stderr
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
    for run in (record.flow_run(), *record.task_runs()):
        assert run.state_name == "Cancelled"
        assert (run.state.details or {})["reason"] == "interrupt"


def test_a_second_ctrl_c_ends_the_program_whatever_its_code_does(
    programs: Programs, record: Record, tmp_path: Path
) -> None:
    process = begun(
        programs,
        f"""
@task
def stubborn():
    child = subprocess.Popen(["sleep", "100"])
    open({str(tmp_path / "child")!r}, "w").write(str(child.pid))
    swallow()

@flow
def main():
    stubborn()

main()
""",
    )
    process.send_signal(signal.SIGINT)
    until(lambda: "Cancelled" not in record.flow_run().state_name)
    time.sleep(0.1)  # two that come at once are one to the system
    process.send_signal(signal.SIGINT)
    done = programs.finish(process, timeout=15)
    assert done.code == 130
    for run in (record.flow_run(), record.task_run()):
        assert run.state_name == "Cancelled"
        assert (run.state.details or {})["confirmed"] is True
        assert (run.state.details or {})["stopped"] == "killed"
    child = int((tmp_path / "child").read_text())
    until(lambda: not os.path.exists(f"/proc/{child}"))


def test_what_a_second_ctrl_c_kills_is_not_left_stopped_when_the_main_thread_is_at_its_end_first(
    programs: Programs, tmp_path: Path
) -> None:
    """Processes are stopped before they are killed; the thread that does it must not end in between."""
    process = begun(
        programs,
        f"""
from penstock.infrastructure import process as processes

really = processes.send

def slowly(process, number):
    if number == signal.SIGKILL:
        time.sleep(1.0)
    really(process, number)

processes.send = slowly

@flow
def main():
    child = subprocess.Popen(["sleep", "100"])
    open({str(tmp_path / "child")!r}, "w").write(str(child.pid))
    try:
        ready()
        time.sleep(30)
    except KeyboardInterrupt:
        ready()
        time.sleep(0.6)
        raise

main()
""",
    )
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert programs.finish(process, timeout=15).code == 130
    child = int((tmp_path / "child").read_text())
    until(lambda: not os.path.exists(f"/proc/{child}"))


@pytest.mark.parametrize("times", [1, 3])
def test_sigterm_leaves_code_alone_that_cleans_up_after_a_cancellation(
    times: int, programs: Programs, record: Record, tmp_path: Path
) -> None:
    """Who launched a run that is cancelled signals it as well, a moment after it was told by the record."""
    process = begun(
        programs,
        f"""
@flow
def main():
    try:
        ready()
        time.sleep(30)
    finally:
        ready()
        for _ in range(30):
            time.sleep(0.02)
        open({str(tmp_path / "clean")!r}, "w").close()

main()
""",
    )
    cancel_flow_run(record.flow_run().id)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for _ in range(times):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.05)  # several at once are one to the system
    programs.finish(process, timeout=15)
    assert (tmp_path / "clean").exists()
    assert record.flow_run().state_name == "Cancelled"


# --- code that keeps the interpreter to itself -----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["direct", "flow"])
def test_a_regular_expression_is_interrupted_at_its_deadline(how: str, programs: Programs, record: Record) -> None:
    """It lets no other thread run; but it looks for signals, of which the watchdog sends one."""
    done = programs.run(
        START
        + f"""
@task(timeout_seconds=0.5)
def work():
    re.match(r"(a+)+$", "a" * 40 + "b")

@flow(timeout_seconds=0.5 if {how == "flow"} else None)
def main():
    work() if {how == "direct"} else re.match(r"(a+)+$", "a" * 40 + "b")

try:
    main()
except TimeoutError as error:
    print(error)
""",
        timeout=30,
    )
    assert "exceeded timeout" in done.stdout, done.stderr
    run = record.task_run() if how == "direct" else record.flow_run()
    assert run.state_name == "TimedOut"
    assert (run.state.details or {})["stopped"] == "raised"
    assert (run.state.details or {})["where"].split(" in ")[1] in ("work", "main")


def test_native_code_that_never_looks_up_is_recorded_at_the_deadline_and_killed_after_the_grace(
    programs: Programs, record: Record
) -> None:
    done = programs.run(
        START
        + """
@task(timeout_seconds=0.5)
def work():
    sum(range(10**12))

@flow
def main():
    work()

main()
""",
        timeout=30,
        PENSTOCK_STOP_GRACE_SECONDS="0.5",
    )
    assert done.code == -signal.SIGKILL
    until(lambda: record.flow_run().state.is_final())
    assert "did not stop within 0.5 s" in done.stderr
    task, flow = record.task_run(), record.flow_run()
    assert task.state_name == "TimedOut"
    assert task.end_time is not None
    assert task.start_time is not None
    assert (task.end_time - task.start_time).total_seconds() < 5  # the promise is 0.6; the machine may be busy
    assert (task.state.details or {})["stopped"] == "killed"
    assert (task.state.details or {})["confirmed"] is True
    assert flow.state_name == "Crashed"
    assert "did not stop" in (flow.state.message or "")


def test_code_that_swallows_everything_is_ended_with_its_program_after_the_grace(
    programs: Programs, record: Record
) -> None:
    done = programs.run(
        START
        + """
@flow(timeout_seconds=0.3)
def main():
    swallow()

main()
""",
        timeout=30,
        PENSTOCK_STOP_GRACE_SECONDS="0.5",
    )
    assert done.code == -signal.SIGKILL
    until(lambda: (record.flow_run().state.details or {}).get("confirmed"))
    run = record.flow_run()
    assert names(run) == ["Pending", "Running", "TimedOut"]
    assert (run.state.details or {})["stopped"] == "killed"


def test_where_nothing_may_be_killed_nothing_is(programs: Programs, record: Record) -> None:
    done = programs.run(
        START
        + """
@flow(timeout_seconds=0.3)
def main():
    swallow(2.5)
    return "late"

try:
    main()
except TimeoutError:
    print("went on")
""",
        timeout=30,
        PENSTOCK_STOP_GRACE_SECONDS="0.3",
        PENSTOCK_STOP_KILL="false",
    )
    assert done.code == 0, done.stderr
    assert done.stdout.endswith("went on\n")
    run = record.flow_run()
    assert names(run) == ["Pending", "Running", "TimedOut"]
    assert (run.state.details or {})["stopped"] == "returned"
    assert (run.state.details or {})["confirmed"] is True  # said when the code had ended, which took long


# --- death -----------------------------------------------------------------------------------------------------------


def test_a_program_that_is_killed_is_recorded_without_anybody_asking(programs: Programs, record: Record) -> None:
    process = begun(
        programs,
        """
@task(timeout_seconds=60)
def work():
    ready()
    time.sleep(60)

@flow
def main():
    work()

main()
""",
    )
    until(lambda: record.task_runs())
    process.kill()
    process.wait()
    until(lambda: record.flow_run().state.is_final())  # nothing here closes runs: only the watchdog does
    assert record.flow_run().state_name == "Crashed"
    assert record.task_run().state_name == "Crashed"


def test_code_that_cleans_up_is_not_told_to_stop_a_second_time(programs: Programs, record: Record) -> None:
    done = programs.run(
        START
        + """
@task(timeout_seconds=0.3)
def work():
    try:
        time.sleep(30)
    finally:
        began = time.monotonic()
        while time.monotonic() < began + 0.5:
            time.sleep(0.01)
        print("cleaned up", flush=True)

@flow
def main():
    work(return_state=True)

main()
"""
    )
    assert done.stdout == "cleaned up\n", done.stderr
    until(lambda: (record.task_run().state.details or {}).get("confirmed"))
    assert (record.task_run().state.details or {})["stopped"] in ("raised", "returned")


def test_code_that_a_terminated_program_left_behind_is_confirmed_to_be_gone(programs: Programs, record: Record) -> None:
    done = told(
        programs,
        signal.SIGTERM,
        """
@task
def stuck():
    ready()
    time.sleep(30)

@flow
def main():
    stuck.submit()
    ready()
    time.sleep(30)

main()
""",
        ready=2,
    )
    assert done.code == -signal.SIGTERM
    details = record.task_run().state.details or {}
    assert details["confirmed"] is True
    assert details["stopped"] in ("gone", "raised")  # it may have been told before it slept


def test_hooks_of_a_cancelled_flow_that_used_up_its_grace_are_run_to_their_end(
    programs: Programs, record: Record
) -> None:
    process = begun(
        programs,
        """
def hook(flow, run, state):
    time.sleep(0.5)
    print("hooked", flush=True)

@flow(on_cancellation=[hook])
def main():
    swallow()

main()
""",
        PENSTOCK_STOP_GRACE_SECONDS="1",
    )
    run = until(lambda: record.flow_runs())[0]
    cancel_flow_run(run.id, grace=1.0)
    done = programs.finish(process, timeout=20)
    assert done.code == -signal.SIGKILL
    assert done.stdout == "hooked\n"
    until(lambda: (record.flow_run().state.details or {}).get("confirmed"))
    assert record.flow_run().state_name == "Cancelled"

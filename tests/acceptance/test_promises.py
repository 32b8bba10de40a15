"""What README and docs/timeouts.md say of stopping and of prints, where that differs from the field."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import SOURCE, Ended, Record

Run = Callable[..., Ended]
Script = Callable[[str], Any]

HEAD = """
import asyncio, json, os, subprocess, sys, threading, time
from penstock import flow, task

def sleep():
    time.sleep(3)

def child():
    subprocess.run(["sleep", "3"])

def loop():
    end = time.monotonic() + 3
    while time.monotonic() < end:
        pass

def swallow():
    end = time.monotonic() + 3
    while time.monotonic() < end:
        try:
            time.sleep(0.02)
        except Exception:
            pass

def swallow_all():
    end = time.monotonic() + 3
    while time.monotonic() < end:
        try:
            time.sleep(0.02)
        except BaseException:
            pass
    return "a late value"

def recorded(state, started):
    "seconds until the record was closed"
    return state.timestamp.timestamp() - started
"""


@pytest.fixture
def script(run: Run, tmp_path: Path) -> Script:
    """Runs a script after HEAD; gives what it printed last, as JSON."""

    def script(text: str) -> Any:
        path = tmp_path / "script.py"
        path.write_text(HEAD + textwrap.dedent(text), encoding="utf-8")
        ended = run(path, PENSTOCK_LOGGING_TO_CONSOLE="false")
        assert ended.code == 0, ended.err
        return json.loads(ended.out.splitlines()[-1])

    return script


# The code would take 3 seconds, its timeout is 0.5. A busy machine may be late; it is not to be 1.5 seconds late.
SOON = 2.0

# (what the code does, how it is called, whether the code itself ends so soon; before the caller goes on, where the
# record says that this is confirmed)
STOPS = [
    ("sleep", "called", True),
    ("child", "called", True),
    ("loop", "called", True),
    ("swallow", "called", True),
    ("sleep", "submitted", False),
    ("child", "submitted", True),
    ("loop", "submitted", True),
    ("swallow", "submitted", True),
    ("swallow_all", "submitted", False),
]


@pytest.mark.parametrize(("code", "how", "code_ended"), STOPS)
def test_a_task_is_stopped_at_its_deadline(script: Script, code: str, how: str, code_ended: bool) -> None:
    name, record_after, caller_after, ended = script(f"""
        ended = []

        @task(timeout_seconds=0.5)
        def limited():
            try:
                {code}()
            finally:
                ended.append(True)

        @flow
        def main():
            started, clock = time.time(), time.monotonic()
            state = limited(return_state=True) if {how == "called"} else limited.submit(return_state=True)
            after = time.monotonic() - clock
            # (Where the machine is so busy that the record goes on before the code, it says so.)
            unknown = {how == "submitted"} and not state.details["confirmed"]
            while unknown and not ended and time.monotonic() < clock + {SOON}:
                time.sleep(0.01)
            return state.name, recorded(state, started), after, bool(ended)

        print(json.dumps(main()))
    """)

    assert name == "TimedOut"
    assert 0.5 <= record_after < SOON
    assert 0.5 <= caller_after < SOON
    assert ended is code_ended


def test_code_that_cannot_be_stopped_loses_its_run_and_its_value(script: Script, record: Record) -> None:
    name, record_after, caller_after, value = script("""
        @task(timeout_seconds=0.5)
        def limited():
            return swallow_all()

        @flow
        def main():
            started, clock = time.time(), time.monotonic()
            state = limited(return_state=True)
            after = time.monotonic() - clock
            return state.name, recorded(state, started), after, str(state.result(raise_on_failure=False))

        print(json.dumps(main()))
    """)

    assert (name, value) == ("TimedOut", "Task run exceeded timeout of 0.5 second(s)")
    assert record_after < SOON
    assert caller_after >= 2.9  # it was called in the flow's own thread, which it kept
    assert record.task_runs() == [("limited-0", "FAILED", "TimedOut")]


def test_in_a_process_code_that_refuses_to_stop_is_killed(script: Script, tmp_path: Path) -> None:
    survived = tmp_path / "survived"
    name, caller_after = script(f"""
        from penstock.task_runners import ProcessPoolTaskRunner

        @task(timeout_seconds=0.5)
        def limited():
            swallow_all()
            open({str(survived)!r}, "w")

        @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
        def main():
            warm.submit().wait()
            clock = time.monotonic()
            return limited.submit(return_state=True).name, time.monotonic() - clock

        os.environ["PENSTOCK_STOP_GRACE_SECONDS"] = "0.5"

        @task
        def warm():
            pass

        result = main()
        time.sleep(3)
        print(json.dumps(result))
    """)

    assert name == "TimedOut"
    assert caller_after < SOON
    assert not survived.exists()


@pytest.mark.parametrize("body", ["await asyncio.sleep(3)", "time.sleep(3)"], ids=["awaiting", "blocking"])
def test_a_coroutine_is_stopped_whether_it_awaits_or_blocks(script: Script, body: str) -> None:
    name, record_after, caller_after = script(f"""
        @task(timeout_seconds=0.5)
        async def limited():
            {body}

        @flow
        async def main():
            started, clock = time.time(), time.monotonic()
            state = await limited(return_state=True)
            return state.name, recorded(state, started), time.monotonic() - clock

        print(json.dumps(asyncio.run(main())))
    """)

    assert name == "TimedOut"
    assert record_after < SOON
    assert caller_after < SOON


def test_a_flow_does_not_outlive_its_timeout_for_a_task_that_blocks(script: Script, record: Record) -> None:
    name, after = script("""
        @task
        def blocks():
            time.sleep(3)

        @flow(timeout_seconds=0.5)
        def main():
            blocks.submit().wait()

        clock = time.monotonic()
        print(json.dumps([main(return_state=True).name, time.monotonic() - clock]))
    """)

    assert name == "TimedOut"
    assert after < SOON
    assert record.task_runs() == [("blocks-0", "CANCELLED", "Cancelled")]


def test_a_timeout_error_of_the_authors_own_is_an_ordinary_failure(script: Script) -> None:
    assert (
        script("""
        @task
        def raises():
            raise TimeoutError("mine")

        @flow
        def main():
            raises()

        print(json.dumps(main(return_state=True).name))
    """)
        == "Failed"
    )


@pytest.mark.parametrize("seconds", ["-1", "True", "float('nan')", "float('inf')", "'1'"])
def test_a_bad_timeout_is_refused_where_it_is_written(script: Script, seconds: str) -> None:
    message = script(f"""
        try:
            task(timeout_seconds={seconds})(sleep)
        except ValueError as error:
            print(json.dumps(str(error)))
    """)

    assert message.startswith("timeout_seconds of task 'sleep' must be ")


def test_threads_and_writes_to_stdout_are_captured(script: Script, record: Record) -> None:
    script("""
        from concurrent.futures import ThreadPoolExecutor

        @task
        def work():
            thread = threading.Thread(target=print, args=["from a thread"])
            thread.start()
            thread.join()
            with ThreadPoolExecutor() as pool:
                pool.submit(print, "from a pool").result()
            sys.stdout.write("by write\\n")

        @flow(log_prints=True)
        def main():
            work()

        main()
        print("null")
    """)

    owned = [message for (message,) in record.rows("SELECT message FROM log WHERE task_run_id IS NOT NULL")]
    assert owned[:3] == ["from a thread", "from a pool", "by write"]


# --- ends of the process ---------------------------------------------------------------------------------------------

SLOW = """
import sys, time
from penstock import flow, task

@task
def step(number):
    time.sleep(0.01)

@flow
def slow():
    for number in range(2_000):
        step(number)

slow()
"""


def _recorded_tasks(record: Record) -> int:
    if not (record.home / "penstock.db").exists():
        return 0
    try:
        return len(record.rows("SELECT id FROM task_run"))
    except sqlite3.OperationalError:  # its tables are being made at this moment
        return 0


@pytest.fixture
def running(penstock_home: Path, tmp_path: Path, record: Record) -> Any:
    """A program whose flow is under way."""
    path = tmp_path / "slow.py"
    path.write_text(SLOW, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(path)],
        env={"PENSTOCK_HOME": str(penstock_home), "PYTHONPATH": str(SOURCE), "PENSTOCK_LOGGING_TO_CONSOLE": "false"},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 20
    while _recorded_tasks(record) <= 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    yield process
    process.kill()
    process.wait()


def test_after_a_kill_the_next_command_says_the_truth(running: Any, run: Run, record: Record) -> None:
    before = len(record.rows("SELECT id FROM task_run WHERE state_name = 'Completed'"))
    running.kill()
    running.wait()

    listed = json.loads(run("-m", "penstock", "flow-run", "ls", "--output", "json").out)

    assert [(each["flow_name"], each["state_name"]) for each in listed] == [("slow", "Crashed")]
    kept = [name for _, _, name in record.task_runs()]
    assert kept.count("Completed") >= before > 15
    assert set(kept) <= {"Completed", "Crashed"}


def test_ctrl_c_ends_the_run_as_cancelled(running: Any, record: Record) -> None:
    running.send_signal(signal.SIGINT)
    running.wait(timeout=10)

    assert record.flow_runs() == [("slow", "CANCELLED", "Cancelled")]
    ((message,),) = record.rows("SELECT state_message FROM flow_run")
    assert message == "Interrupted by Ctrl-C."
    assert {name for _, _, name in record.task_runs()} == {"Completed", "Cancelled"}


def test_sys_exit_ends_the_run_as_crashed_with_its_code(run: Run, tmp_path: Path, record: Record) -> None:
    path = tmp_path / "exits.py"
    path.write_text("import sys\nfrom penstock import flow\n\n@flow\ndef exits():\n    sys.exit(3)\n\nexits()\n")

    assert run(path).code == 3

    ((name, message),) = record.rows("SELECT state_name, state_message FROM flow_run")
    assert (name, message) == ("Crashed", "Execution was aborted by sys.exit(3).")

"""A process is killed in the middle: what it reported is there, and the next one that looks says the truth about it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from penstock import connect, flow
from penstock.domain.runs import Holder
from penstock.engine import identity
from penstock.store import holders
from penstock.store.sqlite import SqliteStore

from ..flows.kit import Programs, Record, names, until

# Writes down, past any buffer, when each task was done; so the test knows what must be in the record.
BUSY = """
import os, sys, threading, time
from penstock import flow, task

notes = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

@task
def quick(number):
    return number

@task
def endless(number):
    threading.Event().wait()

@flow(log_prints=True)
def busy():
    for number in range(3):
        endless.submit(number)
    for number in range(int(sys.argv[2])):
        quick(number)
        print(f"line {number}")
        os.write(notes, f"{number} {time.monotonic()}\\n".encode())
    threading.Event().wait()

busy()
"""
OLDER_THAN = 0.1  # seconds: the promise
QUIET = {"PENSTOCK_STOP_WATCHDOG": "false", "PENSTOCK_LOGGING_TO_CONSOLE": "false"}
WAITING = """
import threading
from penstock import flow, task

@flow
def waits():
    print("ready", flush=True)
    threading.Event().wait()

waits()
"""


def noted(path: Path) -> list[tuple[int, float]]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(number), float(moment)) for number, moment in (line.split() for line in lines if line.count(" ") == 1)]


def killed(process: subprocess.Popen[str]) -> float:
    moment = time.monotonic()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return moment


def look(programs: Programs) -> None:
    """What every command does first."""
    done = programs.run("from penstock import connect; connect.open_store().close()")
    assert done.code == 0, done.stderr


def begun(programs: Programs) -> subprocess.Popen[str]:
    process = programs.start(WAITING)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def check_killed(programs: Programs, record: Record, tmp_path: Path, tasks: int) -> None:
    notes = tmp_path / "notes"
    process = programs.start(BUSY, notes, 1_000_000, **QUIET)
    until(lambda: len(noted(notes)) >= tasks, 120)
    moment = killed(process)
    sure = {number for number, when in noted(notes) if when < moment - OLDER_THAN}
    assert len(sure) > tasks // 4, "the test must have something to look for"

    done = {run.name for run in record.task_runs("quick") if run.state_name == "Completed"}
    lost = [
        round(moment - when, 3) for number, when in noted(notes) if number in sure and f"quick-{number}" not in done
    ]
    assert not lost, f"{len(lost)} facts are not in the record; the oldest is {lost[0]} s old"
    said = set(record.messages())
    lost = [round(moment - when, 3) for number, when in noted(notes) if number in sure and f"line {number}" not in said]
    assert not lost, f"{len(lost)} lines are not in the record; the oldest is {lost[0]} s old"
    assert record.flow_run().state_name == "Running"
    integrity = record.read(lambda tx: tx.row("PRAGMA integrity_check"))
    assert integrity == ("ok",)

    look(programs)
    run = record.flow_run()
    assert names(run) == ["Pending", "Running", "Crashed"]
    assert str(process.pid) in (run.state.message or "")
    assert all(each.state.is_final() for each in record.task_runs())
    assert {each.state_name for each in record.task_runs("endless")} == {"Crashed"}
    # What the record did not have was beside it: in the end nothing is lost, however late it was said.
    all_done = {each.name for each in record.task_runs("quick") if each.state_name == "Completed"}
    assert {f"quick-{number}" for number, _ in noted(notes)} | done <= all_done
    assert {f"line {number}" for number, _ in noted(notes)} <= set(record.messages())
    assert "Crashed" in record.messages()[-1]


def test_a_flow_that_was_killed_is_recorded_to_its_last_moments_and_then_said_to_have_crashed(
    programs: Programs, record: Record, tmp_path: Path
) -> None:
    check_killed(programs, record, tmp_path, tasks=2000)


@pytest.mark.slow
def test_a_flow_with_ten_thousand_tasks_that_was_killed_is_recorded_too(
    programs: Programs, record: Record, tmp_path: Path
) -> None:
    check_killed(programs, record, tmp_path, tasks=10_000)


def test_the_next_flow_says_the_truth_about_the_one_that_was_killed(programs: Programs, record: Record) -> None:
    killed(begun(programs))
    assert record.flow_run().state_name == "Running"

    @flow
    def next_one() -> None: ...

    next_one()
    assert record.flow_run("waits").state_name == "Crashed"
    assert record.flow_run("next-one").state_name == "Completed"


def test_a_task_outside_flows_whose_process_was_killed_has_crashed(programs: Programs, record: Record) -> None:
    process = programs.start("""
        import threading
        from penstock import task

        @task
        def waits():
            print("ready", flush=True)
            threading.Event().wait()

        waits()
    """)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    until(lambda: [run.state_name for run in record.task_runs()] == ["Running"])
    killed(process)
    look(programs)
    assert record.task_run().state_name == "Crashed"


def test_a_subflow_of_a_killed_process_has_crashed_too(programs: Programs, record: Record) -> None:
    process = programs.start("""
        import threading
        from penstock import flow

        @flow
        def below():
            print("ready", flush=True)
            threading.Event().wait()

        @flow
        def above():
            below()

        above()
    """)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    killed(process)
    look(programs)
    assert [run.state_name for run in record.flow_runs()] == ["Crashed", "Crashed"]


def test_a_run_of_a_living_process_is_never_touched(programs: Programs, record: Record) -> None:
    process = begun(programs)
    look(programs)
    assert names(record.flow_run()) == ["Pending", "Running"]
    os.kill(process.pid, signal.SIGSTOP)  # it lives, though it cannot say so
    look(programs)
    assert names(record.flow_run()) == ["Pending", "Running"]
    os.kill(process.pid, signal.SIGCONT)


def test_a_killed_process_that_nobody_has_waited_for_is_gone(programs: Programs, record: Record) -> None:
    process = begun(programs)
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie still has its pid
    look(programs)
    assert record.flow_run().state_name == "Crashed"


def test_a_run_is_closed_once_though_many_look_at_once(programs: Programs, record: Record) -> None:
    killed(begun(programs))
    program = programs.write("from penstock import connect; connect.open_store().close()")
    for process in [programs.start(program) for _ in range(4)]:
        assert programs.finish(process).code == 0
    assert names(record.flow_run()) == ["Pending", "Running", "Crashed"]
    assert sum("Crashed" in message for message in record.messages()) == 1


# --- whose pid it is -------------------------------------------------------------------------------------------------


def hold(record: Record, holder: Holder, lease: float | None = None) -> None:
    """Has the record say that the run is somebody else's, whose lease ends in so many seconds (None: there is none)."""
    store = SqliteStore(connect.current().database_path)
    with store.write() as tx:
        assert tx.run("UPDATE flow_run SET holder = ?", (msgspec.json.encode(holder).decode(),)) == 1
        if lease is not None:
            holders.put(tx, holder, datetime.now(UTC) + timedelta(seconds=lease), False)
    store.close()


DEAD = 2**22 - 1


@pytest.mark.parametrize(
    ("change", "lease", "state"),
    [
        ({}, None, "Running"),
        ({}, -60, "Running"),  # it can be seen to live, whatever its lease says
        ({"started": "1"}, 60, "Crashed"),  # the pid was given to another process
        ({"pid": DEAD}, 60, "Crashed"),
        ({"host": "elsewhere"}, 60, "Running"),  # nobody here can know
        ({"host": "elsewhere", "pid": DEAD}, 60, "Running"),
        ({"host": "elsewhere"}, -1, "Crashed"),
        ({"host": "elsewhere"}, None, "Crashed"),  # it went in peace, and took its lease with it
        ({"boot": "another"}, 60, "Running"),  # the machine was started anew, or it is another one of that name
        ({"boot": "another"}, -1, "Crashed"),
        ({"namespace": "1"}, 60, "Running"),  # a container that shares the host's name
        ({"namespace": "1", "pid": DEAD}, 60, "Running"),
        ({"namespace": "1"}, -1, "Crashed"),
    ],
)
def test_a_process_is_known_by_more_than_its_pid(
    programs: Programs, record: Record, change: dict[str, object], lease: float | None, state: str
) -> None:
    begun(programs)
    holder = record.flow_run().holder
    assert holder is not None
    hold(record, msgspec.structs.replace(holder, **change), lease)
    look(programs)
    assert record.flow_run().state_name == state


def test_what_was_taken_over_by_a_rescue_cannot_be_written_any_more(programs: Programs, record: Record) -> None:
    """A process that was taken for dead comes back: the record stands, and its own caller is told."""
    process = programs.start("""
        import sys
        from penstock import flow

        @flow
        def waits():
            print("ready", flush=True)
            import os, time
            while not os.path.exists(sys.argv[0] + ".go"):
                time.sleep(0.01)

        waits()
    """)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    holder = record.flow_run().holder
    assert holder is not None
    hold(record, msgspec.structs.replace(holder, started="1"))
    look(programs)
    assert record.flow_run().state_name == "Crashed"
    Path(str(process.args[1]) + ".go").touch()  # type: ignore[index]
    done = programs.finish(process)
    assert done.code == 1
    assert "TransitionRefused" in done.stderr
    assert names(record.flow_run()) == ["Pending", "Running", "Crashed"]


def test_this_process_knows_itself_and_that_it_lives() -> None:
    me = identity.me()
    assert (me.pid, me.host) == (os.getpid(), os.uname().nodename)
    assert identity.lives(me)
    assert identity.lives(msgspec.structs.replace(me, started="1")) is False
    assert identity.started(2**22 - 1) is None


def test_a_process_whose_name_holds_parentheses_is_known(tmp_path: Path) -> None:
    """`/proc/…/stat` holds the name in parentheses, and the name may hold anything."""
    program = tmp_path / "a) R (b"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "20"])
    try:
        until(lambda: ") R (" in Path(f"/proc/{process.pid}/comm").read_text())
        started = identity.started(process.pid)
        assert started is not None
        assert started.isdigit()
        assert abs(int(started) - int(identity.me().started)) < 100 * 3600 * 24
    finally:
        process.kill()
        process.wait()

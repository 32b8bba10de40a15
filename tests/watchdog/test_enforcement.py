"""Requests to cancel that the run's process does not answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from penstock.domain.runs import FlowRun, Holder
from penstock.domain.stops import Signal
from penstock.engine import identity
from penstock.settings import current
from penstock.store import flow_runs, signals
from penstock.store.sqlite import SqliteStore
from penstock.watchdog.doors import ServerDoor, StoreDoor
from penstock.watchdog.enforcement import Outcome, due, enforce, launch_enforcer

from ..flows.kit import SOURCE, Programs, Record, names, until
from .kit import await_gone, cancel, is_gone, said, start

# The program has a lease, as the engine's attendance sees to; arguments: 1 if it may be killed, 1 if it has a watchdog.
RUNNING = """
may_be_killed, is_watched = sys.argv[1] == "1", sys.argv[2] == "1"
watchdog = Watchdog(may_be_killed=may_be_killed, default_grace=0.3)
run, other = begin("asked"), begin("other")
begin_task("inside", run.id)
lease(may_be_killed)
watchdog.attend(where_is(path))
if is_watched:
    watchdog.launch()
    print(watcher(watchdog), flush=True)
wait()
"""


def running(programs: Programs, *, may_be_killed: bool = True, is_watched: bool = False) -> subprocess.Popen[str]:
    process = start(programs, RUNNING, int(may_be_killed), int(is_watched))
    while said(process) != "ready":
        pass
    return process


def details(run: FlowRun) -> dict[str, object]:
    return run.state.details or {}


def ended(record: Record) -> FlowRun:
    run = until(lambda: run if (run := record.flow_run("asked")).state.is_final() else None)
    assert run.state_name == "Cancelled"
    return run


def test_a_frozen_program_is_ended_by_its_watchdog_when_the_grace_has_passed(
    programs: Programs, record: Record
) -> None:
    process = running(programs, is_watched=True)
    os.kill(process.pid, signal.SIGSTOP)
    cancel(record.flow_run("asked"), grace=0.3)
    run = ended(record)
    assert programs.finish(process).code == -signal.SIGKILL
    assert names(run) == ["Pending", "Running", "Cancelling", "Cancelled"]
    assert run.state.message == "Cancelled by a test."
    assert details(run) | {"seconds_to_stop": 1} == {
        "reason": "cancel",
        "who": "a test",
        "grace": 0.3,
        "stopped": "killed",
        "confirmed": True,
        "seconds_to_stop": 1,
    }
    assert float(str(details(run)["seconds_to_stop"])) >= 0.3
    assert record.task_run().state_name == "Cancelled"
    other = until(lambda: run if (run := record.flow_run("other")).state.is_final() else None)
    assert other.state_name == "Crashed"
    assert "because flow run 'asked' did not stop" in (other.state.message or "")
    assert record.count("request") == 0


def test_where_nothing_may_be_ended_the_watchdog_closes_the_run_and_says_so(programs: Programs, record: Record) -> None:
    process = running(programs, may_be_killed=False, is_watched=True)
    os.kill(process.pid, signal.SIGSTOP)
    cancel(record.flow_run("asked"), grace=0.2)
    run = ended(record)
    assert (details(run)["stopped"], details(run)["confirmed"]) == ("abandoned", False)
    assert "was not stopped" in (run.state.message or "")
    assert record.flow_run("other").state_name == "Running"
    assert not is_gone(process.pid)


def test_a_request_is_enforced_by_a_process_of_its_own(programs: Programs, record: Record) -> None:
    process = running(programs)
    cancel(record.flow_run("asked"), grace=0.3)
    launch_enforcer(current().database_path, record.flow_run("asked").id)
    run = ended(record)
    assert (details(run)["stopped"], details(run)["confirmed"]) == ("killed", True)
    done = programs.finish(process)
    assert done.code == -signal.SIGKILL
    assert "did not stop within 0.3 s of: Cancelled by a test; its process" in done.stderr


def test_the_enforcers_command_ends_when_the_run_does(programs: Programs, record: Record) -> None:
    process = running(programs)
    cancel(record.flow_run("asked"), grace=600)
    command = [sys.executable, "-m", "penstock.watchdog", "--enforce", str(record.flow_run("asked").id)]
    enforcer = subprocess.Popen(
        [*command, "--database", str(current().database_path)], env={**os.environ, "PYTHONPATH": str(SOURCE)}
    )
    try:
        store = SqliteStore(current().database_path)
        with store.write() as tx:
            signals.delete(tx, record.flow_run("asked").id)
        store.close()
        assert enforcer.wait(20) == 0
        assert process.poll() is None
    finally:
        enforcer.kill()
        enforcer.wait()


# --- one look --------------------------------------------------------------------------------------------------------


def look(record: Record, *, later: float = 100, killed: bool | None = None, name: str = "asked") -> Outcome:
    """What enforcing does, `later` seconds from now."""
    store = SqliteStore(current().database_path)

    def end(holder: Holder, line: str) -> bool:
        assert killed is not None, "nothing may be ended"
        return killed

    try:
        return enforce(
            StoreDoor(store),
            record.flow_run(name).id,
            now=lambda: datetime.now(UTC) + timedelta(seconds=later),
            default_grace=30,
            lives=identity.lives,
            end=end,
        )
    finally:
        store.close()


def test_nothing_is_enforced_before_its_time(programs: Programs, record: Record) -> None:
    running(programs)
    cancel(record.flow_run("asked"), grace=10)
    assert look(record, later=10) is Outcome.EARLY
    assert look(record, later=12, killed=True) is Outcome.KILLED
    assert look(record, later=12) is Outcome.DONE


def test_what_nobody_asked_for_is_not_enforced(programs: Programs, record: Record) -> None:
    running(programs)
    assert look(record) is Outcome.DONE


def test_a_process_that_could_not_be_ended_is_not_said_to_be(programs: Programs, record: Record) -> None:
    running(programs)
    cancel(record.flow_run("asked"), grace=1)
    assert look(record, killed=False) is Outcome.ABANDONED
    assert details(record.flow_run("asked"))["confirmed"] is False
    assert record.flow_run("other").state_name == "Running"


@pytest.mark.parametrize(
    ("change", "outcome", "state"),
    [
        ({"host": "elsewhere"}, Outcome.LEFT, "Cancelling"),
        ({"namespace": "4"}, Outcome.LEFT, "Cancelling"),
        ({"started": "1"}, Outcome.GONE, "Cancelled"),  # the pid was given to another process
    ],
)
def test_only_the_process_that_executes_the_run_is_ended(
    programs: Programs, record: Record, change: dict[str, str], outcome: Outcome, state: str
) -> None:
    process = running(programs)
    cancel(record.flow_run("asked"), grace=1)
    run = record.flow_run("asked")
    assert run.holder is not None
    run.holder = msgspec.structs.replace(run.holder, **change)
    store = SqliteStore(current().database_path)
    with store.write() as tx:
        flow_runs.put(tx, run)
    store.close()
    assert look(record) is outcome
    assert record.flow_run("asked").state_name == state
    assert not is_gone(process.pid)


def test_a_task_run_of_a_flow_is_no_reason_to_end_its_process(programs: Programs, record: Record) -> None:
    from penstock.services.cancelling import cancel_task_run

    process = running(programs)
    task_run = record.task_run()
    store = SqliteStore(current().database_path)
    cancel_task_run(store, task_run.id, who="a test", grace=0, now=datetime.now(UTC))
    done = enforce(
        StoreDoor(store),
        task_run.id,
        now=lambda: datetime.now(UTC) + timedelta(seconds=100),
        default_grace=0,
        lives=identity.lives,
    )
    store.close()
    assert done is Outcome.DONE
    assert record.task_run().state_name == "Running"
    assert record.count("request") == 1
    assert not is_gone(process.pid)


def test_an_enforcer_that_is_not_needed_goes(programs: Programs, record: Record) -> None:
    process = running(programs, is_watched=True)
    launch_enforcer(current().database_path, record.flow_run("asked").id)  # nobody asked
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: record.flow_run("asked").state_name == "Crashed")
    await_gone(process.pid)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_servers_clock_that_is_wrong_makes_no_grace_shorter_or_longer(tmp_path: Path, hours: int) -> None:
    door = ServerDoor("http://127.0.0.1:1/api", None, None, tmp_path)
    before = datetime.now(UTC)
    asked = Signal(UUID(int=1), before + timedelta(hours=hours), "ann", 5.0)
    moment = due(door, asked, 30.0)
    assert timedelta(seconds=5) < moment - before < timedelta(seconds=30)
    assert due(door, asked, 30.0) == moment

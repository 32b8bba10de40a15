"""Workers: what they launch runs, ends when it is to end, and outlives them. With real processes."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from penstock import cancel_flow_run, connect
from penstock.engine import identity
from penstock.flow_runs import cancel_flow_run as cancel
from penstock.flow_runs import why_flow_run_waits
from penstock.infrastructure.subprocesses import ProcessDriver
from penstock.protocol.deployments import DELETE_DEPLOYMENT, DeploymentById
from penstock.protocol.launches import CLAIM_LAUNCHES, Claims
from penstock.worker.worker import Worker

from ..flows.kit import Record, names, taking_less_than, until
from .kit import Workshop, is_there

LOUD = """
from penstock import flow

@flow
def loud(folder: str):
    for number in range(2000):
        print("loud " * 20)
"""


def test_a_run_is_claimed_launched_and_completes(workshop: Workshop, record: Record) -> None:
    worker = workshop.start()
    run = workshop.run("quick")
    found = workshop.until_state(run, "Completed")
    assert names(found) == ["Scheduled", "Pending", "Running", "Completed"]
    assert "quick" in record.messages(found)
    launch = until(lambda: each if (each := workshop.launch(run)).ended else None)
    assert (launch.exit_code, launch.place is not None) == (0, True)
    said = workshop.end(worker)
    assert worker.returncode == 0
    assert f"Launched flow run {run.name!r}" in said


def test_keys_take_turns_and_a_run_that_was_killed_gives_its_slot_back(workshop: Workshop) -> None:
    limit = {"concurrency_limit_per_key": 1}
    held = workshop.run("waiting", concurrency_key="acme", **limit)
    worker = workshop.start("--limit", "2")
    pid = workshop.until_begun()
    kept = workshop.run("waiting", concurrency_key="acme", **limit)
    many = [workshop.run("quick", concurrency_key="big") for _ in range(4)]
    one = workshop.run("quick", concurrency_key="small")
    for run in (*many, one):
        workshop.until_state(run, "Completed")
    claimed = [workshop.launch(run).claimed for run in (*many, one)]
    assert sorted(claimed, key=str).index(claimed[4]) <= 2  # (two may have been under way when it came)
    why = why_flow_run_waits(kept.id)
    assert (why.reason, [each.id for each in why.holders]) == ("key-limit", [held.id])
    os.kill(pid, signal.SIGKILL)
    workshop.until_state(held, "Crashed")
    workshop.until_state(kept, "Running")
    workshop.folder.joinpath("open").touch()
    workshop.until_state(kept, "Completed")
    workshop.end(worker)


def test_a_polite_run_is_cancelled_at_once_with_its_finally_blocks(workshop: Workshop) -> None:
    workshop.start()
    run = workshop.run("waiting")
    pid = workshop.until_begun()
    with taking_less_than(5):
        cancel(run.id)
        found = workshop.until_state(run, "Cancelled")
    until(lambda: not is_there(pid))
    assert workshop.folder.joinpath("cleaned").exists()
    details = found.state.details or {}
    assert (details["confirmed"], details["reason"]) == (True, "cancel")


def test_a_stubborn_run_is_killed_when_its_grace_is_over(workshop: Workshop) -> None:
    workshop.start()
    run = workshop.run("stubborn")
    pid = workshop.until_begun()
    began = time.monotonic()
    cancel_flow_run(run.id, grace=1)
    workshop.until_state(run, "Cancelled")
    until(lambda: not is_there(pid))
    assert 0.9 < time.monotonic() - began < 10
    until(lambda: (workshop.read(run).state.details or {})["stopped"] == "killed")
    assert (workshop.read(run).state.details or {})["confirmed"] is True


def test_what_a_run_started_is_gone_with_it_also_in_a_session_of_its_own(workshop: Workshop) -> None:
    workshop.start()
    run = workshop.run("forking")
    pid = workshop.until_begun()
    child = int(workshop.text("child"))
    cancel(run.id, grace=1)
    workshop.until_state(run, "Cancelled")
    until(lambda: not is_there(pid) and not is_there(child))


def test_a_run_survives_its_worker_and_the_next_one_can_cancel_it(workshop: Workshop) -> None:
    first = workshop.start()
    run = workshop.run("waiting")
    pid = workshop.until_begun()
    first.kill()
    first.communicate()
    assert workshop.read(run).state_name == "Running"
    workshop.start()
    until(lambda: workshop.launch(run).worker not in (None, first), 30)
    assert (workshop.read(run).state_name, is_there(pid)) == ("Running", True)
    cancel(run.id)
    workshop.until_state(run, "Cancelled")
    until(lambda: not is_there(pid))


def test_a_run_that_was_adopted_completes_and_its_end_is_seen(workshop: Workshop) -> None:
    first = workshop.start()
    run = workshop.run("waiting")
    workshop.until_begun()
    first.kill()
    first.communicate()
    workshop.start()
    workshop.mark("open")
    assert workshop.until_state(run, "Completed")
    until(lambda: workshop.launch(run).ended, 30)


def test_a_worker_that_is_told_to_end_waits_for_its_runs_and_takes_no_more(workshop: Workshop) -> None:
    worker = workshop.start()
    run = workshop.run("waiting")
    workshop.until_begun()
    worker.send_signal(signal.SIGTERM)
    time.sleep(0.3)  # (that it takes no more cannot be waited for)
    other = workshop.run("quick")
    workshop.mark("open")
    worker.communicate(timeout=30)
    assert workshop.read(run).state_name == "Completed"
    assert workshop.read(other).state.type == "SCHEDULED"


def test_a_worker_that_waits_for_work_ends_when_it_is_told_to(workshop: Workshop) -> None:
    worker = workshop.start()
    run = workshop.run("quick")
    workshop.until_state(run, "Completed")
    until(lambda: workshop.is_over(run))
    with taking_less_than(6):  # and not when its question for work would have been answered, after 10 s
        workshop.end(worker)
    assert worker.returncode == 0


def test_a_worker_that_is_told_twice_leaves_its_runs_to_the_next(workshop: Workshop) -> None:
    worker = workshop.start()
    run = workshop.run("waiting")
    pid = workshop.until_begun()
    worker.send_signal(signal.SIGTERM)
    until(lambda: "waiting for 1 run to end" in worker.stdout.readline() if worker.stdout else True)
    workshop.end(worker)
    assert (workshop.read(run).state_name, is_there(pid)) == ("Running", True)
    workshop.start()
    workshop.mark("open")
    workshop.until_state(run, "Completed")


def test_a_run_whose_process_is_killed_crashes_with_the_cause(workshop: Workshop, record: Record) -> None:
    workshop.start()
    run = workshop.run("waiting")
    os.kill(workshop.until_begun(), signal.SIGKILL)
    found = workshop.until_state(run, "Crashed")
    launch = until(lambda: each if (each := workshop.launch(run)).ended else None)
    assert launch.exit_code == -9
    said = [found.state.message or "", *record.messages(found)]
    assert any("SIGKILL" in each for each in said)


def test_the_last_words_of_a_run_that_died_are_in_its_log(workshop: Workshop, record: Record) -> None:
    workshop.start()
    run = workshop.run("dying")
    found = workshop.until_state(run, "Crashed")
    until(lambda: any("exit code 7" in each for each in [found.state.message or "", *record.messages(found)]))
    assert any("last words" in each for each in record.messages(found))


@pytest.mark.parametrize(
    ("entrypoint", "message"),
    [("gone.py:quick", "is not there"), ("flows.py:gone", "There is no flow 'gone'"), ("bad.py:quick", "ZeroDivision")],
)
def test_code_that_cannot_be_loaded_fails_the_run_with_a_sentence(
    workshop: Workshop, entrypoint: str, message: str
) -> None:
    (workshop.folder / "code" / "bad.py").write_text("1 / 0\n")
    workshop.start()
    run = workshop.run("quick", entrypoint=entrypoint)
    assert message in (workshop.until_state(run, "Failed").state.message or "")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"command": "no-such-command"}, "There is no command 'no-such-command'"),
        ({"working_dir": "/no/such/folder"}, "'/no/such/folder' is no folder"),
        ({"evn": {}}, "has no variable 'evn'"),
        ({"env": {"A": 1}}, "has a 'A' that is string, not integer"),
    ],
)
def test_what_cannot_be_launched_crashes_the_run_with_a_sentence(
    workshop: Workshop, variables: dict[str, object], message: str
) -> None:
    workshop.start()
    run = workshop.run("quick", job_variables=variables)
    assert message in (workshop.until_state(run, "Crashed").state.message or "")


def test_a_run_whose_program_never_takes_it_up_crashes_and_is_ended(workshop: Workshop) -> None:
    workshop.start()
    run = workshop.run("quick", job_variables={"command": "sleep 600"}, start_timeout=1.0)
    found = workshop.until_state(run, "Crashed")
    assert "The run never started" in (found.state.message or "")
    until(lambda: workshop.launch(run).ended, 30)


def test_no_more_than_its_limit_are_launched_at_once(workshop: Workshop) -> None:
    workshop.start("--limit", "2")
    runs = [workshop.run("waiting") for _ in range(4)]
    until(lambda: sum(workshop.read(run).state_name == "Running" for run in runs) == 2)
    assert sum(workshop.read(run).state.type == "SCHEDULED" for run in runs) == 2
    workshop.mark("open")
    for run in runs:
        workshop.until_state(run, "Completed")


def test_a_worker_that_runs_once_takes_what_is_due_and_ends(workshop: Workshop) -> None:
    run = workshop.run("quick")
    worker = workshop.start("--run-once")
    worker.communicate(timeout=60)
    assert (worker.returncode, workshop.read(run).state_name) == (0, "Completed")


def test_a_worker_whose_output_nobody_takes_works_on(workshop: Workshop) -> None:
    """Its pipe holds 64 KiB, and is not read in this test before the end."""
    worker = workshop.start()
    (workshop.folder / "code" / "loud.py").write_text(LOUD)
    for _ in range(2):
        run = workshop.run("loud", entrypoint="loud.py:loud")
        workshop.until_state(run, "Completed")
        until(partial(workshop.is_over, run))
    assert "loud" in workshop.end(worker)


def test_a_run_goes_on_and_can_be_cancelled_though_its_deployment_is_deleted(workshop: Workshop) -> None:
    workshop.start()
    first = workshop.run("waiting")
    workshop.until_begun()
    assert first.deployment_id is not None
    connect.call(DELETE_DEPLOYMENT, DeploymentById(first.deployment_id))
    assert workshop.read(first).state_name == "Running"
    cancel(first.id)
    found = workshop.until_state(first, "Cancelled")
    assert (found.state.details or {})["confirmed"] is True
    until(lambda: workshop.launch(first).ended)


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_worker_whose_clock_is_wrong_waits_as_long_as_the_records_clock_says(hours: int, tmp_path: Path) -> None:
    """Ahead, it would ask without end; behind, it would come too late."""
    waits: list[float] = []

    def ask(operation: Any, query: Any) -> Any:
        if operation is not CLAIM_LAUNCHES:
            return None
        if query.draining:
            return Claims()
        waits.append(query.wait)
        if len(waits) == 4:
            worker.close()
        theirs = datetime.now(UTC) + timedelta(hours=hours)
        return Claims(next=theirs + timedelta(seconds=3 if len(waits) == 1 else 60), now=theirs)

    worker = Worker(ProcessDriver(tmp_path), ask, name="w", holder=identity.me(), version="0", work_pool="local")
    worker.run()
    assert waits[1] == pytest.approx(3, abs=0.5)
    assert waits[2:] == [10.0, 10.0]

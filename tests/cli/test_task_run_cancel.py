"""`task-run cancel`: one task run is asked to end; its flow run is not."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from penstock.connect import asker
from penstock.domain.runs import Holder, TaskRun
from penstock.domain.states import make
from penstock.domain.stops import Signal
from penstock.engine import identity
from penstock.store import holders, signals, task_runs

from .conftest import Run
from .records import Records, program, wait_for

ELSEWHERE = Holder("elsewhere", "boot", 77, "1")
UNKNOWN = "11111111-2222-7333-8444-555555aaaaaa"


def running(records: Records, holder: Holder | None = None) -> TaskRun:
    above = records.flow_run("Pending", "Running", name="above", holder=holder or identity.me())
    return records.task_run(above, "Pending", "Running")


def request_for(records: Records, run: TaskRun) -> Signal | None:
    with records.store.read() as tx:
        return signals.get(tx, run.id)


def end(records: Records, run: TaskRun, name: str) -> None:
    """As the run's engine would report it."""
    fresh = TaskRun(**{field: getattr(run, field) for field in run.__struct_fields__})
    fresh.enter(make(name, datetime.now(UTC), details={"stopped": "raised", "confirmed": True, "where": "a.py:1 in f"}))
    with records.store.write() as tx:
        task_runs.report(tx, [fresh])


def test_the_request_is_recorded_and_the_flow_goes_on(run: Run, records: Records) -> None:
    made = running(records)
    result = run("task-run", "cancel", made.id.hex[-10:], "--grace", "3")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"Task run '{made.id}' was successfully scheduled for cancellation.\n"
    asked = request_for(records, made)
    assert asked is not None
    assert (asked.who, asked.grace, asked.flow_run_id) == (asker("CLI"), 3.0, made.flow_run_id)
    assert "▶ Running" in run("flow-run", "inspect", "above").stdout


def test_asked_again_it_gets_the_new_grace(run: Run, records: Records) -> None:
    made = running(records)
    run("task-run", "cancel", str(made.id))
    result = run("task-run", "cancel", str(made.id), "--grace", "0.5")
    assert (result.exit_code, result.stdout) == (
        0, f"Task run '{made.id}' is being cancelled already. It has 0.5 s from now on.\n"
    )  # fmt: skip
    asked = request_for(records, made)
    assert asked is not None
    assert asked.grace == 0.5


def test_several_are_asked_whatever_becomes_of_one(run: Run, records: Records) -> None:
    made = running(records)
    ended = records.task_run(None, task="alone")
    result = run("task-run", "cancel", UNKNOWN, str(ended.id), "load-0", str(made.id), "-o", "json")
    assert result.exit_code == 1
    assert [each["outcome"] for each in json.loads(result.stdout)] == [
        "not-found", "transition-refused", "invalid-id", "scheduled",
    ]  # fmt: skip
    assert result.stderr.splitlines()[:2] == [
        f"Error: Task run '{UNKNOWN}' not found!",
        f"Error: Task run '{ended.id}' was unable to be cancelled. Reason: it already ended in state 'Completed'.",
    ]


@pytest.mark.parametrize(("state", "code"), [("Cancelled", 0), ("Completed", 1)])
def test_waiting_shows_the_end(run: Run, records: Records, state: str, code: int) -> None:
    made = running(records)

    def when_asked() -> None:
        wait_for(lambda: request_for(records, made))
        time.sleep(0.05)
        end(records, made, state)

    thread = threading.Thread(target=when_asked)
    thread.start()
    result = run("task-run", "cancel", str(made.id), "--wait", "--timeout", "20")
    thread.join()
    assert result.exit_code == code
    assert result.stdout.splitlines()[1] == f"Task run '{made.id}' is {state}: stopped (raised), was at a.py:1 in f"


def test_the_timeout_is_of_the_waiting_only(run: Run, records: Records) -> None:
    made = running(records)
    began = time.monotonic()
    result = run("task-run", "cancel", str(made.id), "--wait", "--timeout", "0.1")
    assert time.monotonic() - began < 5
    assert result.exit_code == 1
    assert "did not end within" in result.stderr
    assert request_for(records, made) is not None
    assert run("task-run", "cancel", str(made.id), "--timeout", "1").exit_code == 2


def test_a_process_out_of_reach_must_act_itself(run: Run, records: Records) -> None:
    made = running(records, ELSEWHERE)
    with records.store.write() as tx:
        holders.put(tx, ELSEWHERE, datetime.now(UTC) + timedelta(minutes=5), False)
    assert "runs on host elsewhere" in run("task-run", "cancel", str(made.id)).stderr


def test_inspect_shows_an_open_request(run: Run, records: Records) -> None:
    made = running(records)
    assert "Cancel asked for" not in run("task-run", "inspect", str(made.id)).stdout
    with records.store.write() as tx:
        signals.put(tx, Signal(made.id, datetime.now(UTC) - timedelta(minutes=2), "ann\x1b[2J@box", 5.0))
    text = run("task-run", "inspect", str(made.id)).stdout
    (line,) = [line for line in text.splitlines() if line.startswith("Cancel asked for:")]
    assert line.split(":", 1)[1].strip() == "by ann\\x1b[2J@box, 2 minutes ago, with 5 s of grace"
    document = json.loads(run("task-run", "inspect", str(made.id), "-o", "json").stdout)
    assert document["cancel_asked_for"]["grace"] == 5.0
    end(records, made, "Cancelled")
    assert "Cancel asked for" not in run("task-run", "inspect", str(made.id)).stdout


SLEEPING = """
import time
from penstock import flow, task
@task
def nap():
    time.sleep(60)
@flow(flow_run_name="slow-goose")
def wait():
    state = nap(return_state=True)
    print("the nap is", state.name, flush=True)
    return 1
wait()
"""


def test_a_flow_goes_on_when_its_task_run_is_cancelled(run: Run, folder: Path) -> None:
    def napping() -> str | None:
        listed = run("task-run", "ls", "--task-name", "nap", "--state", "Running", "-o", "json")
        return next((str(each["id"]) for each in json.loads(listed.stdout)), None)

    with program(folder / "wait.py", SLEEPING) as flow:
        id = wait_for(napping)
        result = run("task-run", "cancel", id, "--wait", "--timeout", "20")
        assert result.exit_code == 0, result.output
        assert "is Cancelled: stopped after 0" in result.stdout
        assert "wait.py:6 in nap" in result.stdout
        assert flow.wait(20) == 0
        assert flow.stdout is not None
        assert flow.stdout.read() == "the nap is Cancelled\n"
    assert "✓ Completed" in run("flow-run", "inspect", "slow-goose").stdout
